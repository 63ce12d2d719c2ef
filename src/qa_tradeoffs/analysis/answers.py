"""What every model answered to the same questions, side by side, and how alike the questions of one passage are."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics import languages
from qa_tradeoffs.metrics.squad import Normalize

Floats = npt.NDArray[np.float64]
_ALIKE = 1.1  # from this ratio of widths on, an interval that almost reaches zero is doubtful


@dataclass(frozen=True, eq=False)
class Answers:
    """n questions and, by a model's label, one table of answers per seed, each with a row per question in that order.

    The tables have the columns of evaluation.score; words are counted by the rules of ``language``.
    """

    examples: tuple[Example, ...]
    tables: dict[str, tuple[pd.DataFrame, ...]]
    language: str = languages.OFFICIAL

    @property
    def labels(self) -> list[str]:
        """The models, in the order of the study."""
        return list(self.tables)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every two models once."""
        return list(combinations(self.labels, 2))

    @property
    def rules(self) -> Normalize:
        """What a text is before words are counted and texts compared."""
        return languages.normalizer(self.language)

    def score(self, label: str, metric: str) -> Floats:
        """(n,): a model's score of each question in points, mean over seeds."""
        columns = [table[metric].to_numpy(dtype=np.float64) for table in self.tables[label]]
        points: Floats = 100 * np.mean(columns, axis=0)
        return points


def load(collected: Collected) -> Answers:
    """The study's validation questions, read anew, with all models' answers.

    Raises StudyError where the study's data are no longer those that the answers were given to.
    """
    splits = sources.load(collected.study.data)
    key, evaluation = next(iter(collected.evaluations.items()))
    if splits.fingerprint != evaluation.provenance.data_sha256:
        raise StudyError(
            f"data: the study's questions are not those that {evaluation.model} with seed {key[1]} was evaluated on "
            f"(fingerprint {splits.fingerprint[:10]}, not {evaluation.provenance.data_sha256[:10]}); run make all"
        )
    answered = set(collected.predictions[key]["id"])
    examples = tuple(example for example in splits.validation if example.id in answered)
    if len(examples) < len(answered):
        unknown = min(answered - {example.id for example in examples})
        raise StudyError(f"data: the question '{unknown}' was answered but is not in the study's data; run make all")
    return side_by_side(collected, examples)


def side_by_side(collected: Collected, examples: tuple[Example, ...]) -> Answers:
    """The answers of all models in the order of ``examples``."""
    ids = [example.id for example in examples]
    tables: dict[str, tuple[pd.DataFrame, ...]] = {collected.label(slug): () for slug in collected.slugs}
    for (slug, _), frame in collected.predictions.items():
        tables[collected.label(slug)] += (frame.set_index("id").loc[ids].reset_index(),)
    return Answers(examples, tables, collected.language)


def by_passage(answers: Answers) -> pd.DataFrame:
    """How many times as wide an interval would be had whole passages been drawn instead of questions.

    One row per model's F1 (``other`` is '') and one per difference in F1 of two models: model, other, width (NaN where
    all scores are equal), verdict, and the numbers of questions and passages.
    """
    passage, _ = pd.factorize(np.array([example.context for example in answers.examples], dtype=object))
    scores = {label: answers.score(label, "f1") for label in answers.labels}
    values = {(label, ""): f1 for label, f1 in scores.items()}
    values |= {(a, b): scores[a] - scores[b] for a, b in answers.pairs}
    sizes = len(passage), int(passage.max()) + 1
    rows = [(*names, design_factor(f1, passage), *sizes) for names, f1 in values.items()]
    table = pd.DataFrame(rows, columns=["model", "other", "width", "questions", "passages"])
    verdicts = np.where(table["width"] > _ALIKE, "intervals too narrow", "intervals wide enough")
    return table.assign(verdict=verdicts)


def design_factor(values: Floats, cluster: npt.NDArray[np.intp]) -> float:
    """Standard error of the mean of ``values`` (n,) in clusters, counted from 0, over that of independent values.

    The root of Kish's (1965) design effect, with the standard error of Liang and Zeger (1986): 1 where every value is a
    cluster of its own, NaN where all are equal.
    """
    deviations = values - values.mean()
    sums = np.bincount(cluster, weights=deviations)
    n, clusters = len(values), len(sums)
    independent = (deviations**2).sum() * n / max(n - 1, 1)
    clustered = (sums**2).sum() * clusters / max(clusters - 1, 1)
    return float(np.sqrt(clustered / independent)) if independent > 0 else float("nan")
