"""Whether a model knows when it is right: calibration, and accuracy when the least sure questions stay unanswered.

A function takes n questions, ``confidence`` (n,) in [0, 1] and ``correct`` (n,) in {0, 1}, and ``counts`` (r, n), how
often each question is in each of r resamples: in the sample itself, once. Questions of equal confidence have no order:
each is spread evenly over the ranks that they share, which gives the mean over all their orderings.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def bins(confidence: Floats, edges: npt.ArrayLike) -> Floats:
    """(n, k): the part of each question that is in each of k bins, questions sorted by rising confidence.

    ``edges`` (k + 1,) are the shares of the questions at which bins begin and end. Bins cut between ranks, so that each
    has its exact share: np.linspace(0, 1, k + 1) are bins of equal mass.
    """
    _, group, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)[group][:, None]
    begins = ends - sizes[group][:, None]
    cuts = len(confidence) * np.asarray(edges, dtype=np.float64)
    overlap = np.minimum(ends, cuts[1:]) - np.maximum(begins, cuts[:-1])
    parts: Floats = np.maximum(overlap, 0.0) / (ends - begins)
    return parts


def mean_in(parts: Floats, values: Floats, counts: Floats) -> Floats:
    """(r, k): the mean of ``values`` (n,) in each of the bins ``parts`` (n, k); NaN where a resample left one empty."""
    with np.errstate(invalid="ignore"):
        means: Floats = (counts @ (parts * values[:, None])) / (counts @ parts)
    return means


def calibration_error(parts: Floats, confidence: Floats, correct: Floats, counts: Floats) -> Floats:
    """(r,): expected calibration error in [0, 1], the mean gap of confidence and accuracy over the bins ``parts``.

    Σ_k share of bin k · |accuracy in k − mean confidence in k| (Naeini, Cooper and Hauskrecht, 2015, AAAI), which for
    bins of equal mass is also called adaptive. The bins stay those of the sample in every resample.
    """
    gaps = counts @ (parts * (correct - confidence)[:, None])
    errors: Floats = np.abs(gaps).sum(axis=1) / counts.sum(axis=1)
    return errors


def calibrated_error(parts: Floats, confidence: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """(draws,): the calibration errors that chance alone gives a perfectly calibrated model of these confidences."""
    correct = rng.random((draws, len(confidence))) < confidence
    errors: Floats = np.abs((correct - confidence) @ parts).sum(axis=1) / len(confidence)
    return errors


def area_under_risk_coverage(confidence: Floats, correct: Floats, counts: Floats) -> Floats:
    """(r,): the mean over k = 1 … n of the share of wrong answers among the k most confident ones, in [0, 1].

    Risk against coverage: El-Yaniv and Wiener, 2010 (JMLR 11); this area: Geifman, Uziel and El-Yaniv, 2019 (ICLR). The
    answer at rank i counts in the k most confident for all k ≥ i, so that its weight is Σ_{k ≥ i} 1/k.
    """
    n = counts.shape[1]
    order = np.argsort(-confidence, kind="stable")
    drawn, wrong = np.take(counts, order, axis=1), 1 - correct[order]
    begins = np.flatnonzero(np.diff(confidence[order], prepend=np.inf))  # of each group of equal confidence
    if len(begins) < n:
        sizes = np.add.reduceat(drawn, begins, axis=1)
        wrong = np.add.reduceat(drawn * wrong, begins, axis=1) / np.maximum(sizes, 1)
        drawn = sizes
    tails = np.cumsum(1 / np.arange(n, 0, -1))[::-1]  # at rank i: Σ_{k ≥ i} 1/k
    first = np.concatenate([[0.0], np.cumsum(tails)])  # weights of the first ranks together
    weights = np.diff(first[np.cumsum(drawn, axis=1, dtype=np.intp)], axis=1, prepend=0.0)
    areas: Floats = (weights * wrong).sum(axis=1) / n if wrong.ndim == 2 else weights @ wrong / n
    return areas
