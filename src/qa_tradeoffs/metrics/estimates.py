"""Mean scores and their differences, with uncertainty over questions and, with several seeds, over training runs.

Questions about one article are correlated, so standard errors over questions are clustered by article. They are
bias-reduced (CR2), with the degrees of freedom of Bell and McCaffrey (2002, Survey Methodology 28, 169), as Pustejovsky
and Tipton (2018, doi 10.1080/07350015.2016.1247004) give them, for a mean. With clusters of equal size this is
Student's t of the cluster means; with one question per cluster, Student's t of the questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from qa_tradeoffs.metrics.intervals import Floats, Interval

Unit = Literal["articles", "passages", "questions"]
Over = Literal["questions", "questions and training runs"]
_POWER = 0.8
_FEWEST = 10  # clusters: fewer do not allow conclusions about others


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of n questions: ``codes`` (n,), from 0 without gaps, of each question's ``unit``."""

    unit: Unit
    codes: npt.NDArray[np.intp]

    @classmethod
    def of(cls, articles: npt.ArrayLike, passages: npt.ArrayLike) -> "Clusters":
        """By article (n,), or by passage (n,) if there are fewer than 10 articles, or else by question.

        With fewer than 10, results only hold for other questions about the same articles or passages.
        """
        by_article, by_passage = (
            np.unique(np.asarray(names), return_inverse=True)[1] for names in (articles, passages)
        )
        if _FEWEST <= by_article.max() + 1 < by_passage.max() + 1:
            return cls("articles", by_article)
        if _FEWEST <= by_passage.max() + 1 < len(by_passage):
            return cls("passages", by_passage)
        return cls("questions", np.arange(len(by_passage)))

    def part(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "Clusters":
        """The clusters of some of the questions."""
        return Clusters(self.unit, np.unique(self.codes[rows], return_inverse=True)[1])

    @cached_property
    def sizes(self) -> npt.NDArray[np.intp]:
        """(G,): questions in each cluster."""
        return np.bincount(self.codes)

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of the CR2 variance: G - 1 for G clusters of equal size, fewer if sizes differ."""
        shares = self.sizes / len(self.codes)
        if len(shares) == 1:
            return 1.0
        ratios = shares**2 / (1 - shares)
        return float(1 / ((shares**2).sum() + ratios.sum() ** 2 - (ratios**2).sum()))

    def variance(self, values: Floats) -> Floats:
        """CR2 variance of the mean over the first axis of ``values`` (n, ...); infinite for a single cluster."""
        n, shares = len(values), self.sizes / len(values)
        if len(shares) == 1:
            return np.full(values.shape[1:], np.inf)
        sums = np.add.reduceat((values - values.mean(axis=0))[self._order], self._begins, axis=0)
        variance: Floats = np.tensordot(1 / (1 - shares), sums**2, axes=1) / n**2
        return variance

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        return np.argsort(self.codes, kind="stable")

    @cached_property
    def _begins(self) -> npt.NDArray[np.intp]:
        return np.cumsum(self.sizes) - self.sizes


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, its standard error and degrees of freedom, and what the error is over."""

    value: float
    error: float
    freedom: float
    over: Over = "questions"

    def interval(self, level: float = 0.95) -> Interval:
        """The confidence interval at this level."""
        half = float(special.stdtrit(self.freedom, (1 + level) / 2)) * self.error if self.error else 0.0
        return Interval(self.value - half, self.value + half)

    @property
    def p_value(self) -> float:
        """Two-sided p value for a true value of 0."""
        if self.error == 0:
            return float(self.value == 0)
        return float(2 * special.stdtr(self.freedom, -abs(self.value) / self.error))

    def detectable(self, alpha: float = 0.05) -> float:
        """The true value that a two-sided test at ``alpha`` detects with a power of 80 %."""
        return float(special.stdtrit(self.freedom, [1 - alpha / 2, _POWER]).sum() * self.error)


def mean(values: Floats, clusters: Clusters) -> Estimate:
    """The mean of ``values`` (n,), with its error over questions."""
    return contrast([(1.0, values[None])], clusters)


def contrast(terms: Sequence[tuple[float, Floats]], clusters: Clusters) -> Estimate:
    """The sum over ``terms`` of a factor times a model's mean score, from scores (runs, n) of the same questions.

    If every model has several runs, the variance of its mean over runs is added to the variance over questions, with
    the degrees of freedom of Welch (1947) and Satterthwaite (1946); otherwise the error is over questions only.
    """
    of_questions = np.sum([factor * runs.mean(axis=0) for factor, runs in terms], axis=0)
    variances, freedoms = [float(clusters.variance(of_questions))], [clusters.freedom]
    over: Over = "questions"
    if all(len(runs) > 1 for _, runs in terms):
        over = "questions and training runs"
        variances += [factor**2 * _of_training(runs, clusters) for factor, runs in terms]
        freedoms += [len(runs) - 1 for _, runs in terms]
    return Estimate(float(np.mean(of_questions)), *_sum(variances, freedoms), over)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """``one`` minus ``other``, from independent observations; degrees of freedom as in ``contrast``."""
    error_and_freedom = _sum([one.error**2, other.error**2], [one.freedom, other.freedom])
    return Estimate(one.value - other.value, *error_and_freedom, min(one.over, other.over, key=len))


def ratio(a: Floats, b: Floats, clusters: Clusters) -> Estimate:
    """The mean of ``a`` (runs, n) over the mean of ``b`` (runs, n), by the delta method; NaN if ``b`` is all 0."""
    value, base = a.mean() / b.mean() if b.any() else np.nan, b.mean() or np.nan
    return replace(contrast([(1 / base, a), (-value / base, b)], clusters), value=float(value))


def _sum(variances: Sequence[float], freedoms: Sequence[float]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of independent terms with these variances."""
    total = float(np.sum(variances))
    parts = sum(variance**2 / freedom for variance, freedom in zip(variances, freedoms, strict=True))
    return float(np.sqrt(total)), float(total**2 / parts if 0 < total < np.inf else freedoms[0])


def _of_training(runs: Floats, clusters: Clusters) -> float:
    """Variance of the mean over ``runs`` (r, n) due to shifts of all questions' scores together by training.

    Changes of single answers are already in the variance over questions and are subtracted.
    """
    scores = runs.mean(axis=1)
    single = runs - runs.mean(axis=0) - scores[:, None] + scores.mean()
    already = clusters.variance(single.T).sum() / (len(runs) - 1)
    return max(0.0, float(scores.var(ddof=1) - already)) / len(runs)
