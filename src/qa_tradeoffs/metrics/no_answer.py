"""When not to answer: choosing the threshold of SQuAD v2.0, and the scores at every threshold.

A question is left unanswered if its no-answer score exceeds the threshold (Rajpurkar et al., 2018, arXiv 1806.03822).
Only the score of each question's best span and its no-answer score are needed.
"""

from dataclasses import dataclass

import numpy as np

from qa_tradeoffs.metrics.squad import Bools, Floats


@dataclass(frozen=True)
class Threshold:
    """``value`` in logits, and the number of ``questions`` that it was chosen on; if it was given, 0 and no ``f1``.

    ``f1`` is the mean F1, in points, that it reaches on those questions.
    """

    value: float
    questions: int = 0
    f1: float | None = None


@dataclass(frozen=True)
class Curve:
    """The results at k rising ``thresholds`` (k,), in logits: means in points, (k,) each.

    ``answered`` is the percentage of all questions that are answered. ``has_exact_match`` and ``has_f1`` are over the
    answerable questions, ``no_f1`` over the unanswerable ones: the percentage correctly left unanswered (a span that
    normalises to nothing counts as no answer). NaN if there are no such questions.
    """

    thresholds: Floats
    answered: Floats
    f1: Floats
    has_exact_match: Floats
    has_f1: Floats
    no_f1: Floats

    def at(self, threshold: float) -> int:
        """The point with the same answers as ``threshold``: the highest threshold not above it."""
        return max(int(np.searchsorted(self.thresholds, threshold, side="right")) - 1, 0)

    @property
    def best(self) -> int:
        """The point with the highest F1; the lowest threshold wins ties."""
        return int(self.f1.argmax())


def curve(exact_match: Floats, f1: Floats, no_answer_scores: Floats, has_answer: Bools) -> Curve:
    """One point for every set of questions that a threshold can answer, from none to all of the n questions.

    ``exact_match`` and ``f1`` (n,) in [0, 1] are those of the best spans. Questions with equal no-answer scores are
    answered together. The first threshold is below all scores; the others are the scores themselves.
    """
    order = np.argsort(no_answer_scores, kind="stable")
    ascending = no_answer_scores[order]
    last_of_equals = np.append(True, np.append(ascending[1:] != ascending[:-1], True))
    below_all = np.nextafter(ascending[0], -np.inf)

    def mean(scores: Floats, of: Bools) -> Floats:
        """Mean of ``scores`` (n,) over the questions ``of`` (n,) at each point, unanswered questions included."""
        unanswered = ~has_answer * of
        gains = np.where(of, scores - unanswered, 0.0)[order]
        with np.errstate(invalid="ignore"):  # none of these questions: NaN
            totals = (unanswered.sum() + np.cumsum(np.append(0.0, gains))) / np.float64(of.sum())
        points: Floats = 100 * totals[last_of_equals]
        return points

    n = len(f1)
    return Curve(
        thresholds=np.append(below_all, ascending)[last_of_equals],
        answered=100 * (np.arange(n + 1) / n)[last_of_equals],
        f1=mean(f1, np.ones(n, dtype=bool)),
        has_exact_match=mean(exact_match, has_answer),
        has_f1=mean(f1, has_answer),
        no_f1=mean(f1, ~has_answer),
    )
