"""What a network is given of padded windows: the inputs that it takes, in rows that it can read."""

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.features import Int64, Windows, pad

_GLOBAL = "global_attention_mask"
_POSITIONS = re.compile(r"(?:(.*)\.)?(position_embeddings|embed_positions|wpe)")


@dataclass(frozen=True)
class Inputs:
    """How a network reads windows.

    ``names``: of the inputs that its forward takes. ``longest``: tokens of the longest row that it has positions for;
    None where positions are relative and any length goes. ``width``: tokens that every row is padded to, where the
    network takes no others or sees padding; None where the longest row of a batch decides. ``separator``: id of the
    token after the question, where the network is told which tokens see all others (Longformer: those of the question).
    ``network``: its class, for messages. ``first``: the position of a row's first token.
    """

    names: frozenset[str]
    longest: int | None = None
    width: int | None = None
    separator: int | None = None
    network: str = "the network"
    first: int = 0

    def check(self, tokens: int, what: str, advice: str) -> None:
        """Refuse rows of so many ``tokens``, which ``what`` asks for, where the network takes fewer."""
        if self.longest is not None and tokens > self.longest:
            raise StudyError(f"{what} {tokens} tokens, but {self.network} takes {self.longest}; {advice}")

    def check_windows(self, tokens: int) -> None:
        """Refuse windows of so many tokens."""
        self.check(tokens, "training.max_length: windows of", "give a max_length up to that")

    def padded(self, tokens: int, multiple_of: int = 1) -> int:
        """Tokens of a row in a batch whose longest has so many."""
        if self.width is not None:
            return self.width
        rounded = -(-tokens // multiple_of) * multiple_of
        return rounded if self.longest is None else max(tokens, min(rounded, self.longest))

    def batch(self, windows: Windows, rows: Int64, pad_token_id: int, multiple_of: int = 1) -> dict[str, Tensor]:
        """The windows ``rows`` as the network takes them: (b, L) int64 each. Raises StudyError if one is too long."""
        tokens = int(windows.lengths[rows].max())
        self.check_windows(tokens)
        arrays = pad(windows, rows, pad_token_id, multiple_of=self.padded(tokens, multiple_of))
        if self.separator is not None:
            arrays[_GLOBAL] = _before(arrays["input_ids"], self.separator)
        return {name: torch.from_numpy(values) for name, values in arrays.items() if name in self.names}

    def full(self, ids: Tensor) -> dict[str, Tensor]:
        """Rows ``ids`` (b, L) int64 without padding as the network takes them: (b, L) int64 each.

        Where it is told which tokens see all others, they are the first eighth, as of a question.
        """
        question = torch.arange(ids.shape[1], device=ids.device) < ids.shape[1] // 8
        rows = {"input_ids": ids, "attention_mask": torch.ones_like(ids), _GLOBAL: question.long().expand_as(ids)}
        return {name: values for name, values in rows.items() if name in self.names}

    def packed(self, ids: Tensor, types: Tensor, splits: Sequence[int]) -> dict[str, Tensor]:
        """Windows end to end in one row: (1, T) int64 each. Window i has the tokens ``[splits[i], splits[i + 1])``."""
        positions = torch.cat([torch.arange(stop - begin) for begin, stop in pairwise(splits)]) + self.first
        row = {"input_ids": ids, "token_type_ids": types, "position_ids": positions}
        return {name: values.long()[None] for name, values in row.items() if name in self.names}


def of(network: Any) -> Inputs:
    """How this network reads windows."""
    config, names = getattr(network, "config", None), set(inspect.signature(network.forward).parameters)
    if getattr(config, "type_vocab_size", 2) < 2:  # it has no types to tell apart, whatever its tokenizer gives
        names.discard("token_type_ids")
    longest = min(_limits(network), default=None)
    segments = getattr(config, "segment_means_seq_len", None)  # Nyströmformer: means over parts of such a row
    if segments is not None and segments != getattr(config, "num_landmarks", None):
        longest = segments
    # FNet mixes all of a row, Nyströmformer's convolution wide parts of it, padding too.
    width = longest if segments is not None or "attention_mask" not in names else None
    separator = getattr(config, "sep_token_id", None) if _GLOBAL in names else None
    first = max(map(_first, _tables(network).values()), default=0)
    return Inputs(frozenset(names), longest, width, separator, type(network).__name__, first)


def _limits(network: Any) -> Iterator[int]:
    """Tokens for which each of the network's tables of positions has a row.

    RoBERTa's kin count from the row after that of padding, BART's from an ``offset``.
    """
    for name, table in _tables(network).items():
        yield table.num_embeddings - max(_first(table), getattr(table, "offset", 0))
        positions = getattr(network.get_submodule(name), "position_ids", None)
        if positions is not None:
            yield positions.shape[-1]


def _tables(network: Any) -> dict[str, torch.nn.Embedding]:
    """The network's tables of positions, by the name of the module that each lies in."""
    named = ((_POSITIONS.fullmatch(name), module) for name, module in network.named_modules())
    return {name[1] or "": table for name, table in named if name and isinstance(table, torch.nn.Embedding)}


def _first(table: torch.nn.Embedding) -> int:
    return 0 if table.padding_idx is None else table.padding_idx + 1


def _before(ids: Int64, separator: int) -> Int64:
    """1 on the tokens before a row's first separator, else 0: (b, L); where a row has none, nowhere."""
    question: Int64 = (np.arange(ids.shape[1]) < (ids == separator).argmax(axis=1)[:, None]).astype(np.int64)
    return question
