"""Each model's confidence and correctness: calibration, and accuracy at partial coverage."""

from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from qa_tradeoffs.analysis.answers import Answers
from qa_tradeoffs.analysis.collected import bounded
from qa_tradeoffs.analysis.slices import FEWEST
from qa_tradeoffs.metrics import calibration, intervals

Floats = npt.NDArray[np.float64]

BINS = 10
COVERAGES = np.linspace(0.1, 1.0, 10)  # below 10 % too few questions are left
_RESAMPLES = 1000
_SIGNED = ("gap", "gain")  # figures that may be negative
_DRAWS = 400  # simulations of a calibrated model


class Calibration(NamedTuple):
    """Confidence and correctness (EM), in points and per cent; empty tables below ``slices.FEWEST`` questions.

    With several seeds, figures are means over seeds. Intervals are over questions: t intervals with the standard error
    of a cluster bootstrap.

    ``models``: one row per model: model, n, seeds; mean ``confidence`` and ``accuracy``; ``gap`` = confidence -
    accuracy with ``gap_low`` and ``gap_high``, at a level corrected for the number of distinct models and the two tests
    of each (Bonferroni); ``ece``, which is positive by chance alone and therefore has no interval but ``ece_chance``,
    the value that a perfectly calibrated model exceeds only at that level; ``aurc`` with its 95 % interval, and its
    value for random confidence (``aurc_random``) and for confidence that ranks every right answer before every wrong
    one (``aurc_best``); ``verdict``: overconfident or underconfident if the interval of ``gap`` excludes zero, else
    miscalibrated if ``ece`` exceeds ``ece_chance``, else no miscalibration detected.
    ``bins``: model, bin, bin_confidence, and bin_accuracy with its 95 % interval.
    ``coverage``: model, coverage (per cent of the questions, the most confident first), their ``em`` with its 95 %
    interval, and its ``gain`` over answering all, with an interval corrected like ``gap``'s.
    """

    models: pd.DataFrame
    bins: pd.DataFrame
    coverage: pd.DataFrame


def confidence_of(frame: pd.DataFrame) -> Floats:
    """(n,): the model's probability of its answer, a span or, in SQuAD v2.0, no answer.

    For a span it is ``probability``; for no answer, that times exp(``no_answer_score``), the ratio of their scores.
    """
    span = frame["probability"].to_numpy(dtype=np.float64)
    # If a probability underflows to 0, the other option has probability 1.
    log_span = np.log(np.maximum(span, np.finfo(np.float64).tiny))
    none = np.exp(np.minimum(log_span + frame["no_answer_score"].to_numpy(dtype=np.float64), 0.0))
    answered: Floats = np.where(frame["prediction"] == "", none, span)
    return np.clip(answered, 0.0, 1.0)


def calibration_of(answers: Answers) -> Calibration:
    """The calibration of every model, from the same resamples of the questions."""
    n = len(answers.examples)
    if n < FEWEST:
        return Calibration(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    runs = {label: [_Run.of(frame) for frame in frames] for label, frames in answers.tables.items()}
    rng = np.random.default_rng(0)
    drawn: dict[str, list[dict[str, Floats]]] = {label: [] for label in runs}
    clusters, once = answers.clusters, np.ones((1, len(answers.clusters.sizes)))
    for counts in chain([once], intervals.resample_counts(once.size, rng, _RESAMPLES)):  # the sample itself first
        for label, seeds in runs.items():
            drawn[label].append(_mean([run.figures(counts[:, clusters.codes]) for run in seeds]))
    alpha = 0.05 / 2 / len(answers.distinct)  # two tests per model: gap and ECE
    parts = [
        _tables(label, seeds, _Drawn.of(drawn[label], clusters.freedom), rng, alpha) for label, seeds in runs.items()
    ]
    return Calibration(*(pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True)))


@dataclass(frozen=True, eq=False)
class _Run:
    """One model with one seed: confidence and correctness (n,), and the bins of its questions (n, bins)."""

    confidence: Floats
    correct: Floats
    tenths: Floats

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "_Run":
        confidence = confidence_of(frame)
        tenths = calibration.bins(confidence, np.linspace(0, 1, BINS + 1))
        return cls(confidence, frame["exact_match"].to_numpy(dtype=np.float64), tenths)

    def figures(self, counts: Floats) -> dict[str, Floats]:
        """The figures with intervals, for each resample: (r,) or (r, bins)."""
        em = calibration.accuracy_at(COVERAGES, self.confidence, self.correct, counts)
        return {
            "gap": counts @ (self.confidence - self.correct) / counts.sum(axis=1),
            "aurc": calibration.area_under_risk_coverage(self.confidence, self.correct, counts),
            "bin_accuracy": calibration.mean_in(self.tenths, self.correct, counts),
            "em": em,
            "gain": em - em[:, -1:],
        }

    def of_the_sample(self, rng: np.random.Generator, alpha: float) -> dict[str, Floats]:
        """The figures without intervals."""
        once = np.ones((1, len(self.correct)))
        errors = calibration.calibrated_error(self.tenths, self.confidence, rng, _DRAWS)
        return {
            "confidence": self.confidence.mean(),
            "accuracy": self.correct.mean(),
            "bin_confidence": calibration.mean_in(self.tenths, self.confidence, once)[0],
            "ece": calibration.calibration_error(self.tenths, self.confidence, self.correct),
            "ece_chance": np.quantile(errors, 1 - alpha),
            "aurc_best": calibration.area_under_risk_coverage(self.correct, self.correct, once)[0],
            "aurc_random": 1 - self.correct.mean(),
        }


def _mean(seeds: list[dict[str, Floats]]) -> dict[str, Floats]:
    """The mean over seeds of each figure, in points."""
    return {name: 100 * np.mean([figures[name] for figures in seeds], axis=0) for name in seeds[0]}


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Figures (1 + resamples, ...), the sample's first, and the degrees of freedom of their errors."""

    figures: dict[str, Floats]
    freedom: float

    @classmethod
    def of(cls, parts: list[dict[str, Floats]], freedom: float) -> "_Drawn":
        return cls({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, freedom)

    def columns(self, name: str, alpha: float = 0.05) -> dict[str, Any]:
        """Columns for a figure and its t interval at 1 - ``alpha``."""
        found, *resampled = self.figures[name]
        half = special.stdtrit(self.freedom, 1 - alpha / 2) * np.nanstd(resampled, axis=0)
        return bounded(name, found, np.clip([found - half, found + half], -100 if name in _SIGNED else 0, 100))


def _tables(label: str, seeds: list[_Run], drawn: _Drawn, rng: np.random.Generator, alpha: float) -> Calibration:
    """One model's rows."""
    sample = _mean([run.of_the_sample(rng, alpha) for run in seeds])
    bins = {"bin": np.arange(1, BINS + 1), "bin_confidence": sample.pop("bin_confidence")}
    models: dict[str, Any] = {"n": len(seeds[0].correct), "seeds": len(seeds), **sample}
    models |= drawn.columns("gap", alpha) | drawn.columns("aurc")
    kinds = {
        "overconfident": models["gap_low"] > 0,
        "underconfident": models["gap_high"] < 0,
        "miscalibrated": models["ece"] > models["ece_chance"],
        "no miscalibration detected": True,
    }
    models["verdict"] = next(kind for kind, holds in kinds.items() if holds)
    coverage = {"coverage": 100 * COVERAGES} | drawn.columns("em") | drawn.columns("gain", alpha)
    return Calibration(
        pd.DataFrame([{"model": label, **models}]),
        pd.DataFrame({"model": label, **bins, **drawn.columns("bin_accuracy")}),
        pd.DataFrame({"model": label, **coverage}),
    )
