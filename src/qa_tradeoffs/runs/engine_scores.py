"""Notebook 2 for the engines other than torch: each answers the same questions as torch and is scored."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from qa_tradeoffs.core import progress, words
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import registry
from qa_tradeoffs.engines.protocol import Engine, Trained
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.metrics.estimates import Clusters, mean
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.stage import Stage
from qa_tradeoffs.study.engines import LABELS


@dataclass(frozen=True)
class Scored:
    """An engine's answers, a scored row per question; the ``file`` that it ran, None for the checkpoint."""

    frame: pd.DataFrame
    records: list[Record]
    file: Path | None
    conditions: Mapping[str, str]


@dataclass(frozen=True)
class Engines:
    """The answers of each engine other than torch, by name, and the reasons why others could not be used."""

    scored: dict[str, Scored] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[Record]:
        """One record per engine without a result."""
        return registry.missing(self.reasons)


def score(job: Stage, network: Any, tokenizer: Any, threshold: float, language: str) -> Engines:
    """Prepare every engine of the study except torch from the trained network, and answer all questions with it.

    ``threshold``: torch's no-answer threshold, used for all of them.
    """
    assert job.seed is not None
    folder, found = job.paths.engines(job.slug, job.seed), Engines()
    shutil.rmtree(folder, ignore_errors=True)  # files of earlier weights
    trained = Trained(network, tokenizer.pad_token_id, job.device, job.precision(network), folder)
    ready, reasons = registry.prepare_all(job.study.other_engines, trained)
    found.reasons.update(reasons)
    for name, engine in ready.items():
        try:
            found.scored[name] = _scored(job, tokenizer, engine, threshold, language, LABELS[name])
        except (StudyError, MemoryError) as error:
            found.reasons[name] = f"{name}: {error}"
    return found


def _scored(job: Stage, tokenizer: Any, engine: Engine, threshold: float, language: str, label: str) -> Scored:
    reading, examples = Reading.of(job.study), job.splits.validation
    answered = answers.answer(engine, tokenizer, examples, reading, progress.counter(f"question, {label}"))
    frame = scoring.score(answered, examples, v2=reading.v2, threshold=threshold, language=language)
    records = scoring.records(frame, examples, v2=reading.v2, language=language)
    if engine.file:
        records.append(Record.of("bytes_on_disk", engine.file.stat().st_size, "bytes"))
    return Scored(frame, records, engine.file, engine.conditions)


def table(reference: pd.DataFrame, engines: Engines) -> pd.DataFrame:
    """Each engine against torch's scored answers ``reference``, for a reader; no row if torch is the only engine."""
    rows = [_row(name, one, reference) for name, one in engines.scored.items()]
    rows += [{"engine": LABELS[name], "note": reason} for name, reason in engines.reasons.items()]
    return pd.DataFrame(rows).fillna("")


def write(job: Stage, engines: Engines, **conditions: Any) -> list[Path]:
    """Write each engine's predictions and result beside torch's; returns the paths of the results."""
    assert job.seed is not None
    written = []
    for name, one in engines.scored.items():
        predictions = job.paths.predictions(job.slug, job.seed, name)
        scoring.write_predictions(one.frame, predictions)
        beside = [predictions, *([one.file] if one.file else [])]
        path = job.paths.evaluation(job.slug, job.seed, name)
        results.write(path, job.collect(one.records, beside=beside, **conditions | {"engine": name, **one.conditions}))
        written.append(path)
    return written


def _row(name: str, one: Scored, reference: pd.DataFrame) -> dict[str, str]:
    frame, clusters = one.frame, Clusters.of(reference["article"], reference["passage"])
    gap = mean(100 * (frame["f1"] - reference["f1"]).to_numpy(), clusters)
    low, high = map(words.signed, gap.interval())
    changed = int((frame["prediction"].to_numpy() != reference["prediction"].to_numpy()).sum())
    return {
        "engine": LABELS[name],
        "F1": f"{100 * frame['f1'].mean():.2f}",
        "F1 minus torch's": f"{words.signed(gap.value)} ({low} to {high})",
        "answers changed": f"{changed:,} of {len(frame):,}",
        "on disk": words.size(one.file.stat().st_size) if one.file else "the checkpoint",
        "note": "; ".join(f"{key}: {value}" for key, value in one.conditions.items()),
    }
