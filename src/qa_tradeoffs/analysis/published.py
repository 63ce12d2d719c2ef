"""Published figures for the same models, beside this study's."""

import math
import statistics

import pandas as pd

from qa_tradeoffs.analysis import audit, serving, side_by_side
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.study import config
from qa_tradeoffs.study.published import LABELS, MACHINES, MODELS, MachineName, ModelName, PaperScore, Published

# Sizes of the published base models with answer heads, to distinguish them from other models with similar names.
PARAMETERS: dict[ModelName, float] = {"bert": 108.9e6, "distilbert": 66.4e6, "squeezebert": 51.1e6}


def scores(collected: Collected, models: pd.DataFrame, figures: Published) -> pd.DataFrame:
    """Each model's F1 beside every published one: model, f1, f1_low, f1_high, published, source, verdict.

    The verdict says whether the published F1 is 'below', 'within' or 'above' the interval. Only for published
    checkpoints that were fine-tuned here without a teacher, and scored on the original study's questions.
    """
    columns = ["model", "f1", "f1_low", "f1_high"]
    rows = [
        (*row[columns], f1, source, "below" if f1 < row["f1_low"] else "above" if f1 > row["f1_high"] else "within")
        for _, row in models.iterrows()
        if _on_squad(collected, figures)
        and (spec := collected.study.models[row["slug"]]).hub is not None
        and not spec.fine_tuned
        and not spec.teacher
        for f1, source in _published(figures, architecture(collected, row["slug"]))
    ]
    return pd.DataFrame(rows, columns=[*columns, "published", "source", "verdict"])


def points(collected: Collected, models: pd.DataFrame, figures: Published) -> pd.DataFrame:
    """Every F1 on SQuAD v1.1's development set, ours and published: name, f1, f1_low, f1_high, ours, source.

    A published F1 has no interval (NaN). Empty unless the study was scored on all questions of that set.
    """
    if not _on_squad(collected, figures):
        return pd.DataFrame(columns=["name", "f1", "f1_low", "f1_high", "ours", "source"])
    ours = models.rename(columns={"model": "name"})[["name", "f1", "f1_low", "f1_high"]].assign(
        ours=True, source="here"
    )
    original = figures.original.scores
    others = [(f"{LABELS[name]}, 2021", original.by_model.of(name).f1, original.source) for name in MODELS]
    others += [(score.name, score.f1, _source(score)) for score in figures.papers.scores]
    published = pd.DataFrame(others, columns=["name", "f1", "source"]).assign(f1_low=math.nan, f1_high=math.nan)
    return pd.concat([ours, published.assign(ours=False)], ignore_index=True)


def tradeoff(collected: Collected, published: Published) -> pd.DataFrame:
    """One row per model that the original study had: its published F1, our measured cost of a million questions.

    It had no model with a teacher and no rewritten one. Columns: model, f1 (points, of the original study), usd
    (SingleStream, middle of the price range) with usd_low and usd_high, relative (our time per question relative to the
    first BERT's, interleaved; NaN without BERT), p100 and k80 (the same as published by the original, mean over
    lengths), p100_impossible and k80_impossible (whether that exceeds the GPU's peak), corrected_low and corrected_high
    (the range over both GPUs and ways of counting launches, after correction).
    """
    served = serving.scenarios(collected, collected.full_size).set_index("model")
    found = side_by_side.ratios(collected, side_by_side.question(collected, collected.full_size))
    known = {slug: name for slug in collected.slugs if (name := _counterpart(collected, slug))}
    bert = next((collected.label(slug) for slug, name in known.items() if name == "bert"), None)
    rows = []
    for slug, name in known.items():
        label = collected.label(slug)
        low, high = served["million_usd"][label]
        relative = 1.0 if label == bert else side_by_side.ratio(found, label, bert).value if bert else math.nan
        as_published, corrected = audit.rates(published), audit.corrected(published)
        theirs = [_over_bert(as_published, machine, name) for machine in MACHINES]
        flags = [audit.impossible(published, machine, name) for machine in MACHINES]
        over = [1 / rate.bert_over_model for rate in corrected if rate.model == name]
        f1 = published.original.scores.by_model.of(name).f1
        rows.append((label, f1, (low + high) / 2, low, high, relative, *theirs, *flags, min(over), max(over)))
    flagged = [f"{machine}_impossible" for machine in MACHINES]
    columns = ["model", "f1", "usd", "usd_low", "usd_high", "relative", *MACHINES, *flagged]
    return pd.DataFrame(rows, columns=[*columns, "corrected_low", "corrected_high"])


def _counterpart(collected: Collected, slug: str) -> ModelName | None:
    """The original study's model of this architecture, which was trained and computed as this one; None for none."""
    spec = collected.study.models[slug]
    return None if spec.teacher or spec.grouped_matmul else architecture(collected, slug)


def architecture(collected: Collected, slug: str) -> ModelName | None:
    """The published base model that matches a model's full-size network by name and size, or None."""
    spec = collected.study.models[slug]
    name = spec.architecture or str(spec.hub or "").split("/")[-1].split("-")[0]
    (size,) = collected.measured(slug, "parameters", collected.full_size_of(slug))
    # Another vocabulary changes the size by a few per cent; BERT-large has three times as many parameters.
    return next((known for known in MODELS if known == name and abs(size.value / PARAMETERS[known] - 1) < 0.05), None)


def _on_squad(collected: Collected, figures: Published) -> bool:
    """Whether the study was scored on the original study's questions, SQuAD v1.1's development set."""
    data = collected.study.data
    squad = isinstance(data, config.HubData) and data.name.split("/")[-1] == "squad" and not data.v2
    return squad and collected.n_questions == figures.original.scores.questions


def _published(figures: Published, name: ModelName | None) -> list[tuple[float, str]]:
    """All published F1 values of an architecture, with their sources."""
    if name is None:
        return []
    original = figures.original.scores
    papers = [(score.f1, f"{score.name}, {_source(score)}") for score in figures.papers.scores if score.model == name]
    return [(original.by_model.of(name).f1, original.source), *papers]


def _source(score: PaperScore) -> str:
    """The source of a published score, with how it was obtained and its note."""
    return ", ".join(filter(None, [score.source, "" if score.read else "second-hand", score.note]))


def _over_bert(rates: list[audit.Rate], machine: MachineName, model: ModelName) -> float:
    """A model's inference time relative to BERT's, mean over its lengths."""
    return statistics.fmean(
        1 / rate.bert_over_model for rate in rates if (rate.machine, rate.model) == (machine, model)
    )
