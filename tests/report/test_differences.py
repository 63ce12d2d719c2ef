"""Where models differ, for a reader: verdicts by slice, agreement, and every text as text."""

import pandas as pd
import pytest
from conftest import answers_of, question
from test_display import HOSTILE

from qa_tradeoffs.analysis import agreement, cases, slices
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.report import differences, display
from tests.report.conftest import Reader

WHO_AND_WHAT = [question(i, asked="What?" if i < 60 else "Who?") for i in range(120)]
COLOURS = {"A": "C0", "B": "C1"}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (
            [[1.0] * 90 + [0.0] * 30], [[1.0] * 120],
            {"what": "not significant", "who": "B significantly higher than A: 50.0 (3",
             "1 word": "B significantly higher than A: 25.0 (1"},
        ),
        ([[1.0] * 120], [[1.0] * 90 + [0.0] * 30], {"who": "A significantly higher than B: 50.0 (3"}),
        # Over questions A is far ahead, but its two runs differ by as much, and so do B's.
        ([[1.0] * 120, [0.5] * 120], [[0.5] * 120, [0.0] * 120], {"what": "not significant", "who": "not significant"}),
        ([[1.0] * 100], [[1.0] * 100], {"what": "not significant", "who": "too few questions"}),
        ([[1.0] * 24], [[0.0] * 24], {"what": "too few questions", "1 word": "too few questions"}),
    ],
)  # fmt: skip
def test_the_verdict_of_a_slice_names_who_is_significantly_higher_and_by_how_much(a, b, expected):
    answers = answers_of(WHO_AND_WHAT[: len(a[0])], {"A": a, "B": b})
    table = differences.f1_by_slice(slices.scores(answers), slices.differences(answers)).cells
    found = dict(zip(table["group"], table["verdict"], strict=True))
    assert all(found[name].startswith(verdict) for name, verdict in expected.items()), found


def test_the_table_of_slices_counts_its_significant_differences():
    answers = answers_of(WHO_AND_WHAT, {"A": [[1.0] * 90 + [0.0] * 30], "B": [[1.0] * 120]})
    # Two question words, one answer length, one context length, one position; all but 'what' differ.
    table = differences.f1_by_slice(slices.scores(answers), slices.differences(answers))
    assert "4 of 5 differences significant (Holm), over questions" in table.markup and len(table.cells) == 5


def test_models_keep_their_order_and_one_alone_has_no_verdict():
    answers = answers_of(WHO_AND_WHAT, {"Z": [[1.0] * 120], "A": [[0.0] * 120]})
    scores = slices.scores(answers)
    shown = differences.f1_by_slice(scores, slices.differences(answers)).cells
    assert shown.columns.tolist() == ["grouped by", "group", "questions", "Z", "A", "verdict"]
    assert shown.iloc[0].tolist()[:5] == ["question word", "what", 60, "100.0 (100.0–100.0)", "0.0 (0.0–0.0)"]
    assert shown["grouped by"].tolist() == ["question word"] * 2 + [
        "answer length", "context length", "answer position"
    ]  # fmt: skip
    assert differences.em_by_slice(scores).markup.startswith("<details>")
    alone = answers_of(WHO_AND_WHAT, {"A": [[0.0] * 120]})
    table = differences.f1_by_slice(slices.scores(alone), slices.differences(alone)).cells
    assert "verdict" not in table


def test_a_chart_of_slices_has_a_panel_per_slicing_and_names_slices_that_are_too_small():
    right = [1.0] * 50 + [0.0] * 50
    scores = slices.scores(answers_of(WHO_AND_WHAT[:100], {"A": [right], "B": [right]}))
    drawn = differences.slice_chart(scores, COLOURS).figure
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles == [f"by {kind} (questions)" for kind in
                      ("question word", "answer length", "context length", "answer position")]  # fmt: skip
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["what (60)", "who (40)"]
    assert [text.get_text() for text in drawn.axes[0].texts] == ["too few"]


def test_the_chart_of_slices_is_small_and_described_and_missing_if_all_slices_are_too_small():
    def chart(n: int) -> display.Html:
        scores = slices.scores(answers_of(WHO_AND_WHAT[:n], {"A": [[0.5] * n], "B": [[0.01] * n]}))
        return differences.slice_chart(scores, COLOURS)

    assert chart(24).markup == "<p>None: no group has 50 questions.</p>"
    assert "; B from 1.0 (" in chart(120).alt
    assert len(chart(120).markup) < 200_000


def test_agreement_shows_what_an_ideal_choice_would_gain():
    answers = answers_of([question(i) for i in range(100)], {"A": [[1, 1, 0, 0] * 25], "B": [[1, 0, 1, 0] * 25]})
    row = differences.agreement_table(agreement.table(answers)).cells.iloc[0]
    assert row["either right"].startswith("75.0 (6") and row["gain over the better one"] == "+25.0"
    assert row["same answer"].startswith("50.0 (")
    assert "<table" not in differences.agreement_table(agreement.table(answers_of([question(0)], {"A": [[1]]}))).markup


# --- questions to read ---


def shown_of(example: Example, texts: tuple[str, str], spans: list[tuple[int, int]], labels=("A", "B")) -> Reader:
    """One question that the first model gets and the second misses, as markup read back."""
    answers = answers_of([example], {labels[0]: [[1]], labels[1]: [[0]]})
    for label, text, (begin, end) in zip(labels, texts, spans, strict=True):
        frame = answers.tables[label][0]
        frame[["prediction", "char_start", "char_end"]] = pd.DataFrame([[text, begin, end]])
    return Reader(differences.examples(cases.sample(answers)).markup)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_data_set_are_text_wherever_spans_cut_them(text):
    for begin in range(0, len(text), 3):
        for end in range(begin + 1, len(text) + 1, 4):
            answer = text[begin:end]
            read = shown_of(
                Example("q", text, text, text, (answer,), (begin,)),
                (answer, text),
                [(begin, end), (0, len(text))],
                (text, "B"),
            )
            assert {tag for tag, _ in read.tags} == {"details", "summary", "div", "p", "mark", "dl", "dt", "dd"}
            assert {name for _, attributes in read.tags for name in attributes} <= {"class", "dir"}
            kinds = {kind for tag, a in read.tags if tag == "mark" for kind in str(a["class"]).split()}
            assert kinds == {"reference", "right", "wrong"}
            assert read.text.count(text) >= 4  # title, question, context, wrong answer


def test_a_question_shows_its_references_once_and_how_sure_each_model_was():
    example = Example("q", "", "Rome, or Rome and Paris", "Where?", ("Rome", "Rome", "Paris"), (0, 9, 18))
    read = shown_of(example, ("Rome", "Paris"), [(0, 4), (18, 23)])
    assert "ReferenceRome | Paris" in read.text
    assert "A, rightRome (100 % confidence)" in read.text and "B, wrongParis (100 % confidence)" in read.text
    assert read.text.startswith("A right, B wrong: 1 question, 1 of them shown")
    assert read.text.endswith("B right, A wrong: no question")


def test_an_unanswerable_question_says_that_there_is_no_answer():
    read = shown_of(Example("q", "", "some text", "Who?", (), ()), ("", "some"), [(0, 4), (0, 4)])
    assert "Reference(no answer)A, right(no answer) (" in read.text


def test_texts_of_either_direction_are_kept_apart():
    read = shown_of(Example("q", "", "שלום עולם", "מי?", ("שלום",), (0,)), ("שלום", "עולם"), [(0, 4), (5, 9)])
    assert [a.get("dir") for tag, a in read.tags if tag in ("p", "dd")] == ["auto"] * 5
