"""Distillation: a teacher's probabilities of an answer's start and end, on the student's tokens, and their loss.

Teacher and student may have different tokens and windows. Each window of the student uses the teacher's window of the
same question that overlaps it most, and a token's probability moves to the student's token at the same characters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import kl_div

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.data.features import Int64, Integers, Windows, batches
from qa_tradeoffs.models import inputs, precisions

Floats = NDArray[np.floating]
_BATCH_TOKENS = {"cpu": 4096, "cuda": 32_768}  # per batch of the teacher, padding included


@dataclass(frozen=True)
class Lesson:
    """What a student learns in addition to its labels.

    ``targets``: the file of the teacher's probabilities at this ``temperature``, (2, n_tokens) float32: for each of the
    student's tokens, of being the answer's first and last; they sum to 1 in each window. ``weight``: of the teacher's
    part of the loss.
    """

    teacher: str
    weight: float
    temperature: float
    targets: Path

    @property
    def guess(self) -> float:
        """An upper bound of a uniform guess's loss with this lesson, relative to its loss on the labels alone."""
        return 1 - self.weight + self.weight * self.temperature**2

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """The targets, memory-mapped: only what is used is read from disk."""
        found: NDArray[np.float32] = np.load(self.targets, mmap_mode="r")
        return found


def divergence(
    logits: torch.Tensor, own_tokens: torch.Tensor, taught: torch.Tensor, temperature: float
) -> torch.Tensor:
    """T² times the mean over windows of the divergence KL(teacher || student), both at temperature T, in nats.

    ``logits`` (b, L) are the student's, ``taught`` (b, L) the teacher's probabilities, ``own_tokens`` (b, L) is 0 on
    padding. T² keeps the gradient on the labels' scale (Hinton et al. 2015, arXiv 1503.02531, section 2).
    """
    padding = own_tokens == 0
    student = (logits.float() / temperature).masked_fill(padding, -torch.inf).log_softmax(-1)
    return temperature**2 * kl_div(student.masked_fill(padding, 0), taught, reduction="none").sum(-1).mean()


def write_logits(
    path: Path, network: Any, windows: Windows, pad_token_id: int, device: torch.device, precision: str
) -> None:
    """Write the start and end logits of all tokens of the windows, (2, n_tokens) float32, batch by batch.

    Raises StudyError if they are not finite.
    """
    reads, progress, done = inputs.of(network.to(device).eval()), Progress("window", len(windows.lengths)), 0
    with written_atomically(path) as temporary, torch.inference_mode(), precisions.autocast(device, precision):
        found = np.lib.format.open_memmap(temporary, "w+", np.float32, (2, len(windows.input_ids)))
        for rows in batches(windows.lengths, _BATCH_TOKENS[device.type]):
            batch = reads.batch(windows, rows, pad_token_id)
            output = network(**{name: values.to(device) for name, values in batch.items()})
            logits = torch.stack((output.start_logits, output.end_logits)).float().cpu().numpy()
            own = np.arange(logits.shape[2]) < windows.lengths[rows, None]
            found[:, windows.tokens_of(rows)] = logits[:, own]
            done += len(rows)
            progress.update(done)
        if not np.isfinite(found).all():
            raise StudyError(f"{path}: the teacher's logits are not all finite; train it with a lower learning_rate")
        found.flush()


def write_targets(
    path: Path, student: Windows, teacher: Windows, logits: Floats, same: Int64, temperature: float
) -> float:
    """Write the targets of ``Lesson``, and return the mean share of the teacher's probability that was dropped.

    ``logits`` (2, n_tokens of the teacher) are its start and end logits; ``same`` (n_examples of the student) is the
    teacher's row of each of the student's examples.
    """
    dropped = 0.0
    with written_atomically(path) as temporary:
        found = np.lib.format.open_memmap(temporary, "w+", np.float32, (2, len(student.input_ids)))
        for row, of in enumerate(covering(student, teacher, same)):
            own, theirs = (slice(*w.splits[i : i + 2]) for w, i in ((student, row), (teacher, of)))
            to = places(teacher.offsets[theirs], student.offsets[own])
            for end in (0, 1):
                found[end, own], lost = moved(softmax(logits[end, theirs] / temperature), to[end], own.stop - own.start)
                dropped += lost
        found.flush()
    return dropped / (2 * len(student.lengths))


def covering(student: Windows, teacher: Windows, same: Int64) -> Iterator[int]:
    """For each window of the student, the teacher's window of the same question that shares most characters with it."""
    spans, of_student = _spans(teacher), _spans(student)
    begins, stops = (np.searchsorted(teacher.example, same[student.example], side=side) for side in ("left", "right"))
    for (first, last), begin, stop in zip(of_student, begins, stops, strict=True):
        overlap = np.minimum(spans[begin:stop, 1], last) - np.maximum(spans[begin:stop, 0], first)
        yield int(begin + overlap.argmax())


def places(teacher: Integers, student: Integers) -> tuple[Int64, Int64]:
    """The place in a student's window of each token of a teacher's: (m,) as the answer's first token, (m,) as its last.

    ``teacher`` (m, 2), ``student`` (n, 2): offsets as in ``Windows``. A first token maps to the student's token with
    its first character, a last token to the one with its last character. The leading special tokens map to each other.
    Tokens outside the student's window map to its leading token, the label of windows without the answer. -1, no place:
    other special tokens, the question, and characters that are in no token of the student.
    """
    context = np.flatnonzero(student[:, 0] >= 0)
    begins, ends = student[context].T if len(context) else np.array([[0], [0]])
    first, last = teacher[:, 0], np.maximum(teacher[:, 0], teacher[:, 1] - 1)  # characters
    holders = np.searchsorted(ends, first, side="right"), np.searchsorted(begins, last, side="right") - 1
    found = []
    for character, holder in zip((first, last), holders, strict=True):
        holder = holder.clip(0, len(begins) - 1)
        holds = (begins[holder] <= character) & (character < ends[holder])
        outside = (character < begins[0]) | (character >= ends[-1])
        place = np.where(outside, 0, np.where(holds, context[holder] if len(context) else 0, -1))
        place[teacher[:, 0] < 0] = -1
        place[0] = 0
        found.append(place)
    return found[0], found[1]


def moved(probabilities: Floats, to: Int64, n: int) -> tuple[Floats, float]:
    """The probabilities (m,) moved to the places ``to`` (m,) among n tokens, scaled to sum to 1, and the sum dropped.

    If all of it is dropped, the leading token gets 1.
    """
    placed = to >= 0
    found = np.bincount(to[placed], probabilities[placed], minlength=n)
    total = found.sum()
    found[0] += total == 0
    return found / found.sum(), float(1 - total)


def softmax(logits: Floats) -> Floats:
    """Probabilities of logits (m,), in double precision."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    found: Floats = exponentials / exponentials.sum()
    return found


def _spans(windows: Windows) -> Int64:
    """First and one-past-last character of each window's context, (n, 2); both 0 without context."""
    first, after = windows.context
    begins, ends = windows.splits[:-1] + first, windows.splits[:-1] + np.maximum(after - 1, 0)
    spans = np.stack([windows.offsets[begins, 0], windows.offsets[ends, 1]], axis=1)
    return np.where((after > first)[:, None], spans, 0).astype(np.int64)
