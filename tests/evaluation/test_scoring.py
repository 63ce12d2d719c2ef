"""Four questions whose EM and F1 are known, one of them without an answer."""

import json

import numpy as np
import pandas as pd
import pytest
from torchmetrics.functional.text import squad

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation import scoring
from qa_tradeoffs.evaluation.answers import Predictions, Reading
from qa_tradeoffs.metrics import no_answer
from qa_tradeoffs.metrics.records import Record

CONTEXT = "Ada Lovelace wrote the first program in 1843 in London."


def example(number: int, question: str, *answers: str) -> Example:
    return Example(f"q{number}", "Ada", CONTEXT, question, answers, tuple(CONTEXT.index(a) for a in answers))


ANSWERABLE = [
    example(0, "When was the first program written?", "1843"),
    example(1, "Who wrote the first program?", "Ada Lovelace", "Lovelace"),
    example(2, "Where was the program written?", "London"),
]
UNANSWERABLE = example(3, "Who wrote the second program?")


def predicted(*texts: str, lead: tuple[float, ...] = (-5, -5, -5, 2)) -> Predictions:
    starts = np.array([CONTEXT.index(text) for text in texts])
    return Predictions(
        id=np.array([f"q{row}" for row in range(len(texts))], object),
        text=np.array(texts, object),
        char_start=starts,
        char_end=starts + [len(text) for text in texts],
        score=np.array([4.0, 3.0, 2.0, 1.0])[: len(texts)],
        probability=np.array([0.9, 0.6, 0.3, 0.2])[: len(texts)],
        no_answer_score=np.array(lead)[: len(texts)],
    )


# Right; one of two words of the nearest reference shared with three: P 2/3, R 1, F1 0.8; wrong.
TEXTS = ("1843", "Ada Lovelace wrote", "program")


# Without v2 the no-answer score is ignored.
V1, V2 = predicted(*TEXTS, lead=(9, 9, 9)), predicted(*TEXTS, "Ada")


def score_v2(threshold: float = 0) -> pd.DataFrame:
    return scoring.score(V2, [*ANSWERABLE, UNANSWERABLE], v2=True, threshold=threshold)


@pytest.fixture
def scored() -> pd.DataFrame:
    return scoring.score(V1, ANSWERABLE, v2=False, threshold=0)


def test_each_question_has_its_scores(scored):
    assert scored["id"].tolist() == ["q0", "q1", "q2"]
    assert scored["prediction"].tolist() == list(TEXTS)
    assert scored["exact_match"].tolist() == [1, 0, 0]
    assert scored["f1"].tolist() == pytest.approx([1, 0.8, 0])
    assert [CONTEXT[a:b] for a, b in zip(scored["char_start"], scored["char_end"], strict=True)] == list(TEXTS)


@pytest.mark.parametrize(
    ("threshold", "predictions", "exact_match", "f1"),
    [
        (0, [*TEXTS, ""], [1, 0, 0, 1], [1, 0.8, 0, 1]),  # not answering is right where there is no answer
        (2.5, [*TEXTS, "Ada"], [1, 0, 0, 0], [1, 0.8, 0, 0]),
        (-9, [""] * 4, [0, 0, 0, 1], [0, 0, 0, 1]),
        (2, [*TEXTS, "Ada"], [1, 0, 0, 0], [1, 0.8, 0, 0]),  # equal to its no-answer score: answered
    ],
)
def test_v2_answers_below_the_threshold_and_keeps_what_the_best_span_would_score(
    threshold, predictions, exact_match, f1
):
    frame = score_v2(threshold)
    assert frame["prediction"].tolist() == predictions
    assert frame["exact_match"].tolist() == exact_match
    assert frame["f1"].tolist() == pytest.approx(f1)
    assert frame["span_f1"].tolist() == pytest.approx([1, 0.8, 0, 0])
    assert frame["span_exact_match"].tolist() == [1, 0, 0, 0]
    assert frame["has_answer"].tolist() == [True, True, True, False]
    assert json.loads(frame["references"][0]) == list(ANSWERABLE[0].answers)
    assert frame["references"][3] == "[]"


@pytest.mark.parametrize("threshold", [-9.0, -5.5, -4.5, 0.0, 2.5])
def test_the_saved_table_gives_the_scores_at_every_threshold_as_torchmetrics_does(threshold):
    frame = score_v2(threshold)
    columns = ["span_exact_match", "span_f1", "no_answer_score", "has_answer"]
    curve = no_answer.curve(*(score_v2()[column].to_numpy() for column in columns))
    point = curve.at(threshold)
    assert curve.f1[point] == pytest.approx(100 * frame["f1"].mean())
    theirs = squad(
        [{"id": e.id, "prediction_text": frame["prediction"][row]} for row, e in enumerate(ANSWERABLE)],
        [{"id": e.id, "answers": {"text": list(e.answers), "answer_start": []}} for e in ANSWERABLE],
    )
    assert curve.has_f1[point] == pytest.approx(float(theirs["f1"]))
    assert curve.has_exact_match[point] == pytest.approx(float(theirs["exact_match"]))


def test_a_threshold_is_chosen_on_held_out_questions_or_is_the_given_one_without_them():
    # The first two answered, the others not: (1 + 0.8 + 0 + 1) / 4. The wrong third one changes nothing.
    answers = predicted(*TEXTS, "Ada", lead=(-3, -1, 1, 2))
    chosen = scoring.threshold(0.0, [*ANSWERABLE, UNANSWERABLE], lambda _: answers)
    assert chosen == no_answer.Threshold(-1.0, 4, pytest.approx(70))
    given = scoring.threshold(1.5, [], lambda _: pytest.fail("the model was asked"))
    assert given == no_answer.Threshold(1.5)


CHOSEN, GIVEN = no_answer.Threshold(-1.25, 400, 70.0), no_answer.Threshold(0.0)


def test_the_threshold_is_recorded_with_what_it_was_chosen_on():
    on = {"chosen_on": "held-out training questions"}
    assert scoring.threshold_records(CHOSEN, v2=True) == [
        Record.of("no_answer_threshold", -1.25, "logits", 400, conditions=on),
        Record.of("threshold_f1", 70.0, "points", 400, conditions=on),
    ]
    (given,) = scoring.threshold_records(GIVEN, v2=True)
    assert (given.value, given.n, given.conditions) == (0.0, 1, {"chosen_on": None})


def test_the_notebook_shows_where_the_threshold_comes_from():
    (chosen,) = scoring.threshold_table(CHOSEN, v2=True).to_dict("records")
    assert chosen["no answer above"] == "-1.25 logits"
    assert (chosen["questions"], chosen["F1 there"], chosen["model has seen them"]) == (400, "70.0", "no")
    assert scoring.threshold_table(CHOSEN, v2=True, fine_tuned=True)["model has seen them"].tolist() == ["unknown"]
    assert scoring.threshold_table(GIVEN, v2=True)["no answer above"].tolist() == ["0.00 logits"]
    assert scoring.threshold_table(GIVEN, v2=False).empty
    assert scoring.threshold_records(GIVEN, v2=False) == []


def records_of(frame: pd.DataFrame, examples: list[Example], v2: bool) -> dict[str, Record]:
    records, again = (scoring.records(frame, examples, v2=v2) for _ in range(2))
    assert records == again
    assert len({record.metric for record in records}) == len(records)
    return {record.metric: record for record in records}


def test_the_record_is_in_points_and_its_interval_holds_its_value(scored):
    records = records_of(scored, ANSWERABLE, v2=False)
    assert list(records) == ["exact_match", "f1", "baseline_exact_match", "baseline_f1"]
    assert records["exact_match"].value == pytest.approx(100 / 3)
    assert records["f1"].value == pytest.approx(60)
    for record in records.values():
        assert record.interval is not None
        assert (record.unit, record.n, record.interval.over) == ("points", 3, "questions")
        assert record.interval.low <= record.value <= record.interval.high
    assert records["f1"].bounds == (0, 100)


def test_v2_has_separate_figures_for_each_kind_of_question_present(scored):
    records = records_of(score_v2(), [*ANSWERABLE, UNANSWERABLE], v2=True)
    assert {name: (record.value, record.n) for name, record in records.items() if "Ans" in name} == {
        "HasAns_exact_match": (pytest.approx(100 / 3), 3),
        "HasAns_f1": (pytest.approx(60), 3),
        "NoAns_exact_match": (100, 1),
        "NoAns_f1": (100, 1),
    }
    assert records["f1"].value == pytest.approx(70)
    without = records_of(scored, ANSWERABLE, v2=True)
    assert "HasAns_f1" in without and "NoAns_f1" not in without


def test_questions_about_few_articles_are_clustered_by_passage_or_not_at_all():
    examples = [Example(f"q{i}", "one", f"{CONTEXT} {i // 3}", "When?", ("1843",), (40,)) for i in range(30)]
    found = predicted(*["1843", "London", "Ada"] * 10, lead=(-5,) * 30)._replace(
        score=np.ones(30), probability=np.ones(30)
    )
    frame = scoring.score(found, examples, v2=False, threshold=0)
    assert frame["article"].unique().tolist() == ["one"]
    assert frame["passage"].tolist() == [i // 3 for i in range(30)]
    record = scoring.records(frame, examples, v2=False)[0]
    assert record.conditions == {"drawn": "passages"}
    assert record.bounds == pytest.approx((100 / 3, 100 / 3))  # one in three of every passage


def test_the_baseline_answers_from_the_passage_alone(scored):
    # The runs of content words that are not asked about: "Ada Lovelace" is beside "wrote first program".
    records = records_of(scored[1:2], ANSWERABLE[1:2], v2=False)
    assert (records["exact_match"].value, records["baseline_exact_match"].value) == (0, 100)


def test_the_summary_shows_points_with_their_interval(scored):
    table = scoring.summary(scoring.records(scored, ANSWERABLE, v2=False))
    assert table.iloc[1].tolist() == ["F1", "60.00", "0.00 to 100.00", 3]


def test_the_rules_name_how_questions_are_read_and_scored():
    rules = scoring.rules(Reading(max_length=192, max_answer_tokens=12), "de")
    assert (rules["max_length"], rules["max_answer_tokens"]) == (192, 12)
    assert (rules["batch_tokens"], rules["questions without an answer"]) == ("chosen for the engine", "none")
    assert "German" in rules["EM and F1 by"]


def test_predictions_are_read_back_as_they_were(tmp_path):
    scoring.write_predictions(score_v2(), tmp_path / "predictions.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "predictions.parquet"), score_v2())


CHINESE = Example("q0", "t", "镇上有三百户人家。", "多少？", ("三百户",), (3,))


@pytest.mark.parametrize(("given", "language"), [(None, "zh"), ("en", "en"), ("ja", "ja")])
def test_the_study_s_language_takes_precedence_over_detection(study_of, given, language):
    assert scoring.language(study_of(evaluation={"language": given}), [CHINESE]) == language
    assert scoring.language(study_of(), ANSWERABLE) == "en"


def test_words_are_counted_by_the_rules_of_the_language():
    columns = {"score": 0.0, "probability": 1.0, "no_answer_score": 0.0, "char_start": 3, "char_end": 7}
    found = Predictions(*(np.array([value]) for value in ("q0", "三百户人", *columns.values())))
    by_characters = scoring.score(found, [CHINESE], v2=False, threshold=0, language="zh")
    assert by_characters["f1"].tolist() == pytest.approx([6 / 7])  # 3 of 4 characters, 3 of 3
    assert scoring.score(found, [CHINESE], v2=False, threshold=0)["f1"].tolist() == [0]
