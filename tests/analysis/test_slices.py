"""Slices by hand, and scores and differences that agree with the functions for one comparison."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import answers_of, question
from scipy import stats

from qa_tradeoffs.analysis import slices
from qa_tradeoffs.data.example import Example


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("What is it?", "what"),
        ("In what year did it end?", "what"),
        ("Whose car is it?", "who"),
        ("To whom was it sold?", "who"),
        ("Who's there?", "who"),
        ("WHEN?", "when"),
        ("Rome is where?", "where"),
        ("Why is that so?", "why"),
        ("Which town?", "which"),
        ("How is it done?", "how"),
        ("How many cats?", "how many"),
        ("How much is it?", "how many"),
        ("By how MANY did she win?", "how many"),
        ("How did what happen?", "how"),
        ("Name the town.", "other"),
        ("Whatever?", "other"),
        ("¿Dónde?", "other"),
        ("1 + 1?", "other"),
    ],
)
def test_the_first_question_word_anywhere_decides(asked, word):
    assert slices.question_word(asked) == word


@pytest.mark.parametrize(
    ("references", "length"),
    [
        (["Rome"], "1 word"),
        (["the Rome of old", "The Rome"], "1 word"),
        (["the"], "1 word"),
        (["a b c", "New York"], "2 words"),
        (["one two three"], "3–4 words"),
        (["one two three four"], "3–4 words"),
        (["one two three four five"], "5 words or more"),
        ([], "no answer"),
    ],
)
def test_the_shortest_reference_counts_without_articles(references, length):
    assert slices.answer_length(Example("q", "", "c", "?", tuple(references), (0,) * len(references))) == length


@pytest.mark.parametrize(
    ("start", "text", "third"),
    [(0, "ab", "first third"), (3, "c", "middle third"), (8, "i", "last third"), (0, "abcdefghi", "middle third")],
)
def test_the_middle_of_the_first_reference_says_where_the_answer_is(start, text, third):
    assert slices.answer_position(Example("q", "", "abcdefghi", "?", (text,), (start,))) == third


def test_context_lengths_are_three_thirds_named_by_their_range():
    examples = [question(i, context="w " * words + "end") for i, words in enumerate([1, 2, 3, 10, 11, 12, 50, 60, 70])]
    found = slices.assign(examples)["context length"]
    assert list(found.categories) == ["2–11 words", "12–51 words", "61–71 words"]
    assert np.bincount(found.codes).tolist() == [4, 3, 2]
    assert list(slices.assign([question(i) for i in range(5)])["context length"].categories) == ["6 words"]


def test_an_unanswerable_question_has_a_length_slice_of_its_own_and_no_position():
    found = slices.assign([Example("q", "", "some text", "What?", (), ())])
    assert list(found["answer length"]) == ["no answer"]
    assert found["answer position"].codes.tolist() == [-1]


def two_kinds(n: int, of_first: list[list[float]], of_second: list[list[float]]):
    """``n`` questions with 'what', then ``n`` with 'who'; the scores of two models for both."""
    examples = [question(i, asked="What?" if i < n else "Who?") for i in range(2 * n)]
    return answers_of(examples, {"A": of_first, "B": of_second})


def test_scores_of_a_slice_are_those_of_its_questions():
    table = slices.scores(two_kinds(60, [[1.0] * 60 + [0.5] * 60], [[1.0] * 30 + [0.0] * 90]))
    rows = table[table["slicing"] == "question word"].set_index(["slice", "model"])
    assert rows.loc[("what", "A"), ["n", "exact_match", "f1", "f1_low", "f1_high"]].tolist() == [60, 100, 100, 100, 100]
    assert rows.loc[("who", "A"), ["exact_match", "f1"]].tolist() == [0, 50]
    middle = rows.loc[("what", "B")]
    assert middle["f1"] == 50
    # ±1.96 × 50 / √60 is 12.7 points.
    assert (middle["f1_low"], middle["f1_high"]) == pytest.approx((37.3, 62.7), abs=2)


def test_a_slice_with_too_few_questions_has_no_score():
    table = slices.scores(two_kinds(49, [[1.0] * 98], [[1.0] * 98]))
    by_word = table[table["slicing"] == "question word"]
    assert by_word["n"].tolist() == [49] * 4
    assert by_word[["exact_match", "f1", "f1_low", "f1_high"]].isna().all(axis=None)
    assert table[table["slicing"] == "answer length"]["f1"].tolist() == [100, 100]


def test_a_difference_in_one_slice_is_found_and_the_others_are_corrected_for():
    first, second = [[1.0] * 120], [[1.0] * 60 + [0.0] * 30 + [1.0] * 30]
    table = slices.differences(two_kinds(60, first, second)).set_index("slice")
    assert table.loc["what", "f1_difference"] == 0
    assert (table.loc["what", "p_holm"], table.loc["what", "verdict"]) == (1, "equal")
    assert table.loc["who", "verdict"] == "better"
    assert table.loc["who", "f1_difference"] == 50
    assert 36 < table.loc["who", "low"] < 40 and 60 < table.loc["who", "high"] < 64
    # 30 of 60 differ by 100: t = 50 / (100 · √(0.25 / 59)).
    t = 0.5 / np.sqrt(0.25 / 59)
    assert table.loc["who", "p_holm"] == pytest.approx(len(table) * 2 * stats.t.sf(t, 59))


def test_one_model_or_a_tiny_study_has_no_differences():
    alone = answers_of([question(i) for i in range(60)], {"A": [[1.0] * 60]})
    tiny = answers_of([question(i) for i in range(24)], {"A": [[1.0] * 24], "B": [[0.0] * 24]})
    assert slices.differences(alone).empty and slices.differences(tiny).empty
    assert slices.scores(alone)["f1"].notna().all()
    assert slices.scores(tiny)["f1"].isna().all()


@pytest.mark.parametrize(
    ("of_first", "of_second", "verdict"),
    [
        ([1.0, 0.9], [0.1, 0.0], "better"),
        ([1.0, 0.0], [0.5, 0.4], "not significant"),  # its two runs differ by all that there is
        ([1.0], [0.5, 0.0], "better"),  # over questions only
    ],
)
def test_training_runs_count_in_a_slice_if_both_models_have_several(of_first, of_second, verdict):
    scores = {label: [[score] * 60 for score in seeds] for label, seeds in (("A", of_first), ("B", of_second))}
    table = slices.differences(answers_of([question(i) for i in range(60)], scores))
    assert table["verdict"].tolist() == [verdict] * 4
    assert set(table["over"]) == {"questions and training runs" if len(of_first) > 1 else "questions"}


def test_words_are_counted_by_the_rules_of_the_answers_language():
    example = Example("q", "t", "镇上有三百户人家。", "多少？", ("三百户",), (3,))
    answered = replace(answers_of([example], {"BERT": [[1]]}), language="zh")
    assigned = slices.assign(answered.examples, answered.rules)
    assert list(assigned["answer length"]) == ["3–4 words"]
    assert list(assigned["context length"]) == ["8 words"]
    assert list(slices.assign([example])["answer length"]) == ["1 word"]  # by the official rules, which are for English
