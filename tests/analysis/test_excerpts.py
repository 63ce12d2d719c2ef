"""Texts are cut between words and around their spans, and not a character of what stays is lost or moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_tradeoffs.analysis.excerpts import ELLIPSIS, Piece, excerpt

WORDS = " ".join(f"word{i}" for i in range(200))


def shown(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_a_short_text_is_shown_whole_and_cut_where_spans_begin_and_end():
    assert excerpt("Ada lives in Rome.", {"right": [(13, 17)], "wrong": [(0, 3)]}) == [
        Piece("Ada", ("wrong",)),
        Piece(" lives in "),
        Piece("Rome", ("right",)),
        Piece("."),
    ]


def test_overlapping_and_nested_spans_share_their_pieces():
    text = "one two three"
    assert excerpt(text, {"a": [(0, 7)], "b": [(4, 13)], "c": [(4, 7)]}) == [
        Piece("one ", ("a",)),
        Piece("two", ("a", "b", "c")),
        Piece(" three", ("b",)),
    ]


def test_spans_at_the_very_beginning_and_end_are_marked_to_the_last_character():
    assert excerpt("ab", {"x": [(0, 1)], "y": [(1, 2)]}) == [Piece("a", ("x",)), Piece("b", ("y",))]
    assert excerpt("ab", {"x": [(0, 2)]}) == [Piece("ab", ("x",))]


def test_the_same_span_twice_is_one_name_and_an_empty_one_is_none():
    assert excerpt("ab", {"x": [(0, 1), (0, 1)], "y": [(1, 1)]}) == [Piece("a", ("x",)), Piece("b")]


def test_a_long_text_is_cut_between_words_with_ellipses_for_what_is_left_out():
    begin = WORDS.index("word100")
    pieces = excerpt(WORDS, {"right": [(begin, begin + 7)]}, around=20)
    assert [piece.text for piece in pieces] == ["… ", "word98 word99 ", "word100", " word101 word102", " …"]


def test_between_spans_that_are_far_apart_the_text_is_left_out():
    first, last = WORDS.index("word10 "), WORDS.index("word150")
    pieces = excerpt(WORDS, {"a": [(first, first + 6)], "b": [(last, last + 7)]}, around=15)
    assert shown(pieces) == "… word8 word9 word10 word11 word12 … word149 word150 word151 …"


def test_a_few_characters_are_not_left_out():
    assert shown(excerpt("a b c " + "answer" + " d e f", {"x": [(6, 12)]}, around=2)) == "a b c answer d e f"


def test_a_long_span_loses_its_middle_and_stays_marked_at_both_ends():
    pieces = excerpt(WORDS, {"x": [(0, len(WORDS))]}, around=30)
    assert [piece.names for piece in pieces] == [("x",), (), ("x",)]
    assert shown(pieces).startswith("word0 word1") and shown(pieces).endswith("word198 word199")
    assert len(shown(pieces)) < 80


def test_without_a_span_the_beginning_is_shown():
    assert shown(excerpt(WORDS, {}, around=12)) == "word0 word1 …"


def test_a_text_without_blanks_is_not_cut_before_a_combining_mark():
    text = "e\u0301" * 100
    pieces = excerpt(text, {"x": [(100, 102)]}, around=21)
    inner = shown(pieces).strip(f" {ELLIPSIS}")
    assert inner.startswith("e") and inner.endswith("\u0301")


@pytest.mark.parametrize("text", ["שלום עולם מה שלומך", "\u202eabc\u202c def", "🏳️‍🌈 flag", "a\u0301b\nc\td"])
def test_text_of_any_script_is_not_changed(text):
    assert shown(excerpt(text, {"x": [(2, 5)], "y": [(0, 3)]})) == text


@given(
    st.text(st.sampled_from("ab \n\u0301א"), min_size=1, max_size=300),
    st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 300), st.integers(0, 300)), max_size=5),
    st.integers(1, 40),
)
def test_what_is_shown_is_in_the_text_and_every_span_s_ends_are_shown_as_marked(text, drawn, around):
    spans: dict[str, list[tuple[int, int]]] = {}
    for name, a, b in drawn:
        spans.setdefault(name, []).append((min(a, b, len(text)), min(max(a, b), len(text))))
    pieces, at = excerpt(text, spans, around), 0
    for piece in pieces:
        if piece.text.strip() == ELLIPSIS:
            continue
        at = text.index(piece.text, at) + len(piece.text)
    for name, several in spans.items():
        for begin, end in several:
            if begin < end:
                assert any(name in piece.names and text[begin] in piece.text for piece in pieces)
    if not any(begin < end for several in spans.values() for begin, end in several):
        assert all(not piece.names for piece in pieces)
