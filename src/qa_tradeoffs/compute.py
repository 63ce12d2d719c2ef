"""Result files → tables of time, memory and money, of the study's networks and of the full-size ones."""

from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pandas as pd

from qa_tradeoffs import costs, display
from qa_tradeoffs.published import MODELS, ModelName, Published
from qa_tradeoffs.results import Record
from qa_tradeoffs.tables import Collected, measured


def full_size(collected: Collected) -> str:
    """The network that is as large as the published ones: 'full size', or 'study' where that is so itself."""
    twins = [record for profile in collected.profiles.values() for record in profile.all("parameters")]
    return "full size" if any(record.conditions.get("network") == "full size" for record in twins) else "study"


def speed(collected: Collected) -> pd.DataFrame:
    """Full-size compute for a reader: a forward pass, its share of the peak, with eager attention, a training step."""
    network = full_size(collected)
    return pd.DataFrame([_speed_row(collected, slug, network) for slug in collected.slugs])


def serving(collected: Collected, network: str) -> pd.DataFrame:
    """One row per model: SingleStream's p50, p90, p99 (seconds per question), Offline's best questions per second.

    ``single_usd`` and ``offline_usd``: USD per million questions, (lowest, highest) price.
    """
    return pd.DataFrame([_serving_row(collected, slug, network) for slug in collected.slugs])


def memory(collected: Collected) -> pd.DataFrame:
    """One row per measured peak: model, network, batch_size, length, measure, mib; NaN where memory did not suffice."""
    rows = []
    for slug in collected.slugs:
        profile = collected.profiles[slug]
        records = [*profile.all("peak_memory_bytes"), *profile.all("out_of_memory")]
        for record in (r for r in records if "measure" in r.conditions or r.metric == "out_of_memory"):
            at = {key: record.conditions[key] for key in ("network", "precision", "batch_size", "length")}
            measure = str(record.conditions.get("measure", "out of memory")).replace("_", " ")
            mib = record.value / 2**20 if record.metric == "peak_memory_bytes" else float("nan")
            rows.append({"model": collected.label(slug), **at, "measure": measure, "mib": mib})
    columns = ["model", "network", "precision", "batch_size", "length", "measure", "mib"]
    return pd.DataFrame(rows, columns=columns)


def memory_of(peaks: pd.DataFrame, network: str) -> pd.DataFrame:
    """The peaks of one network that a chart shows: the first measure and precision, one row per point and model."""
    chosen = peaks[peaks["network"] == network]
    first = chosen["measure"][chosen["mib"].notna()]
    wanted = chosen["measure"].isin([*first.head(1), "out of memory"])
    return chosen[wanted & chosen["precision"].isin(chosen["precision"].head(1))]


def phases(collected: Collected) -> pd.DataFrame:
    """One row per model: milliseconds per question of each phase, from text to score, of the study's own network."""
    rows = []
    for slug in collected.slugs:
        parts = {
            str(r.conditions["phase"]): 1000 * r.value for r in measured(collected, slug, "phase_seconds", "study")
        }
        rows.append({"model": collected.label(slug)} | {f"{name} (ms)": value for name, value in parts.items()})
    return pd.DataFrame(rows)


def money(collected: Collected, models: pd.DataFrame) -> pd.DataFrame:
    """One row per model at the study's price (the middle of a range): to fine-tune, per question, per point of F1.

    Columns: model, f1, training_usd, question_usd (SingleStream), single_usd and offline_usd per million questions, and
    usd_per_point, what each point of F1 over the smallest model costs more to fine-tune (None: it has none over it).
    """
    price = sum(collected.price.range_usd_per_hour) / 2
    served = serving(collected, "study").set_index("model")
    smallest = models.loc[models["parameters"].idxmin()]
    rows = []
    for _, row in models.iterrows():
        training = costs.usd(row["train_seconds"], price) if row["train_seconds"] > 0 else 0.0
        base = costs.usd(smallest["train_seconds"], price) if smallest["train_seconds"] > 0 else 0.0
        p50, per_second = served.loc[row["model"], ["p50", "questions_per_second"]]
        single = costs.usd_per_million_questions(p50, price)
        rows.append(
            {
                "model": row["model"],
                "f1": row["f1"],
                "training_usd": training,
                "question_usd": single / 1e6,
                "single_usd": single,
                "offline_usd": costs.usd_per_million_offline(per_second, price),
                "usd_per_point": costs.usd_per_point(training - base, row["f1"] - smallest["f1"]),
            }
        )
    return pd.DataFrame(rows)


def break_even(money: pd.DataFrame) -> pd.DataFrame:
    """For each two models of which one is cheaper to serve: the questions after which it has paid for its training."""
    rows = []
    for (_, one), (_, other) in permutations(money.iterrows(), 2):
        if one["question_usd"] < other["question_usd"]:
            a, b = (costs.Costs(r["training_usd"], r["question_usd"]) for r in (one, other))
            rows.append({"cheaper to serve": one["model"], "than": other["model"], "questions": costs.break_even(a, b)})
    return pd.DataFrame(rows, columns=["cheaper to serve", "than", "questions"])


def published_tradeoff(collected: Collected, published: Published) -> pd.DataFrame:
    """One row per model of a published architecture: its published F1, our measured cost of a million questions.

    Columns: model, f1 (points, of the original study), usd (SingleStream, middle of the price), relative (our time of a
    question over BERT's; NaN without BERT), p100 and k80 (the same of the original, mean over lengths).
    """
    served = serving(collected, full_size(collected)).set_index("model")
    price = sum(collected.price.range_usd_per_hour) / 2
    known = {slug: name for slug in collected.slugs if (name := architecture(collected, slug)) is not None}
    bert = next((slug for slug, name in known.items() if name == "bert"), None)
    rows = []
    for slug, name in known.items():
        p50 = served.loc[collected.label(slug), "p50"]
        rows.append(
            {
                "model": collected.label(slug),
                "f1": published.original.scores.by_model.of(name).f1,
                "usd": costs.usd_per_million_questions(p50, price),
                "relative": p50 / served.loc[collected.label(bert), "p50"] if bert else float("nan"),
                **{machine: _relative(published, machine, name) for machine in ("p100", "k80")},
            }
        )
    return pd.DataFrame(rows, columns=["model", "f1", "usd", "relative", "p100", "k80"])


def architecture(collected: Collected, slug: str) -> ModelName | None:
    """The published architecture that a model is, as its entry or its name on the Hub says; None for another."""
    spec = collected.study.models[slug]
    said = spec.architecture or str(spec.hub or "").split("/")[-1].split("-")[0]
    return next((name for name in MODELS if name == said), None)


def invalid(collected: Collected) -> list[str]:
    """A sentence for each measurement that would need more than the machine's peak."""
    return [
        f"Invalid measurement: {collected.label(slug)}'s {record.metric.replace('_', ' ')} would need "
        f"{record.conditions.get('share_of_peak'):.2f} of the machine's peak."
        for slug, profile in collected.profiles.items()
        for record in profile.records
        if record.conditions.get("valid") is False and record.metric.endswith("_seconds")
    ]


def shown_published(tradeoff: pd.DataFrame) -> pd.DataFrame:
    """Published scores and times over BERT's beside ours, as a reader sees them."""
    return pd.DataFrame(
        {
            "model": tradeoff["model"],
            "F1 published in 2021": [f"{value:.2f}" for value in tradeoff["f1"]],
            **{
                f"time over BERT's, {where}": [f"{value:.2f}" for value in tradeoff[column]]
                for column, where in (("p100", "P100 2021"), ("k80", "K80 2021"), ("relative", "here, measured"))
            },
            "million questions here, USD": [display.plain(value) for value in tradeoff["usd"]],
        }
    )


def shown_serving(served: pd.DataFrame) -> pd.DataFrame:
    """The scenarios as a reader sees them."""
    shown = {
        "model": served["model"],
        **{f"SingleStream {p}": [display.seconds(value) for value in served[p]] for p in ("p50", "p90", "p99")},
        "Offline": [f"{value:,.3g} questions/s" for value in served["questions_per_second"]],
        "at batch": served["offline_batch"],
        "million, SingleStream, USD": [display.usd(*pair) for pair in served["single_usd"]],
        "million, Offline, USD": [display.usd(*pair) for pair in served["offline_usd"]],
    }
    return pd.DataFrame(shown)


def shown_memory(peaks: pd.DataFrame) -> pd.DataFrame:
    """The peaks as a reader sees them: a column per model."""
    cells = peaks.assign(shown=["out of memory" if pd.isna(mib) else f"{mib:,.0f} MiB" for mib in peaks["mib"]])
    index = ["network", "precision", "batch_size", "length", "measure"]
    wide = cells.pivot_table(index=index, columns="model", values="shown", aggfunc="first", sort=False)
    wide = wide[list(dict.fromkeys(peaks["model"]))].reset_index()
    return wide.rename(columns={"batch_size": "batch", "length": "tokens per row"})


def shown_money(money: pd.DataFrame) -> pd.DataFrame:
    """Costs as a reader sees them."""
    return pd.DataFrame(
        {
            "model": money["model"],
            "F1": [f"{value:.1f}" for value in money["f1"]],
            "fine-tuning, USD": [display.plain(value) for value in money["training_usd"]],
            "million, SingleStream, USD": [display.plain(value) for value in money["single_usd"]],
            "million, Offline, USD": [display.plain(value) for value in money["offline_usd"]],
            "USD per point of F1 over the smallest": [
                "none over it" if pd.isna(value) else display.plain(value) for value in money["usd_per_point"]
            ],
        }
    )


def shown_break_even(found: pd.DataFrame) -> pd.DataFrame:
    """Break-even as a reader sees it."""

    def words(questions: float) -> str:
        if questions == 0:
            return "at once: cheaper to train, too"
        return "never" if questions == float("inf") else f"{questions:,.0f}"

    return found.assign(questions=[words(value) for value in found["questions"]])


def _median(record: Record) -> dict[str, float]:
    interval = record.interval
    low, high = (interval.low, interval.high) if interval else (record.value, record.value)
    return {"seconds": record.value, "low": low, "high": high}


def _speed_row(collected: Collected, slug: str, network: str) -> dict[str, Any]:
    """One forward pass at the smallest batch and the longest rows, and one training step likewise."""
    row: dict[str, Any] = {"model": collected.label(slug)}
    parameters = measured(collected, slug, "parameters", network)
    row["parameters"] = display.parameters(parameters[0].value) if parameters else "not measured"
    forward = _typical(measured(collected, slug, "forward_seconds", network))
    if forward is not None:
        at = forward.conditions
        row[f"forward, {at['batch_size']} × {at['length']}"] = _with_interval(forward)
        row["GFLOP"] = f"{float(at.get('flops') or 0) / 1e9:.1f}"
        row["share of peak"] = f"{float(at.get('share_of_peak') or 0):.0%}"
        control = [
            r
            for r in collected.profiles[slug].all("forward_seconds")
            if r.conditions.get("eager_control")
            and all(r.conditions[key] == at[key] for key in ("batch_size", "length", "precision"))
        ]
        row["with eager attention"] = _with_interval(control[0]) if control else f"is {at['attention']}"
    step = _typical(measured(collected, slug, "training_step_seconds", network))
    if step is not None:
        at = step.conditions
        row[f"training step, {at['batch_size']} × {at['length']}"] = _with_interval(step)
        row["of it forward, backward, update"] = _parts(collected, slug, network, step)
    return row


def _parts(collected: Collected, slug: str, network: str, step: Record) -> str:
    """Shares of a training step's three parts."""
    shares = []
    for part in ("forward", "backward", "optimizer"):
        found = measured(collected, slug, f"training_{part}_seconds", network)
        same = [r for r in found if all(r.conditions[k] == step.conditions[k] for k in ("batch_size", "length"))]
        shares.append(f"{same[0].value / step.value:.0%}" if same else "?")
    return " + ".join(shares)


def _serving_row(collected: Collected, slug: str, network: str) -> dict[str, Any]:
    single, p90, p99 = (
        measured(collected, slug, f"single_stream_seconds{suffix}", network)[0].value for suffix in ("", "_p90", "_p99")
    )
    passes = measured(collected, slug, "offline_questions_per_second", network)
    offline = max(passes, key=lambda record: record.value)
    prices = collected.price.range_usd_per_hour
    return {
        "model": collected.label(slug),
        "p50": single,
        "p90": p90,
        "p99": p99,
        "questions_per_second": offline.value,
        "offline_batch": offline.conditions["batch_size"],
        "single_usd": tuple(costs.usd_per_million_questions(single, price) for price in prices),
        "offline_usd": tuple(costs.usd_per_million_offline(offline.value, price) for price in prices),
    }


def _typical(records: Iterable[Record]) -> Record | None:
    """The point with the smallest batch, and of these the longest rows."""
    return min(
        records, key=lambda r: (int(r.conditions["batch_size"] or 0), -int(r.conditions["length"] or 0)), default=None
    )


def _with_interval(record: Record) -> str:
    at = _median(record)
    return f"{display.seconds(at['seconds'])} ({display.seconds(at['low'])}–{display.seconds(at['high'])})"


def _relative(published: Published, machine: str, model: ModelName) -> float:
    """The original's inference time over BERT's, mean over its lengths."""
    times = {(row[1], row[3]): row[4] for row in published.original.inference.rows() if row[0] == machine}
    lengths = sorted({length for _, length in times})
    ratios = [times[model, length] / times["bert", length] for length in lengths]
    return sum(ratios) / len(ratios)
