"""A student's targets: its teacher's logits of the training windows, computed once for all students.

The logits of a teacher and seed are in runs/<study>/<teacher>/seed-<seed>/logits.npy, beside a record of their inputs.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa_tradeoffs.core import words
from qa_tradeoffs.core.files import is_file, write_text
from qa_tradeoffs.core.locks import locked
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import checkpoints, precisions
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.stage import Stage
from qa_tradeoffs.study import config
from qa_tradeoffs.training.distillation import Lesson, write_logits, write_targets

# How a reader sees what the records of a lesson say.
_FACTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "teacher_logits_seconds": ("time to compute the teacher's logits", words.seconds),
    "teacher_dropped": ("probability dropped", words.percent),
    "teacher_train_seconds": ("time to train the teacher", words.seconds),
}
_TRAINING = ("train_seconds", "teacher_train_seconds", "teacher_logits_seconds")  # a training's total time


@dataclass(frozen=True)
class Taught:
    """A student's lesson and its cost; None and no records for a model without a teacher."""

    lesson: Lesson | None = None
    records: list[Record] = field(default_factory=list)

    def summary(self) -> dict[str, str]:
        """The lesson, for a reader."""
        if self.lesson is None:
            return {"teacher": "none"}
        values = {record.metric: record.value for record in self.records}
        facts = {name: shown(values[metric]) for metric, (name, shown) in _FACTS.items() if metric in values}
        weight = f"{self.lesson.weight:g} of the loss, at temperature {self.lesson.temperature:g}"
        return {"teacher": self.lesson.teacher, "weight": weight, **facts}


def of(job: Stage, questions: Sequence[Example], windows: Windows) -> Taught:
    """The lesson for the student that ``job`` trains on these windows of these training questions.

    Records: ``teacher_train_seconds``, in device seconds, for the teacher and its own teachers, unless it came
    fine-tuned; ``teacher_logits_seconds``; ``teacher_dropped``, the mean share of its probability without a place among
    the student's tokens. Raises StudyError if the teacher is not trained or stale.
    """
    if job.model.teacher is None:
        return Taught()
    assert job.seed is not None
    slug, seed, asked = job.model.teacher, job.study.teacher_seed(job.slug, job.seed), job.model.lesson
    teacher = replace(job, study=job.study.of(slug), slug=slug, seed=seed)
    theirs = teacher.windows(job.splits.train, teacher.trained_tokenizer)
    assert theirs is not None
    logits, seconds, sha256 = _logits(teacher, theirs, job.splits.fingerprint)
    row = {example.id: number for number, example in enumerate(job.splits.train)}
    same = np.array([row[example.id] for example in questions])
    path = job.paths.targets(job.slug, job.seed)
    dropped = write_targets(path, windows, theirs, logits, same, asked.temperature)
    rows = [("logits_seconds", seconds, "s", len(theirs.lengths)), ("dropped", dropped, "1", len(windows.lengths))]
    if not teacher.model.fine_tuned:
        rows.append(("train_seconds", _training_seconds(job.paths.training(slug, seed)), "s", 1))
    made = {"teacher": slug, "logits_sha256": sha256}
    records = [Record.of(f"teacher_{name}", value, unit, n, conditions=made) for name, value, unit, n in rows]
    return Taught(Lesson(slug, asked.weight, asked.temperature, path), records)


def _training_seconds(path: Path) -> float:
    """Device seconds of a training, including its own teacher's."""
    found = results.read(path)
    records = [record for metric in _TRAINING for record in found.all(metric)]
    return sum(record.value * float(record.conditions.get("devices") or 1) for record in records)


def _logits(teacher: Stage, windows: Windows, questions: str) -> tuple[NDArray[np.float32], float, str]:
    """Start and end logits of the teacher's windows, (2, n_tokens), memory-mapped; their seconds and SHA-256.

    ``questions``: fingerprint of the questions behind the windows.
    """
    path, weights = teacher.paths.logits(teacher.slug, teacher.seed or 0), teacher.trained_folder
    files = results.fingerprints(weights, *(file for file in weights.iterdir() if file.is_file()))
    recipe = inputs.digest(teacher.study, "train", teacher.slug, teacher.seed)
    precision = precisions.chosen(teacher.study.training.precision, teacher.device)
    wanted, note = config.digest([recipe, files, questions, precision]), path.with_suffix(".json")
    with locked(path.with_name(f".{path.name}.lock"), str(path), patience=math.inf):  # another student may compute them
        kept = inputs.recorded(note)
        if kept.get("inputs") != wanted or not is_file(path) or inputs.sha256(path) != kept.get("sha256"):
            seconds = _compute(teacher, windows, path)
            kept = {"inputs": wanted, "sha256": inputs.sha256(path), "seconds": seconds}
            write_text(note, json.dumps(kept, indent=1))
    return np.load(path, mmap_mode="r"), float(kept["seconds"]), str(kept["sha256"])


def _compute(teacher: Stage, windows: Windows, path: Path) -> float:
    """Write the teacher's logits of all windows, and return the seconds taken."""
    network = checkpoints.load(teacher.trained_folder, grouped_matmul=teacher.model.grouped_matmul)
    began = time.monotonic()
    pad_token_id, precision = teacher.trained_tokenizer.pad_token_id, teacher.precision(network)
    write_logits(path, network, windows, pad_token_id, teacher.device, precision)
    return time.monotonic() - began
