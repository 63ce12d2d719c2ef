"""What is said of where models differ: no more than the numbers show, and every text of a data set as text."""

import numpy as np
import pandas as pd
import pytest
from conftest import compared_of, question
from test_display import HOSTILE, Reader

from qa_tradeoffs.analysis import agreement, cases, confidence, slices
from qa_tradeoffs.analysis.compared import Compared
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.report import difference_findings

WHO_AND_WHAT = [question(i, asked="What?" if i < 60 else "Who?") for i in range(120)]


def sliced(compared: Compared) -> list[str]:
    return difference_findings.sliced(slices.scores(compared), slices.differences(compared))


def test_a_difference_in_one_slice_is_said_with_its_interval_and_the_number_of_comparisons():
    compared = compared_of(WHO_AND_WHAT, {"A": [[1.0] * 60 + [1.0] * 30 + [0.0] * 30], "B": [[1.0] * 120]})
    intro, ahead, caution = sliced(compared)
    # Two question words, one answer length, one context length, one position.
    assert intro.startswith("5 slices and every two models make 5 comparisons; 4 of them show a difference in F1")
    assert ahead.startswith("B is ahead of A in question word 'who' by 50.0 (3")
    assert "'what'" not in ahead
    assert caution.startswith("Intervals are those of one slice alone.")


def test_without_a_difference_none_is_said():
    scores = [[1.0, 0.0] * 60]
    (intro,) = sliced(compared_of(WHO_AND_WHAT, {"A": scores, "B": scores}))
    assert intro.startswith("5 slices and every two models make 5 comparisons; none of them shows a difference")


def test_a_difference_within_that_of_training_runs_is_not_said():
    # Over questions A is far ahead, but one of its two runs is no better than the best of B's.
    compared = compared_of(WHO_AND_WHAT, {"A": [[1.0] * 120, [0.5] * 120], "B": [[0.5] * 120, [0.0] * 120]})
    intro, within_runs = sliced(compared)
    assert "none of them shows a difference in F1" in intro
    assert within_runs.startswith("In 5 more the questions tell two models apart, but their training runs overlap")


def test_small_slices_are_named_and_not_compared():
    sentences = sliced(compared_of(WHO_AND_WHAT[:100], {"A": [[1.0] * 100], "B": [[1.0] * 100]}))
    assert sentences[0].startswith("4 slices and every two models make 4 comparisons; ")
    assert sentences[-1].startswith("Too small to be shown, with fewer than 50 questions: question word 'who' (40). ")


def test_a_tiny_study_is_all_too_small():
    compared = compared_of(WHO_AND_WHAT[:24], {"A": [[1.0] * 24], "B": [[0.0] * 24]})
    assert sliced(compared) == ["None of the 4 slices has 50 questions, so none is shown."]
    scores = slices.scores(compared)
    assert set(difference_findings.shown_slices(scores, "f1")["A"]) == {"too few"}
    assert difference_findings.describe_slices(scores) == (
        "Empty chart of F1 by kind of question: no slice has 50 questions."
    )


def test_the_table_of_slices_has_a_column_per_model_in_their_order():
    scores = slices.scores(compared_of(WHO_AND_WHAT, {"Z": [[1.0] * 120], "A": [[0.0] * 120]}))
    shown = difference_findings.shown_slices(scores, "exact_match")
    assert shown.columns.tolist() == ["by", "slice", "questions", "Z", "A"]
    assert shown.iloc[0].tolist() == ["question word", "what", 60, "100.0 (100.0–100.0)", "0.0 (0.0–0.0)"]
    assert shown["by"].tolist() == ["question word"] * 2 + ["answer length", "context length", "answer position"]
    assert difference_findings.describe_slices(scores).endswith(
        "for A from 0.0 (question word: what) to 0.0 (question word: what)."
    )


def agreed(scores) -> list[str]:
    n = len(next(iter(scores.values()))[0])
    compared = compared_of([question(i) for i in range(n)], scores)
    return difference_findings.agreed(agreement.table(compared), compared)


def test_the_ideal_choice_is_said_beside_the_better_one():
    ideal, alike = agreed({"A": [[1, 1, 0, 0] * 25], "B": [[1, 0, 1, 0] * 25]})
    assert ideal.startswith(
        "An ideal choice between A and B, which always picks a right answer where one of them has it"
    )
    assert "would reach an EM of 75.0 (6" in ideal and "the better of the two alone has 50.0." in ideal
    assert alike.startswith("A and B give the same answer to 50.0 (")
    assert alike.endswith(" % of the questions.")


def test_several_seeds_are_said_to_be_paired():
    assert agreed({"A": [[1], [1]], "B": [[1], [1]]})[-1].startswith("With several seeds, every seed of the one")


def test_one_model_has_nothing_to_agree_with():
    assert agreed({"A": [[1]]}) == ["There is one model in this report, so none to compare its answers with."]
    assert agreed({"A": [[1], [1]]})[0].startswith("There is one model in this report")


def calibration_of(probability, right) -> confidence.Calibration:
    compared = compared_of([question(i) for i in range(len(right))], {"A": [list(np.asarray(right, dtype=float))]})
    compared.answers["A"][0]["probability"] = probability
    return confidence.table(compared)


def test_too_sure_not_sure_enough_and_neither():
    too_sure = difference_findings.calibrated(calibration_of(np.full(200, 0.9), [1, 0] * 100))[0]
    assert too_sure.startswith("A is 90.0 % sure on average and right in 50.0 %: too sure by 40.0 (3")
    assert "Its expected calibration error is 40.0 (3" in too_sure and "points, more than the" in too_sure
    assert too_sure.endswith("That leaving its least sure 20 % unanswered makes its answers better is not shown.")
    shy = difference_findings.calibrated(calibration_of(np.full(200, 0.2), [1, 0] * 100))[0]
    assert "right in 50.0 %: not sure enough by 30.0 (2" in shy
    fair = difference_findings.calibrated(calibration_of(np.full(200, 0.5), [1, 0] * 100))[0]
    assert "sure on average and right in 50.0 %, which cannot be told from chance." in fair
    assert "; chance alone can give a perfectly calibrated model" in fair


def test_what_leaving_out_gains_is_said_with_its_interval():
    found = calibration_of(np.linspace(0.01, 1, 100), [0] * 40 + [1] * 60)
    (sentence,) = difference_findings.calibrated(found)
    assert "With its least sure 20 % left unanswered its EM is 75.0, 15.0 (" in sentence
    shown = difference_findings.shown_calibration(found).iloc[0]
    assert shown["EM"] == "60.0"
    assert shown["EM at 80 %"].startswith("75.0 (") and shown["EM at 50 %"] == "100.0 (100.0–100.0)"
    assert shown["AURC, best to worthless"].endswith(" to 40.0")
    assert difference_findings.describe_coverage(found).endswith("A from 60.0 with all to 100.0 with the surest tenth.")
    assert difference_findings.describe_reliability(found).endswith("A at 6 % right 0 %, at 96 % right 100 %.")


def test_too_few_questions_say_nothing_about_confidence():
    found = calibration_of(np.full(10, 0.5), [1] * 10)
    assert difference_findings.calibrated(found) == [
        "Fewer than 50 questions say too little about confidence to be shown."
    ]
    assert difference_findings.shown_calibration(found).empty
    assert "too few questions" in difference_findings.describe_reliability(found)
    assert "too few questions" in difference_findings.describe_coverage(found)


# --- questions to read ---


def shown_of(example: Example, texts: tuple[str, str], spans: list[tuple[int, int]], labels=("A", "B")) -> Reader:
    """One question that the first model gets and the second misses, as markup read back."""
    compared = compared_of([example], {labels[0]: [[1]], labels[1]: [[0]]})
    for label, text, (begin, end) in zip(labels, texts, spans, strict=True):
        frame = compared.answers[label][0]
        frame[["prediction", "char_start", "char_end"]] = pd.DataFrame([[text, begin, end]])
    return Reader(difference_findings.examples(cases.sample(compared)).markup)


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
    assert "A, rightRome (100 % sure)" in read.text and "B, wrongParis (100 % sure)" in read.text
    assert read.text.startswith("A right, B wrong: 1 of 1 questions")
    assert read.text.endswith("B right, A wrong: no question")


def test_an_unanswerable_question_says_that_there_is_no_answer():
    read = shown_of(Example("q", "", "some text", "Who?", (), ()), ("", "some"), [(0, 4), (0, 4)])
    assert "Reference(no answer)A, right(no answer) (" in read.text


def test_texts_of_either_direction_are_kept_apart():
    read = shown_of(Example("q", "", "שלום עולם", "מי?", ("שלום",), (0,)), ("שלום", "עולם"), [(0, 4), (5, 9)])
    assert [a.get("dir") for tag, a in read.tags if tag in ("p", "dd")] == ["auto"] * 5
