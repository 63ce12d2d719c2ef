"""Whether a model knows when it is right: calibration, and accuracy if the least confident answers are withheld.

Arguments are, for n questions, ``confidence`` (n,) in [0, 1], ``correct`` (n,) in {0, 1} and ``counts`` (r, n), how
often each question is in each of r resamples of any size; for the sample itself all ones. Questions of equal confidence
are spread evenly over the ranks that they share, which gives the mean over all their orderings.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def bins(confidence: Floats, edges: npt.ArrayLike) -> Floats:
    """(n, k): the fraction of each question that is in each of k bins, questions sorted by rising confidence.

    ``edges`` (k + 1,) are the shares of the questions at which bins begin and end. Questions may be split between bins,
    so that each bin has its exact share: np.linspace(0, 1, k + 1) gives bins of equal mass.
    """
    _, group, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)[group][:, None]
    begins = ends - sizes[group][:, None]
    cuts = len(confidence) * np.asarray(edges, dtype=np.float64)
    overlap = np.minimum(ends, cuts[1:]) - np.maximum(begins, cuts[:-1])
    parts: Floats = np.maximum(overlap, 0.0) / (ends - begins)
    return parts


def mean_in(parts: Floats, values: Floats, counts: Floats) -> Floats:
    """(r, k): the mean of ``values`` (n,) in each of the bins ``parts`` (n, k); NaN for empty bins of a resample."""
    with np.errstate(invalid="ignore"):
        means: Floats = (counts @ (parts * values[:, None])) / (counts @ parts)
    return means


def calibration_error(parts: Floats, confidence: Floats, correct: Floats) -> float:
    """Expected calibration error in [0, 1], the mean gap between confidence and accuracy over the bins ``parts``.

    Σ_k share of bin k · |accuracy in k − mean confidence in k| (Naeini, Cooper and Hauskrecht, 2015, AAAI), also called
    adaptive for bins of equal mass. Chance makes it positive even for a calibrated model, and resampling raises it
    further, so a bootstrap interval never covers 0. Compare it with ``calibrated_error`` instead.
    """
    return float(np.abs((correct - confidence) @ parts).sum() / len(correct))


def calibrated_error(parts: Floats, confidence: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """(draws,): calibration errors of a perfectly calibrated model with these confidences, by chance alone."""
    correct = rng.random((draws, len(confidence))) < confidence
    errors: Floats = np.abs((correct - confidence) @ parts).sum(axis=1) / len(confidence)
    return errors


def accuracy_at(coverages: Floats, confidence: Floats, correct: Floats, counts: Floats) -> Floats:
    """(r, k): accuracy of the most confident answers of each resample, for k shares of its questions."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)  # of each group of equal confidence
    drawn = counts[:, order]
    answered, right = (
        np.pad(np.cumsum(of, axis=1)[:, ends], ((0, 0), (1, 0))) for of in (drawn, drawn * correct[order])
    )
    wanted = answered[:, -1:] * coverages
    found: Floats = np.array([np.interp(*row) for row in zip(wanted, answered, right, strict=True)]) / wanted
    return found


def area_under_risk_coverage(confidence: Floats, correct: Floats, counts: Floats) -> Floats:
    """(r,): the share of wrong answers among the k most confident, averaged over k = 1 … n, in [0, 1].

    Risk against coverage: El-Yaniv and Wiener, 2010 (JMLR 11); this area: Geifman, Uziel and El-Yaniv, 2019 (ICLR). The
    answer at rank i is among the k most confident for all k ≥ i, so its weight is Σ_{k ≥ i} 1/k.
    """
    order = np.argsort(-confidence, kind="stable")
    drawn, wrong = np.take(counts, order, axis=1), 1 - correct[order]
    begins = np.flatnonzero(np.diff(confidence[order], prepend=np.inf))  # of each group of equal confidence
    if len(begins) < len(order):
        sizes = np.add.reduceat(drawn, begins, axis=1)
        wrong = np.add.reduceat(drawn * wrong, begins, axis=1) / np.maximum(sizes, 1)
        drawn = sizes
    ranks = np.cumsum(drawn, axis=1, dtype=np.intp)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, ranks.max() + 1))])  # H_m = Σ_{k ≤ m} 1/k
    n = ranks[:, -1:]
    first = ranks * (harmonic[n] - harmonic[ranks] + 1)  # weights of the first m ranks together: m · (H_n - H_m + 1)
    weights = np.diff(first, axis=1, prepend=0.0)
    areas: Floats = (weights * wrong).sum(axis=1) / n[:, 0]
    return areas
