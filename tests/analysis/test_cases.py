"""Sample questions: the right ones, reproducible, with every character of their texts in place."""

import pytest
from conftest import answers_of, question
from hypothesis import given
from hypothesis import strategies as st

from qa_tradeoffs.analysis import cases
from qa_tradeoffs.analysis.cases import ELLIPSIS, Piece, excerpt

EXAMPLES = [question(i) for i in range(10)]
WORDS = " ".join(f"word{i}" for i in range(200))


def test_a_split_has_the_questions_that_one_gets_right_and_the_other_wrong():
    first, second = cases.sample(answers_of(EXAMPLES, {"A": [[1] * 6 + [0] * 4], "B": [[0] * 5 + [1] * 2 + [0] * 3]}))
    assert (first.right, first.wrong, first.n, len(first.cases)) == ("A", "B", 5, 4)
    assert (second.right, second.wrong, second.n, len(second.cases)) == ("B", "A", 1, 1)
    assert {case.example.id for case in first.cases} < {"q0", "q1", "q2", "q3", "q4"}
    (case,) = second.cases
    assert case.example.id == "q6"
    assert (case.right.text, case.right.confidence) == ("right", pytest.approx(0.4))
    assert case.wrong.text == "wrong 0"


def test_the_same_seed_draws_the_same_questions_and_another_seed_others():
    answers = answers_of([question(i) for i in range(100)], {"A": [[1] * 100], "B": [[0] * 100]})
    drawn = [[case.example.id for case in cases.sample(answers, seed=seed)[0].cases] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_only_the_first_seed_is_read():
    first, second = cases.sample(answers_of(EXAMPLES[:2], {"A": [[1, 0], [0, 1]], "B": [[0, 0], [1, 1]]}))
    assert (first.n, second.n) == (1, 0)


def test_references_and_answers_are_marked_in_the_context():
    case = cases.sample(answers_of(EXAMPLES[:1], {"A": [[1]], "B": [[0]]}))[0].cases[0]
    assert case.context == [
        Piece("right", ("reference", "right", "wrong")),
        Piece(" h", ("wrong",)),
        Piece("ere, or is it wrong?"),
    ]


def test_no_answer_has_no_span_though_its_best_span_is_known():
    answers = answers_of(EXAMPLES[:1], {"A": [[1]], "B": [[0]]}, texts={"B": [[""]]})
    case = cases.sample(answers)[0].cases[0]
    assert case.wrong.span is None
    assert {name for piece in case.context for name in piece.names} == {"reference", "right"}


def test_one_model_has_no_splits():
    assert cases.sample(answers_of(EXAMPLES, {"A": [[1] * 10]})) == []


# --- excerpts: a bar ends each piece, names in front of it ---


def marked(pieces: list[Piece]) -> str:
    return "".join(f"{','.join(piece.names)}:{piece.text}|" for piece in pieces)


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.mark.parametrize(
    ("text", "spans", "pieces"),
    [
        ("Ada lives in Rome.", {"right": [(13, 17)], "wrong": [(0, 3)]}, "wrong:Ada|: lives in |right:Rome|:.|"),
        ("one two three", {"a": [(0, 7)], "b": [(4, 13)], "c": [(4, 7)]}, "a:one |a,b,c:two|b: three|"),  # nested
        ("ab", {"x": [(0, 1)], "y": [(1, 2)]}, "x:a|y:b|"),
        ("ab", {"x": [(0, 2)]}, "x:ab|"),
        ("ab", {"x": [(0, 1), (0, 1)], "y": [(1, 1)]}, "x:a|:b|"),  # twice the same, and an empty one
    ],
)
def test_a_short_text_is_whole_and_cut_where_spans_begin_and_end(text, spans, pieces):
    assert marked(excerpt(text, spans)) == pieces


WORD_10, WORD_100, WORD_150 = WORDS.index("word10 "), WORDS.index("word100"), WORDS.index("word150")


@pytest.mark.parametrize(
    ("text", "spans", "around", "left"),
    [
        (WORDS, {"x": [(WORD_100, WORD_100 + 7)]}, 20, "… word98 word99 word100 word101 word102 …"),
        (
            WORDS, {"a": [(WORD_10, WORD_10 + 6)], "b": [(WORD_150, WORD_150 + 7)]}, 15,
            "… word8 word9 word10 word11 word12 … word149 word150 word151 …",
        ),
        (WORDS, {}, 12, "word0 word1 …"),
        ("a b c answer d e f", {"x": [(6, 12)]}, 2, "a b c answer d e f"),  # an ellipsis would save no room
    ],
)  # fmt: skip
def test_a_long_text_is_cut_between_words_around_its_spans(text, spans, around, left):
    assert text_of(excerpt(text, spans, around)) == left


def test_a_long_span_loses_its_middle_and_stays_marked_at_both_ends():
    pieces = excerpt(WORDS, {"x": [(0, len(WORDS))]}, around=30)
    assert [piece.names for piece in pieces] == [("x",), (), ("x",)]
    assert text_of(pieces).startswith("word0 word1") and text_of(pieces).endswith("word198 word199")
    assert len(text_of(pieces)) < 80


def test_a_text_without_blanks_is_not_cut_before_a_combining_mark():
    text = "e\u0301" * 100
    pieces = excerpt(text, {"x": [(100, 102)]}, around=21)
    inner = text_of(pieces).strip(f" {ELLIPSIS}")
    assert inner.startswith("e") and inner.endswith("\u0301")


@pytest.mark.parametrize("text", ["שלום עולם מה שלומך", "\u202eabc\u202c def", "🏳️‍🌈 flag", "a\u0301b\nc\td"])
def test_text_of_any_script_is_not_changed(text):
    assert text_of(excerpt(text, {"x": [(2, 5)], "y": [(0, 3)]})) == text


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
