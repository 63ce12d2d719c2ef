"""All models' answers to the same questions."""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis.collected import Collected, of_model
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics import languages
from qa_tradeoffs.metrics.estimates import Clusters
from qa_tradeoffs.metrics.squad import Normalize

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """n questions and, by model label, one table of answers per seed, with rows in the order of the questions.

    The tables have the columns of evaluation.score; words are split by the rules of ``language``. ``variants`` are the
    labels of models that differ from another only in how they are computed.
    """

    examples: tuple[Example, ...]
    tables: dict[str, tuple[pd.DataFrame, ...]]
    language: str = languages.OFFICIAL
    variants: frozenset[str] = frozenset()

    @property
    def labels(self) -> list[str]:
        """The models, in the order of the study."""
        return list(self.tables)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs of distinct models."""
        return list(combinations(self.distinct, 2))

    @property
    def distinct(self) -> list[str]:
        """The models without the ``variants``."""
        return [label for label in self.tables if label not in self.variants]

    @cached_property
    def clusters(self) -> Clusters:
        """The clusters of the questions."""
        return Clusters.of(*([getattr(example, of) for example in self.examples] for of in ("title", "context")))

    @property
    def rules(self) -> Normalize:
        """The normalisation of a text before comparison."""
        return languages.normalizer(self.language)

    def score(self, label: str, metric: str) -> Floats:
        """(n,): a model's score per question in points, mean over seeds."""
        points: Floats = self.scores(label, metric).mean(axis=0)
        return points

    def scores(self, label: str, metric: str) -> Floats:
        """(n_seeds, n): a model's score per question in points, by seed."""
        return 100 * np.stack([table[metric].to_numpy(dtype=np.float64) for table in self.tables[label]])


def load(collected: Collected) -> Answers:
    """The study's validation questions, read again, with all models' answers.

    Raises StudyError if the study's data have changed since the answers were given.
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
    variants = frozenset(collected.label(slug) for slug in set(collected.slugs) - set(collected.distinct))
    return Answers(tuple(examples.values()), tables, collected.language, variants)
