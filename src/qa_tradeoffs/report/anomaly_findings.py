"""Sentences on SqueezeBERT's time: the question, what explains it, what the rewriting changes, and what stays open."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis import anomaly
from qa_tradeoffs.analysis.anomaly import BERT, PUBLISHED
from qa_tradeoffs.core import words
from qa_tradeoffs.core.files import ANOMALY, OWN_ANOMALY
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.runs import results
from qa_tradeoffs.study.published import Published

_STOCK = "SqueezeBERT as published"  # in the attribution
_FAST = "rewritten, fast dropout masks"  # among the variants


@dataclass(frozen=True)
class Explanation:
    """Tables of one experiment, at its largest point, first precision and highest dropout.

    ``operators``: anomaly.operators of the training step, ``forward``: of the forward pass; ``steps``:
    anomaly.waterfall of the training step, ``variants``: anomaly.summary of it; ``aims``: anomaly.aims at
    all points. ``measured``: a sentence on where and how.
    """

    operators: pd.DataFrame
    forward: pd.DataFrame
    steps: pd.DataFrame
    aims: pd.DataFrame
    variants: pd.DataFrame
    measured: str

    def ratio(self, over: str, work: str = "training_step") -> pd.Series:
        """The row of the rewritten network's ratio to ``over``, at the point of the charts."""
        at = self.steps.iloc[0]
        same = self.aims[["batch_size", "length", "precision"]] == at[["batch_size", "length", "precision"]].to_list()
        found = self.aims[same.all(axis=1) & (self.aims["over"] == over) & (self.aims["work"] == work)]
        return found.loc[found["dropout"].idxmax()]


def load(own: Path = OWN_ANOMALY, stored: Path = ANOMALY) -> Explanation:
    """The experiment made on this machine if there is one, else the one that comes with the program."""
    file = own if own.exists() else stored
    experiment = results.read_experiment(file)
    whole, operators = anomaly.waterfall(experiment.records), anomaly.operators(experiment.records)
    steps = _at_one_point(whole[whole["work"] == "training_step"])
    return Explanation(
        operators=_at_one_point(operators[operators["work"] == "training_step"]),
        forward=_at_one_point(operators[operators["work"] == "forward"]),
        steps=steps,
        aims=anomaly.aims(experiment.records),
        variants=_at_one_point(anomaly.summary(experiment.records).query("work == 'training_step'")),
        measured=_measured(experiment, steps, file is own),
    )


def question(published: Published) -> list[str]:
    """What the original study left open."""
    spent = published.original.fine_tuning.by_model
    length = published.original.fine_tuning.length
    share = flops.encoder_flops(flops.SQUEEZEBERT, 1, length) / flops.encoder_flops(flops.BERT_BASE, 1, length)
    return [
        f"In the original study SqueezeBERT took {spent.squeezebert.hours:g} h to fine-tune (USD "
        f"{spent.squeezebert.usd:.2f}), BERT {spent.bert.hours:g} h (USD {spent.bert.usd:.2f}). Yet it has "
        f"{words.percent(share)} of BERT's operations at {length} tokens, those of attention counted. Where does the "
        "time go?"
    ]


def where(found: Explanation) -> list[str]:
    """What a training step of SqueezeBERT spends its time on, against BERT's."""
    stock, bert = (_by_class(found.operators, model) for model in (_STOCK, "BERT"))
    convolutions = stock.loc[["convolution forward", "convolution backward"]].sum()
    products = bert.loc["matrix product"]
    drawn = stock.loc["dropout and random numbers"]
    return [
        f"Convolutions take {words.percent(convolutions['share'])} of a training step of SqueezeBERT as published "
        f"({words.percent(stock.loc['convolution backward', 'share'])} backwards alone), and reach "
        f"{_rate(convolutions):.0f} GFLOP/s, where BERT's matrix products reach {_rate(products):.0f} on the same "
        f"machine. Dropout takes {words.percent(drawn['share'])}, {words.seconds(drawn['seconds'])}; in BERT "
        f"{words.percent(bert.loc['dropout and random numbers', 'share'])}, "
        f"{words.seconds(bert.loc['dropout and random numbers', 'seconds'])}: what does not shrink with the products "
        "weighs more the smaller they are."
    ]


def steps(found: Explanation) -> list[str]:
    """Each step of the waterfall, and whether its interval tells it from no change."""
    return [_step(row) for row in found.steps.iloc[1:].itertuples()]


def fix(found: Explanation) -> list[str]:
    """What the rewriting changes, both times beside the ratio."""
    seconds = found.steps.set_index("step")["seconds"]
    stock, new, bert = seconds.iloc[0], seconds["attention fused"], seconds.iloc[-1]
    published, against = found.ratio(PUBLISHED), found.ratio(BERT)
    slower = "more" if stock > bert else "less"
    return [
        f"Rewritten, a training step takes {words.seconds(new)} instead of {words.seconds(stock)}: "
        f"{_with_bounds(published)} times as long, and {_with_bounds(against)} times as long as BERT's "
        f"{words.seconds(bert)} (medians of the ratios within rounds).",
        *(
            "With dropout masks drawn faster too ('fast_dropout: true', CPU only) it takes "
            f"{words.seconds(row['seconds'])}, {_with_bounds(row)} times as long as published."
            for _, row in found.variants[found.variants["variant"] == _FAST].iterrows()
        ),
        f"As published, SqueezeBERT's step takes {slower} time than BERT's on this machine "
        f"({words.seconds(stock)} against {words.seconds(bert)}).",
    ]


def saved(found: Explanation, published: Published) -> list[str]:
    """What it would have saved the original, under an assumption that is named."""
    spent = published.original.fine_tuning.by_model.squeezebert
    ratio = found.ratio(PUBLISHED)["ratio"]
    return [
        f"If the rewriting's ratio on the original's P100 were the one measured here, its {spent.hours:g} h and USD "
        f"{spent.usd:.2f} would have been {spent.hours * ratio:.1f} h and USD {spent.usd * ratio:.2f}. That is an "
        "assumption, not a measurement: another processor has other convolutions."
    ]


def open_questions(found: Explanation, published: Published) -> list[str]:
    """What the measurement does not explain."""
    spent = published.original.fine_tuning.by_model
    theirs = spent.squeezebert.hours / spent.bert.hours
    ours = found.steps["seconds"].iloc[0] / found.steps["seconds"].iloc[-1]
    return [
        f"SqueezeBERT's time over BERT's was {theirs:.2f} in the original; here it is {ours:.2f}. How much of that "
        "difference is the P100's convolutions, the libraries of 2021, or what of the recipe was not published, a "
        "measurement on another machine cannot tell.",
        "'make anomaly DEVICE=cuda' repeats the experiment on a GPU, with cuDNN, number formats and torch.compile as "
        "further factors; the report then shows that instead.",
    ]


def describe_operators(operators: pd.DataFrame, work: str) -> str:
    """Alternative text of the chart of classes: the largest of each model."""
    parts = []
    for model, rows in operators.groupby("model", sort=False):
        top = rows.nlargest(3, "seconds")
        shares = ", ".join(f"{row.operations} {words.percent(row.share)}" for row in top.itertuples())
        parts.append(f"{model}: {rows['seconds'].sum():.2f} s, of it {shares}")
    return f"Seconds of a {work} by class of operation. " + "; ".join(parts) + "."


def describe_steps(found: Explanation) -> str:
    """Alternative text of the waterfall."""
    first, *others = found.steps.itertuples()
    said = ", ".join(f"{row.step} {row.change:+.2f} s" for row in others)
    last = others[-1].seconds
    return f"From SqueezeBERT as published, {first.seconds:.2f} s a training step, to BERT, {last:.2f} s: {said}."


def shown_alone(found: Explanation) -> pd.DataFrame:
    """One change at a time, as a reader sees it."""
    alone = found.variants[found.variants["alone"]]
    return pd.DataFrame(
        {
            "changed alone": alone["variant"],
            "training step": [words.seconds(value) for value in alone["seconds"]],
            "over as published": [_with_bounds(row) for _, row in alone.iterrows()],
        }
    )


def shown_aims(found: Explanation) -> pd.DataFrame:
    """The rewritten network's ratios at every point, as a reader sees them."""
    aims = found.aims
    return pd.DataFrame(
        {
            "work": aims["work"].str.replace("_", " "),
            "batch × tokens": [f"{row.batch_size} × {row.length}" for row in aims.itertuples()],
            "precision": aims["precision"],
            "dropout": [f"{value:g}" for value in aims["dropout"]],
            "rewritten over": aims["over"],
            "ratio": [_with_bounds(row) for _, row in aims.iterrows()],
            "aim": [f"at most {value:g}" for value in aims["at most"]],
            "reached": ["yes" if reached else "no" for reached in aims["reached"]],
        }
    )


def _at_one_point(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the largest point, the first precision and the highest dropout."""
    tokens = rows["batch_size"] * rows["length"]
    rows = rows[(tokens == tokens.max()) & (rows["precision"] == rows["precision"].iloc[0])]
    return rows[rows["dropout"] == rows["dropout"].max()].reset_index(drop=True)


def _measured(experiment: results.Experiment, steps: pd.DataFrame, own: bool) -> str:
    at, origin = steps.iloc[0], experiment.origin
    whose = "on this machine by make anomaly" if own else "apart from this run, which make anomaly repeats here"
    return (
        f"Measured {whose}: {origin.device['name']}, {origin.device['threads']} threads, torch "
        f"{origin.versions['torch']}; full-size networks, random weights, batch {at['batch_size']} × {at['length']} "
        f"tokens, {at['precision']}, dropout {at['dropout']:g}; medians, and 95 % intervals over rounds in each of "
        "which all variants ran in turn."
    )


def _by_class(operators: pd.DataFrame, model: str) -> pd.DataFrame:
    return operators[operators["model"] == model].set_index("operations")[["seconds", "share", "gflop"]]


def _rate(row: Any) -> float:
    return float(row["gflop"] / row["seconds"])


def _step(row: Any) -> str:
    told = row.high < 1 or row.low > 1
    change = f"{row.change:+.2f} s, {row.ratio:.2f} times the step before ({row.low:.2f} to {row.high:.2f})"
    doubt = "" if told else "; the interval does not tell it from no change"
    return f"{row.step[0].upper()}{row.step[1:]}: {change}{doubt}."


def _with_bounds(row: Any) -> str:
    return f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
