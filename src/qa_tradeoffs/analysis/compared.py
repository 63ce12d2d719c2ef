"""What every model answered to the same questions, beside the questions themselves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis.tables import Collected
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Compared:
    """n questions and, by a model's label, one table of answers per seed, each with a row per question in that order.

    The tables have the columns of evaluation.score. ``seeds`` are those of each model's tables.
    """

    examples: tuple[Example, ...]
    answers: dict[str, tuple[pd.DataFrame, ...]]
    seeds: dict[str, tuple[int, ...]]

    @property
    def labels(self) -> list[str]:
        """The models, in the order of the study."""
        return list(self.answers)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every two models once."""
        return [(a, b) for i, a in enumerate(self.labels) for b in self.labels[i + 1 :]]

    def score(self, label: str, metric: str) -> Floats:
        """(n,): a model's score of each question in points, mean over seeds."""
        columns = [frame[metric].to_numpy(dtype=np.float64) for frame in self.answers[label]]
        points: Floats = 100 * np.mean(columns, axis=0)
        return points


def load(collected: Collected) -> Compared:
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
    return beside(collected, examples)


def beside(collected: Collected, examples: tuple[Example, ...]) -> Compared:
    """The answers of all models in the order of ``examples``."""
    ids = [example.id for example in examples]
    answers: dict[str, list[pd.DataFrame]] = {collected.label(slug): [] for slug in collected.slugs}
    seeds: dict[str, list[int]] = {label: [] for label in answers}
    for (slug, seed), frame in collected.predictions.items():
        answers[collected.label(slug)].append(frame.set_index("id").loc[ids].reset_index())
        seeds[collected.label(slug)].append(seed)
    return Compared(
        examples,
        {label: tuple(frames) for label, frames in answers.items()},
        {label: tuple(numbers) for label, numbers in seeds.items()},
    )
