"""Padded windows as arrays: the inputs that a network takes, in rows of supported lengths. Needs no torch."""

from dataclasses import dataclass

import numpy as np

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.features import Int64, Windows, pad

GLOBAL = "global_attention_mask"


@dataclass(frozen=True)
class Rows:
    """How a network reads windows.

    ``names``: the inputs of its forward. ``longest``: tokens of the longest row that it has positions for; None if
    positions are relative and any length works. ``width``: tokens that every row is padded to, if the network requires
    that or sees padding; None if the longest row of a batch decides. ``separator``: id of the token after the question,
    if the network needs to know which tokens have global attention (Longformer: the question's).
    ``network``: its class, for messages. ``first``: the position of a row's first token.
    """

    names: frozenset[str]
    longest: int | None = None
    width: int | None = None
    separator: int | None = None
    network: str = "the network"
    first: int = 0

    def check(self, tokens: int, what: str, advice: str) -> None:
        """Refuse rows of this many ``tokens``, which ``what`` asks for, if the network supports fewer."""
        if self.longest is not None and tokens > self.longest:
            raise StudyError(f"{what} {tokens} tokens, but {self.network} takes at most {self.longest}; {advice}")

    def check_windows(self, tokens: int) -> None:
        """Refuse windows of this many tokens if the network supports fewer."""
        self.check(tokens, "training.max_length: windows of", "give a max_length up to that")

    def padded(self, tokens: int, multiple_of: int = 1) -> int:
        """Tokens per row in a batch whose longest row has this many."""
        if self.width is not None:
            return self.width
        rounded = -(-tokens // multiple_of) * multiple_of
        return rounded if self.longest is None else max(tokens, min(rounded, self.longest))

    def arrays(self, windows: Windows, rows: Int64, pad_token_id: int, multiple_of: int = 1) -> dict[str, Int64]:
        """The windows ``rows`` as the network takes them: (b, L) int64 each. Raises StudyError if one is too long."""
        tokens = int(windows.lengths[rows].max())
        self.check_windows(tokens)
        arrays = pad(windows, rows, pad_token_id, multiple_of=self.padded(tokens, multiple_of))
        if self.separator is not None:
            arrays[GLOBAL] = _before(arrays["input_ids"], self.separator)
        return {name: values for name, values in arrays.items() if name in self.names}


def _before(ids: Int64, separator: int) -> Int64:
    """1 for the tokens before a row's first separator, else 0: (b, L); all 0 in a row without one."""
    question: Int64 = (np.arange(ids.shape[1]) < (ids == separator).argmax(axis=1)[:, None]).astype(np.int64)
    return question
