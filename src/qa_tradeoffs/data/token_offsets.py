"""The offsets of tokens in their text, corrected for the errors of some tokenizers.

Some tokenizers include the space before a word in its first token; others strip it twice, so that the word seems to
begin one character late and an answer cut out by these offsets loses its first letter.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

_BLANKS = [code for code in range(0x3001) if chr(code).isspace()]  # Unicode has no spaces above


def corrected(
    offsets: Int32, splits: Int64, texts: Sequence[str], surface: Callable[[NDArray[np.intp]], list[str]]
) -> Int32:
    """The offsets (n, 2) of the tokens of all ``texts``, corrected; ``splits`` says where each text's tokens begin.

    - Within a text, neither starts nor ends decrease from one token to the next.
    - A token has no spaces at its ends, unless it consists of spaces only.
    - Characters between two tokens belong to the second one if it then equals its ``surface``, apart from case and
      spaces; ``surface`` maps rows of tokens to the text of each.
    """
    if not len(offsets):
        return offsets
    lengths = np.diff(splits)
    text = np.repeat(np.arange(len(texts)), lengths)
    base = np.concatenate([[0], np.cumsum([len(text) for text in texts], dtype=np.int64)])
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    blank = np.isin(codes, _BLANKS)
    start, end = (offsets + base[text][:, None]).astype(np.int64).T
    # What holds within each text also holds for their concatenation.
    start, end = np.minimum.accumulate(start[::-1])[::-1], np.maximum.accumulate(end)
    start, end = _without_blanks(start, end, blank)
    start = _from_late(start, end, base[text], blank, "".join(texts), surface)
    found: Int32 = (np.stack([start, end], axis=1) - base[text][:, None]).astype(np.int32)
    return found


def _without_blanks(start: Int64, end: Int64, blank: Bools) -> tuple[Int64, Int64]:
    """The spans without spaces at their ends; a span of spaces only is unchanged."""
    position = np.arange(len(blank))
    next_text = np.minimum.accumulate(np.where(blank, len(blank), position)[::-1])[::-1]  # at or after each position
    last_text = np.maximum.accumulate(np.where(blank, -1, position))  # at or before it
    first = np.append(next_text, len(blank))[start]
    has_text = first < end
    stop = last_text[np.maximum(end - 1, 0)] + 1
    return np.where(has_text, first, start), np.where(has_text, stop, end)


def _from_late(
    start: Int64, end: Int64, base: Int64, blank: Bools, text: str, surface: Callable[[NDArray[np.intp]], list[str]]
) -> Int64:
    """The starts, moved back over characters that are in no token, if the token then equals its surface."""
    before = np.maximum(base, np.concatenate([[0], end[:-1]]))  # where the previous token of the same text ended
    last_blank = np.maximum.accumulate(np.where(blank, np.arange(len(blank)), -1))
    word = np.maximum(before, np.concatenate([[-1], last_blank])[start] + 1)  # the gap's part after its last blank
    late = np.flatnonzero((word < start) & (before < start))
    if not len(late):
        return start
    moved = start.copy()
    for row, read in zip(late, surface(late), strict=True):
        if read.strip().casefold() == text[word[row] : end[row]].casefold():
            moved[row] = word[row]
    return moved


def surface_of(tokenizer: Any, ids: Sequence[int] | Int32) -> list[str]:
    """The text of each token by itself."""
    known = {i: tokenizer.convert_tokens_to_string([tokenizer.convert_ids_to_tokens(i)]) for i in set(map(int, ids))}
    return [known[int(i)] for i in ids]
