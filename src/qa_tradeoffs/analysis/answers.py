"""What every model answered to the same questions, side by side, and how alike the questions of one passage are."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis.collected import Collected, of_model
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example

Floats = npt.NDArray[np.float64]
_ALIKE = 1.1  # from this ratio of widths on, an interval that almost reaches zero is doubtful


@dataclass(frozen=True, eq=False)
class Answers:
    """n questions and, by a model's label, one table of answers per seed, each with a row per question in that order.

    The tables have the columns of evaluation.score.
    """

    examples: tuple[Example, ...]
    tables: dict[str, tuple[pd.DataFrame, ...]]

    @property
    def labels(self) -> list[str]:
        """The models, in the order of the study."""
        return list(self.tables)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every two models once."""
        return list(combinations(self.labels, 2))

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
    examples = {example.id: example for example in splits.validation if example.id in answered}
    if unknown := answered - set(examples):
        raise StudyError(
            f"data: the question '{min(unknown)}' was answered but is not in the study's data; run make all"
        )
    tables = {
        collected.label(slug): tuple(
            frame.set_index("id").loc[list(examples)].reset_index() for frame in of_model(slug, collected.predictions)
        )
        for slug in collected.slugs
    }
    return Answers(tuple(examples.values()), tables)


def by_passage(answers: Answers) -> pd.DataFrame:
    """How many times as wide an interval would be had whole passages been drawn instead of questions.

    One row per model's F1 (``other`` is '') and one per difference in F1 of two models: model, other, width (NaN where
    all scores are equal), verdict, and the numbers of questions and passages.
    """
    passage, contexts = pd.factorize(np.array([example.context for example in answers.examples], dtype=object))
    f1 = {label: answers.score(label, "f1") for label in answers.labels}
    values = {(label, ""): scores for label, scores in f1.items()} | {(a, b): f1[a] - f1[b] for a, b in answers.pairs}
    rows = [(*names, design_factor(scores, passage)) for names, scores in values.items()]
    table = pd.DataFrame(rows, columns=["model", "other", "width"])
    verdicts = np.where(table["width"] > _ALIKE, "intervals too narrow", "intervals wide enough")
    return table.assign(verdict=verdicts, questions=len(passage), passages=len(contexts))


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
