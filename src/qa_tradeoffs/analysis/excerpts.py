"""A long text cut down to what surrounds some of its spans, as a run of pieces that each know the spans they are in."""

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

Span = tuple[int, int]  # first code point, and the one after the last
ELLIPSIS = "…"  # with a blank on the side of the text
_BLANK_WITHIN = 30  # code points in which a blank is looked for, to cut between words
_NOT_WORTH = 20  # code points that are not left out: an ellipsis would save no room


class Piece(NamedTuple):
    """Text of one kind: in all spans of these names, and in no other."""

    text: str
    names: tuple[str, ...] = ()


def excerpt(text: str, spans: Mapping[str, Sequence[Span]], around: int = 120) -> list[Piece]:
    """The parts of ``text`` within ``around`` (at least 1) code points of spans' ends, ellipses for what is left out.

    Spans may overlap, nest and be empty; a long one loses its middle. Without any the text's beginning is given.
    """
    marked = [(name, begin, end) for name, several in spans.items() for begin, end in several if begin < end]
    kept = _kept(text, [end for _, *ends in marked for end in ends], around)
    pieces: list[Piece] = []
    for begin, end in kept:
        if begin > 0:
            pieces.append(Piece(f" {ELLIPSIS} " if pieces else f"{ELLIPSIS} "))
        pieces += _pieces(text, begin, end, marked)
    return [*pieces, Piece(f" {ELLIPSIS}")] if kept[-1][1] < len(text) else pieces


def _pieces(text: str, begin: int, end: int, marked: Sequence[tuple[str, int, int]]) -> list[Piece]:
    """``text[begin:end]`` cut wherever a span begins or ends."""
    inside = {cut for _, *ends in marked for cut in ends if begin < cut < end}
    cuts = [begin, *sorted(inside), end]
    return [
        Piece(text[a:b], tuple(dict.fromkeys(name for name, first, last in marked if first <= a and b <= last)))
        for a, b in pairwise(cuts)
    ]


def _kept(text: str, ends: Sequence[int], around: int) -> list[Span]:
    """The ranges of ``text`` that are shown, in order, apart by more than is worth an ellipsis."""
    kept: list[Span] = []
    for at in sorted(ends) or [0]:
        begin, end = _word_begin(text, at, around), _word_end(text, at, around)
        if kept and begin - kept[-1][1] <= _NOT_WORTH:
            kept[-1] = kept[-1][0], max(kept[-1][1], end)
        else:
            kept.append((begin if begin > _NOT_WORTH else 0, end))
    first, last = kept[-1]
    kept[-1] = first, len(text) if len(text) - last <= _NOT_WORTH else last
    return kept


def _word_begin(text: str, at: int, around: int) -> int:
    """Where the first whole word begins in the ``around`` code points before ``at``; all of them where none is near."""
    begin = at - around
    if begin <= 0:
        return 0
    near = range(begin, begin + min(around, _BLANK_WITHIN))
    blank = next((i for i in near if text[i].isspace()), None)
    return min(_whole(text, begin), at) if blank is None else blank + 1


def _word_end(text: str, at: int, around: int) -> int:
    """Where the last whole word ends in the ``around`` code points after ``at``; all of them where none is near."""
    end = at + around
    if end >= len(text):
        return len(text)
    near = range(end, end - min(around, _BLANK_WITHIN), -1)
    blank = next((i for i in near if text[i].isspace()), None)
    return _whole(text, end) if blank is None else blank


def _whole(text: str, at: int) -> int:
    """``at``, or after the combining marks there: they belong to the letter before."""
    while at < len(text) and unicodedata.category(text[at]).startswith("M"):
        at += 1
    return at
