"""Padded windows as a torch network's inputs: the arguments that it takes, in rows of supported lengths."""

import inspect
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from qa_tradeoffs.data.features import Int64, Windows
from qa_tradeoffs.models.rows import GLOBAL, Rows

_POSITIONS = re.compile(r"(?:(.*)\.)?(position_embeddings|embed_positions|wpe)")


class Inputs(Rows):
    """How a torch network reads windows."""

    def batch(self, windows: Windows, rows: Int64, pad_token_id: int, multiple_of: int = 1) -> dict[str, Tensor]:
        """The windows ``rows`` as the network takes them: (b, L) int64 each. Raises StudyError if one is too long."""
        arrays = self.arrays(windows, rows, pad_token_id, multiple_of)
        return {name: torch.from_numpy(values) for name, values in arrays.items()}

    def full(self, ids: Tensor) -> dict[str, Tensor]:
        """Rows ``ids`` (b, L) int64 without padding as the network takes them: (b, L) int64 each.

        If it needs global attention, the first eighth of the tokens have it, as a question's would.
        """
        question = torch.arange(ids.shape[1], device=ids.device) < ids.shape[1] // 8
        rows = {"input_ids": ids, "attention_mask": torch.ones_like(ids), GLOBAL: question.long().expand_as(ids)}
        return {name: values for name, values in rows.items() if name in self.names}

    def packed(self, ids: Tensor, types: Tensor, splits: Sequence[int]) -> dict[str, Tensor]:
        """Windows end to end in one row: (1, T) int64 each. Window i has the tokens ``[splits[i], splits[i + 1])``."""
        positions = torch.cat([torch.arange(stop - begin) for begin, stop in pairwise(splits)]) + self.first
        row = {"input_ids": ids, "token_type_ids": types, "position_ids": positions}
        return {name: values.long()[None] for name, values in row.items() if name in self.names}


def of(network: Any) -> Inputs:
    """How ``network`` reads windows."""
    config, names = getattr(network, "config", None), set(inspect.signature(network.forward).parameters)
    if getattr(config, "type_vocab_size", 2) < 2:  # it has no token types, whatever its tokenizer gives
        names.discard("token_type_ids")
    longest = min(_limits(network), default=None)
    segments = getattr(config, "segment_means_seq_len", None)  # Nyströmformer: segments of rows this long
    if segments is not None and segments != getattr(config, "num_landmarks", None):
        longest = segments
    # FNet mixes the whole row and Nyströmformer's convolution wide parts of it, padding included.
    width = longest if segments is not None or "attention_mask" not in names else None
    separator = getattr(config, "sep_token_id", None) if GLOBAL in names else None
    first = max(map(_first, _tables(network).values()), default=0)
    return Inputs(frozenset(names), longest, width, separator, type(network).__name__, first)


def _limits(network: Any) -> Iterator[int]:
    """The number of tokens that each of the network's position tables supports.

    RoBERTa's relatives count from the row after padding's, BART's from an ``offset``.
    """
    for name, table in _tables(network).items():
        yield table.num_embeddings - max(_first(table), getattr(table, "offset", 0))
        positions = getattr(network.get_submodule(name), "position_ids", None)
        if positions is not None:
            yield positions.shape[-1]


def _tables(network: Any) -> dict[str, torch.nn.Embedding]:
    """The network's position tables, by the name of the module that contains each."""
    named = ((_POSITIONS.fullmatch(name), module) for name, module in network.named_modules())
    return {name[1] or "": table for name, table in named if name and isinstance(table, torch.nn.Embedding)}


def _first(table: torch.nn.Embedding) -> int:
    return 0 if table.padding_idx is None else table.padding_idx + 1
