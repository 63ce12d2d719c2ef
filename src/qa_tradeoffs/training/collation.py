"""The windows of an update, drawn at random and cut into micro-batches of similar length, and their loss.

Padding every window of an update to the longest wastes nearly half of the computation on SQuAD. Updates of windows of
similar length would learn from short passages in one update and from long ones in the next. So the windows of an update
are drawn at random, but computed in micro-batches of similar length ("parts"), whose gradients add up.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler

from qa_tradeoffs.data.features import Windows, parts
from qa_tradeoffs.metrics.flops import TRAINING_OVER_FORWARD
from qa_tradeoffs.models import inputs, packing
from qa_tradeoffs.models.inputs import Inputs
from qa_tradeoffs.training.distillation import Lesson, divergence

LABELS = ("start_positions", "end_positions")
TAUGHT = ("start_taught", "end_taught")
# The fixed cost of a part, in operations: its calls, and accumulating the gradient of each parameter. Measured on two
# CPU cores; for GPUs a guess, with which updates of 16 windows are rarely split.
_FLOP_OF_CALLS = {"cpu": 5e8, "cuda": 5e12}
_FLOP_OF_A_GRADIENT = 200
# Bytes of the widest activations of a packed row. The C library maps larger blocks anew each time, and the kernel
# clears them.
_PACKED_BYTES = 2**25


class Shuffled(Sampler[int]):
    """Rows in random order, a different one in each epoch.

    The order depends only on ``seed`` and the epoch, not on random numbers drawn before, so that a resumed training
    sees the rest of the epoch in the same order.
    """

    def __init__(self, n_rows: int, seed: int) -> None:
        self._n_rows, self._seed, self._epoch = n_rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of each epoch and when it resumes."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n_rows

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows_of(self._epoch).tolist())

    def updates(self, batch_size: int, steps: int) -> list[NDArray[np.int64]]:
        """The rows of each of the first ``steps`` updates of a training."""
        cuts = range(batch_size, self._n_rows, batch_size)
        epochs = math.ceil(steps / (len(cuts) + 1))
        return [rows for epoch in range(epochs) for rows in np.split(self._rows_of(epoch), cuts)][:steps]

    def _rows_of(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(self._n_rows)


@dataclass(frozen=True)
class Collator:
    """Row numbers of an update → its windows with labels, in parts: packed, or padded and of similar length.

    Each part is a dict of what the network ``reads``, the labels, ``share``, its share of the update's windows, and
    ``own_tokens`` (b, L), False on padding. ``own_cost``: fixed cost of a part, in tokens. Rows are padded to a
    ``multiple_of`` tokens. If ``packed_tokens``, the limit per row, is not 0, updates that would need several padded
    parts are packed instead; such a part has ``splits``: where each window begins in its row, and where the last ends.

    Of several ``processes``, number ``rank`` takes the rows rank, rank + processes, ... in the order of lengths, which
    balances their work. Gradients are averaged over processes, so shares are multiplied by their number.

    With a ``lesson``, a part also has the teacher's probabilities, (b, L) float32, 0 on padding.
    """

    windows: Windows
    pad_token_id: int
    reads: Inputs
    own_cost: float
    multiple_of: int = 1
    rank: int = 0
    processes: int = 1
    packed_tokens: int = 0
    lesson: Lesson | None = None

    def __call__(self, rows: list[int]) -> dict[str, Any]:
        """This process's parts of an update, in the form that the Trainer passes on."""
        times, (packed, cut) = self.processes if self.rank < len(rows) else 0, self.cut(rows)
        made = map(self._packed if packed else self._padded, cut)
        return {
            "parts": [
                part | self._labels(of) | self._taught(part["own_tokens"], of) | {"share": times * len(of) / len(rows)}
                for of, part in zip(cut, made, strict=True)
            ]
        }

    def cut(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[bool, list[NDArray[np.int64]]]:
        """Whether the update is packed, and this process's rows in parts; one with share 0 if it has no rows."""
        by_length = np.asarray(rows)[np.argsort(self.windows.lengths[rows], kind="stable")]
        mine = by_length[self.rank :: self.processes] if self.rank < len(rows) else by_length[:1]
        lengths = self.windows.lengths[mine]
        padded = [mine[part] for part in parts(lengths, self.own_cost, self.multiple_of)]
        if len(padded) == 1 or not self.packed_tokens:
            return False, padded
        n = min(len(mine), -(-int(lengths.sum()) // self.packed_tokens))
        return True, [mine[i::n] for i in range(n)]

    def computed_tokens(self, rows: NDArray[np.int64]) -> int:
        """Tokens of an update over all processes, padding included."""
        tokens = 0
        for rank in range(self.processes):
            packed, cut = replace(self, rank=rank).cut(rows)
            for part in cut:
                tokens += int(self.windows.lengths[part].sum()) if packed else len(part) * self._width(part)
        return tokens

    def _width(self, part: NDArray[np.int64]) -> int:
        """Tokens to which each row of a part is padded."""
        return self.reads.padded(int(self.windows.lengths[part].max()), self.multiple_of)

    def _padded(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        part = self.reads.batch(self.windows, rows, self.pad_token_id, self.multiple_of)
        return part | {"own_tokens": self._own_tokens(rows, self._width(rows))}

    def _packed(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        lengths, tokens = self.windows.lengths[rows], self.windows.tokens_of(rows)
        ids, types = (torch.from_numpy(x[tokens]) for x in (self.windows.input_ids, self.windows.token_type_ids))
        splits = [0, *np.cumsum(lengths).tolist()]
        own_tokens = self._own_tokens(rows, int(lengths.max()))
        return self.reads.packed(ids, types, splits) | {"own_tokens": own_tokens, "splits": splits}

    def _own_tokens(self, rows: NDArray[np.int64], width: int) -> torch.Tensor:
        return torch.from_numpy(np.arange(width) < self.windows.lengths[rows, None])

    def _labels(self, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        labels = (self.windows.start_labels[rows], self.windows.end_labels[rows])
        return {name: torch.from_numpy(values) for name, values in zip(LABELS, labels, strict=True)}

    def _taught(self, own_tokens: torch.Tensor, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """The lesson's probabilities of these windows' ``own_tokens`` (b, L)."""
        if self.lesson is None:
            return {}
        taught = torch.zeros(2, *own_tokens.shape)
        taught[:, own_tokens] = torch.from_numpy(self.lesson.probabilities[:, self.windows.tokens_of(rows)])
        return dict(zip(TAUGHT, taught, strict=True))


def moved(part: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A collator's ``part`` with its tensors on the device."""
    return {name: value.to(device) if torch.is_tensor(value) else value for name, value in part.items()}


class Logits(NamedTuple):
    """Start and end logits, (b, L) each, under the names of a network's output."""

    start_logits: torch.Tensor
    end_logits: torch.Tensor


def span_loss(
    output: Any, own_tokens: torch.Tensor, start: torch.Tensor, end: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean over windows of the mean of two cross-entropies, of the answer's first and last token, in nats.

    ``output`` has start and end logits (b, L), ``own_tokens`` (b, L) is 0 on padding, labels are (b,) int64. Only the
    window's own tokens are candidates; in transformers' losses padding is a candidate too, so that they depend on its
    amount. The share ``smoothing`` of a label is spread evenly over the candidates
    (Szegedy et al. 2016, arXiv 1512.00567, section 7).
    """
    padding = own_tokens == 0
    loss = torch.zeros((), device=padding.device)
    for logits, labels in ((output.start_logits, start), (output.end_logits, end)):
        candidates = logits.float().masked_fill(padding, -math.inf)
        loss = loss + (1 - smoothing) * cross_entropy(candidates, labels) / 2
        if smoothing:
            evenly = candidates.log_softmax(-1).masked_fill(padding, 0).sum(-1) / own_tokens.sum(-1)
            loss = loss - smoothing * evenly.mean() / 2
    return loss


def part_loss(network: Any, part: dict[str, Any], smoothing: float = 0.0, lesson: Lesson | None = None) -> torch.Tensor:
    """The contribution of a collator's ``part`` to the mean loss of its update.

    With a ``lesson`` it is (1 - weight) times the loss of the labels plus weight times the mean divergence of the two
    ends, as in DistilBERT's fine-tuning (Sanh et al. 2019, arXiv 1910.01108, section 4.1).
    """
    share, own_tokens, start, end = (part.pop(name) for name in ("share", "own_tokens", *LABELS))
    splits, taught = part.pop("splits", None), [part.pop(name, None) for name in TAUGHT]
    if splits is None:
        output = network(**part)
    else:
        with packing.apart(splits):
            row = network(**part)
        lengths = np.diff(splits).tolist()
        each = (logits[0].split(lengths) for logits in (row.start_logits, row.end_logits))
        output = Logits(*(pad_sequence(of_each, batch_first=True) for of_each in each))
    loss: torch.Tensor = share * span_loss(output, own_tokens, start, end, smoothing)
    if lesson is None or lesson.weight == 0:
        return loss
    of_start, of_end = (
        divergence(logits, own_tokens, of_teacher, lesson.temperature)
        for logits, of_teacher in zip((output.start_logits, output.end_logits), taught, strict=True)
    )
    loss = (1 - lesson.weight) * loss + lesson.weight * share * (of_start + of_end) / 2
    return loss


def collator_for(
    network: Any, windows: Windows, pad_token_id: int, device: torch.device, rank: int = 0, processes: int = 1
) -> Collator:
    """A collator that cuts updates at the lowest cost for a network of this size on this device."""
    of_part = _FLOP_OF_CALLS[device.type] + _FLOP_OF_A_GRADIENT * network.num_parameters()
    of_token = TRAINING_OVER_FORWARD * 2 * network.num_parameters(exclude_embeddings=True)
    multiple_of = 8 if device.type == "cuda" else 1  # tensor cores need multiples of 8
    packed_tokens = 0
    # Gradient checkpointing would recompute attention over the whole row instead of each window.
    once = not getattr(network, "is_activation_checkpointing", False)
    if device.type == "cpu" and once and packing.possible(network):
        widest = max(layer.out_features for layer in network.modules() if isinstance(layer, torch.nn.Linear))
        packed_tokens = _PACKED_BYTES // (4 * widest)
    reads = inputs.of(network)
    return Collator(windows, pad_token_id, reads, of_part / of_token, multiple_of, rank, processes, packed_tokens)
