"""What an update of a training is made of: windows drawn at random, in parts of like length, and their loss.

To pad every window of an update to its longest one wastes near half of the computation on SQuAD. With windows of like
length in each update, one would learn from short passages and the next from long ones. So an update has the windows
that chance gives it, and is computed in parts of like length, whose gradients add up.
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
# What a part costs beside its tokens, as operations that could be done meanwhile: its calls, and adding its gradient of
# each parameter. Measured on two cores of a CPU; for GPUs a guess, by which few would split an update of 16 windows.
_FLOP_OF_CALLS = {"cpu": 5e8, "cuda": 5e12}
_FLOP_OF_A_GRADIENT = 200
# Of the widest activations of a packed row. What is larger the C library maps anew each time, and the kernel clears it.
_PACKED_BYTES = 2**25


class Shuffled(Sampler[int]):
    """Rows in random order, another one in each epoch.

    The order depends on ``seed`` and the epoch alone, not on how many random numbers were drawn before: a resumed
    training sees the rest of the epoch in the order in which it would have come.
    """

    def __init__(self, n_rows: int, seed: int) -> None:
        self._n_rows, self._seed, self._epoch = n_rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer as each epoch begins, and when it skips to where it stopped."""
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
    """Row numbers of an update → its windows with labels, in parts: packed ones, or padded ones of like length.

    Each part is a dict of what the network ``reads``, the labels, ``share``, its share of the update's windows, and
    ``own_tokens`` (b, L), False on padding. ``own_cost``: what a part costs beside its tokens, in tokens. Rows are
    padded to a ``multiple_of`` tokens. What would take several padded parts is packed instead, where ``packed_tokens``,
    the most in one row, are not 0; it has ``splits``: where each window begins in its row, and where the last one ends.

    Of several ``processes``, number ``rank`` takes the rows rank, rank + processes, ... in the order of lengths, so
    that all have as much to do. Gradients are averaged over processes: shares are that many times as large.

    With a ``lesson``, a part has the teacher's probabilities as well, (b, L) float32, 0 on padding.
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
        """This process's parts of an update, as the Trainer passes them on."""
        times, (packed, cut) = self.processes if self.rank < len(rows) else 0, self.cut(rows)
        made = map(self._packed if packed else self._padded, cut)
        return {
            "parts": [
                part | self._labels(of) | self._taught(part["own_tokens"], of) | {"share": times * len(of) / len(rows)}
                for of, part in zip(cut, made, strict=True)
            ]
        }

    def cut(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[bool, list[NDArray[np.int64]]]:
        """Whether it packs them, and this process's rows of an update in parts, one without a share if it has none."""
        by_length = np.asarray(rows)[np.argsort(self.windows.lengths[rows], kind="stable")]
        mine = by_length[self.rank :: self.processes] if self.rank < len(rows) else by_length[:1]
        lengths = self.windows.lengths[mine]
        padded = [mine[part] for part in parts(lengths, self.own_cost, self.multiple_of)]
        if len(padded) == 1 or not self.packed_tokens:
            return False, padded
        n = min(len(mine), -(-int(lengths.sum()) // self.packed_tokens))
        return True, [mine[i::n] for i in range(n)]

    def computed_tokens(self, rows: NDArray[np.int64]) -> int:
        """Tokens of an update in all processes, with padding."""
        tokens = 0
        for rank in range(self.processes):
            packed, cut = replace(self, rank=rank).cut(rows)
            for part in cut:
                tokens += int(self.windows.lengths[part].sum()) if packed else len(part) * self._width(part)
        return tokens

    def _width(self, part: NDArray[np.int64]) -> int:
        """Tokens that each row of a part is padded to."""
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


class Logits(NamedTuple):
    """Start and end logits (b, L) each, by the names that the output of a network gives them."""

    start_logits: torch.Tensor
    end_logits: torch.Tensor


def span_loss(
    output: Any, own_tokens: torch.Tensor, start: torch.Tensor, end: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean over windows of the mean of two cross-entropies, of the answer's first and of its last token, in nats.

    ``output`` has start and end logits (b, L), ``own_tokens`` (b, L) is 0 on padding, labels are (b,) int64. Only
    the window's own tokens are candidates: in the loss of transformers' networks padding is, too, so that it depends
    on how much of it there happens to be. The share ``smoothing`` of a label is spread evenly over the candidates
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
    """What a collator's ``part`` of an update contributes to the mean loss of its windows.

    With a ``lesson`` that is (1 - weight) times the loss of the labels and weight times the mean divergence of the two
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
    """A collator that cuts updates as is cheapest for a network of this size on this device."""
    of_part = _FLOP_OF_CALLS[device.type] + _FLOP_OF_A_GRADIENT * network.num_parameters()
    of_token = TRAINING_OVER_FORWARD * 2 * network.num_parameters(exclude_embeddings=True)
    multiple_of = 8 if device.type == "cuda" else 1  # tensor cores want multiples of 8
    packed_tokens = 0
    # Activations that are computed once more, with the gradient, would be those of attention over the whole row.
    once = not getattr(network, "is_activation_checkpointing", False)
    if device.type == "cpu" and once and packing.possible(network):
        widest = max(layer.out_features for layer in network.modules() if isinstance(layer, torch.nn.Linear))
        packed_tokens = _PACKED_BYTES // (4 * widest)
    reads = inputs.of(network)
    return Collator(windows, pad_token_id, reads, of_part / of_token, multiple_of, rank, processes, packed_tokens)
