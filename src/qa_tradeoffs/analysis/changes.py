"""What changed between two runs, from their folders alone: scores, and ratios of speed.

Models are matched by their keys in the studies. Times of different runs are not compared, since the machine may have
changed; but each run has interleaved timings, so the ratios of two models can be compared between runs.
"""

from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.accuracy import gap
from qa_tradeoffs.analysis.collected import read_table
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import is_file
from qa_tradeoffs.metrics import intervals, pareto, timing
from qa_tradeoffs.metrics.estimates import Clusters, Estimate, contrast, difference
from qa_tradeoffs.metrics.passes import SideBySide
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.paths import RunPaths

_OF_QUESTIONS = ["id", "references"]
_COLUMNS = [*_OF_QUESTIONS, "article", "passage", "f1", "exact_match"]
_OF_SPEED = {"calls_a_turn"}  # conditions that follow from the time itself


@dataclass(frozen=True)
class Run:
    """The content of a run's folder; ``answers``: by model, a table per seed, sorted by question id."""

    folder: Path
    answers: dict[str, list[pd.DataFrame]]
    comparison: results.Comparison | None

    def scores(self, slug: str, metric: str) -> intervals.Floats:
        """(seeds, n): a model's score per question in points."""
        return 100 * np.stack([table[metric].to_numpy(dtype=np.float64) for table in self.answers[slug]])

    def clusters(self, slug: str) -> Clusters:
        """The clusters of the model's questions."""
        return Clusters.of(*(self.answers[slug][0][of] for of in ("article", "passage")))


def read(folder: Path) -> Run:
    """All evaluations in the folder of a run, and its comparison if there is one. Raises StudyError."""
    answers: dict[str, list[pd.DataFrame]] = {}
    for path in sorted(folder.glob("*/seed-*/evaluation.json")):
        found = results.read(path)
        table, seeds = _answers(path, found), answers.setdefault(found.model, [])
        if seeds and not table[_OF_QUESTIONS].equals(seeds[0][_OF_QUESTIONS]):
            raise StudyError(f"{path}: has other questions than {found.model}'s other seeds; run make evaluate")
        seeds.append(table)
    if not answers:
        raise StudyError(f"{folder}: is not a run's folder with evaluated models, such as runs/demo")
    path = RunPaths(folder).comparison
    return Run(folder, answers, results.read_comparison(path) if is_file(path) else None)


def common(before: Run, after: Run) -> list[str]:
    """The models in both runs. Raises StudyError if there are none."""
    if not (slugs := [slug for slug in before.answers if slug in after.answers]):
        named = ", ".join(before.answers)
        raise StudyError(f"{after.folder}: shares no model with {before.folder} ({named}); give them the same keys")
    return slugs


def same_questions(before: Run, after: Run, slug: str) -> int | None:
    """None if a model has the same questions in both runs, by id and references; else the number in common."""
    one, other = (run.answers[slug][0][_OF_QUESTIONS] for run in (before, after))
    return None if one.equals(other) else len(one.merge(other))


def scores(before: Run, after: Run, drop: float) -> pd.DataFrame:
    """One row per metric and model of both runs, in points.

    Columns: metric, f1 or exact_match; model; before, after; change with its 95 % interval in low and high, paired if
    the questions are the same, else for independent samples; p_holm, adjusted for the models in each metric; over, as
    in ``accuracy.differences``; verdict: better, worse, equal, not significant; failed: whether F1 fell significantly,
    or by more than ``drop``.
    """
    rows = []
    for metric in ("f1", "exact_match"):
        found = {slug: _change(before, after, slug, metric) for slug in common(before, after)}
        adjusted = intervals.holm([one.p_value for one in found.values()])
        for (slug, one), p in zip(found.items(), adjusted, strict=True):
            measured = replace(gap(one), p_value=float(p))
            means = [float(run.scores(slug, metric).mean()) for run in (before, after)]
            failed = metric == "f1" and (measured.verdict == "worse" or one.value < -drop)
            rows.append((metric, slug, *means, *astuple(measured), measured.verdict, failed))
    columns = ["metric", "model", "before", "after", "change", "low", "high", "p_holm", "over", "verdict", "failed"]
    return pd.DataFrame(rows, columns=columns)


def speed(before: Run, after: Run, slower: float) -> pd.DataFrame:
    """One row per model and kind of work timed in both runs under the same conditions; none with a single model.

    Columns: model; other, the first model of both comparisons; work, network, batch_size, length (NaN if none); before
    and after, the time of the model over the other's in each run; change, after over before, with its 95 % interval
    over passes in low and high; p_holm, adjusted for all rows; verdict: faster, slower, not significant; failed:
    whether the whole interval is above ``slower``.
    """
    rows: list[dict[str, Any]] = []
    found: list[timing.Ratio] = []
    for (one, again), slug, other in _pairs(before, after):
        old, new = (of.seconds(slug) / of.seconds(other) for of in (one, again))
        found.append(timing.change(old, new))
        at = {key: one.conditions.get(key, np.nan) for key in ("batch_size", "length")}
        ratios = {"before": timing.typical(old).value, "after": timing.typical(new).value}
        rows.append({"model": slug, "other": other, "work": one.work, "network": one.network} | at | ratios)
    for row, ratio, p in zip(rows, found, intervals.holm([ratio.p_value for ratio in found]), strict=True):
        verdict = pareto.pace(ratio._replace(p_value=float(p)))
        row |= {"change": ratio.value, "low": ratio.low, "high": ratio.high, "p_holm": float(p)}
        row |= {"verdict": {"better": "faster", "worse": "slower"}.get(verdict, verdict), "failed": ratio.low > slower}
    return pd.DataFrame(rows)


def _answers(path: Path, evaluation: results.Results) -> pd.DataFrame:
    """The answers written with an evaluation, sorted by question id."""
    try:
        table = read_table(path.with_name("predictions.parquet"), _COLUMNS, path, evaluation)
    except ValueError:  # a missing column
        raise StudyError(f"{path}: is from an older version and has no references; run make evaluate") from None
    return table.sort_values("id", ignore_index=True)


def _change(before: Run, after: Run, slug: str, metric: str) -> Estimate:
    old, new = before.scores(slug, metric), after.scores(slug, metric)
    if same_questions(before, after, slug) is None:
        return contrast([(1, new), (-1, old)], before.clusters(slug))
    return difference(contrast([(1, new)], after.clusters(slug)), contrast([(1, old)], before.clusters(slug)))


def _pairs(before: Run, after: Run) -> list[tuple[tuple[SideBySide, SideBySide], str, str]]:
    """Each work in both runs, a model, and the model that it is compared with."""
    if before.comparison is None or after.comparison is None:
        return []
    first, *others = [slug for slug in before.comparison.models if slug in after.comparison.models] or [""]
    again = {_kind(one): one for one in after.comparison.works}
    both = [(one, again[_kind(one)]) for one in before.comparison.works if _kind(one) in again]
    return [
        (pair, slug, first)
        for pair in both
        for slug in others
        if all({slug, first} <= one.models.keys() for one in pair)
    ]


def _kind(one: SideBySide) -> tuple[Any, ...]:
    return one.work, one.network, *sorted((k, str(v)) for k, v in one.conditions.items() if k not in _OF_SPEED)
