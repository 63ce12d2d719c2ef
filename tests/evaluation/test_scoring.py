"""Four questions whose EM and F1 are known, one of them without an answer."""

import numpy as np
import pandas as pd
import pytest
from torchmetrics.functional.text import squad

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation import scoring
from qa_tradeoffs.evaluation.answers import Predictions
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
        id=[f"q{row}" for row in range(len(texts))],
        text=list(texts),
        char_start=starts,
        char_end=starts + [len(text) for text in texts],
        score=np.array([4.0, 3.0, 2.0, 1.0])[: len(texts)],
        probability=np.array([0.9, 0.6, 0.3, 0.2])[: len(texts)],
        no_answer_score=np.array(lead)[: len(texts)],
    )


# Right; one of two words of the nearest reference shared with three: P 2/3, R 1, F1 0.8; wrong.
TEXTS = ("1843", "Ada Lovelace wrote", "program")


@pytest.fixture
def scored() -> pd.DataFrame:
    return scoring.score(predicted(*TEXTS), ANSWERABLE, v2=False, threshold=0)


@pytest.fixture
def scored_v2() -> pd.DataFrame:
    return scoring.score(predicted(*TEXTS, "Ada"), [*ANSWERABLE, UNANSWERABLE], v2=True, threshold=0)


def test_each_question_has_its_scores(scored):
    assert scored["id"].tolist() == ["q0", "q1", "q2"]
    assert scored["prediction"].tolist() == list(TEXTS)
    assert scored["exact_match"].tolist() == [1, 0, 0]
    assert scored["f1"].tolist() == pytest.approx([1, 0.8, 0])
    assert [CONTEXT[a:b] for a, b in zip(scored["char_start"], scored["char_end"], strict=True)] == list(TEXTS)


def test_not_answering_is_right_where_there_is_no_answer(scored_v2):
    assert scored_v2["prediction"].tolist() == [*TEXTS, ""]
    assert scored_v2["exact_match"].tolist() == [1, 0, 0, 1]
    assert scored_v2["f1"].tolist() == pytest.approx([1, 0.8, 0, 1])


def test_a_higher_threshold_makes_it_answer():
    frame = scoring.score(predicted(*TEXTS, "Ada"), [*ANSWERABLE, UNANSWERABLE], v2=True, threshold=2.5)
    assert frame["prediction"].tolist() == [*TEXTS, "Ada"]
    assert frame["f1"].tolist() == pytest.approx([1, 0.8, 0, 0])


def test_v2_keeps_what_the_best_span_would_score_where_it_is_not_the_prediction():
    frame = scoring.score(predicted(*TEXTS, "Ada"), [*ANSWERABLE, UNANSWERABLE], v2=True, threshold=-9)
    assert frame["prediction"].tolist() == [""] * 4
    assert frame["f1"].tolist() == [0, 0, 0, 1]
    assert frame["span_f1"].tolist() == pytest.approx([1, 0.8, 0, 0])
    assert frame["span_exact_match"].tolist() == [1, 0, 0, 0]
    assert frame["has_answer"].tolist() == [True, True, True, False]


@pytest.mark.parametrize("threshold", [-5.5, -4.5, 0.0, 2.5])
def test_every_threshold_can_be_had_from_the_saved_table(scored_v2, threshold):
    again = scoring.score(predicted(*TEXTS, "Ada"), [*ANSWERABLE, UNANSWERABLE], v2=True, threshold=threshold)
    columns = ["span_exact_match", "span_f1", "no_answer_score", "has_answer"]
    curve = no_answer.curve(*(scored_v2[column].to_numpy() for column in columns))
    assert curve.f1[curve.at(threshold)] == pytest.approx(100 * again["f1"].mean())


def test_the_figures_of_answerable_questions_are_those_of_torchmetrics(scored_v2):
    columns = ["span_exact_match", "span_f1", "no_answer_score", "has_answer"]
    curve = no_answer.curve(*(scored_v2[column].to_numpy() for column in columns))
    for threshold in (-9.0, 0.0):
        frame = scoring.score(predicted(*TEXTS, "Ada"), [*ANSWERABLE, UNANSWERABLE], v2=True, threshold=threshold)
        theirs = squad(
            [{"id": e.id, "prediction_text": frame["prediction"][row]} for row, e in enumerate(ANSWERABLE)],
            [{"id": e.id, "answers": {"text": list(e.answers), "answer_start": []}} for e in ANSWERABLE],
        )
        assert curve.has_f1[curve.at(threshold)] == pytest.approx(float(theirs["f1"]))
        assert curve.has_exact_match[curve.at(threshold)] == pytest.approx(float(theirs["exact_match"]))


def test_a_threshold_is_chosen_on_the_questions_held_out():
    # The first two answered, the others not: (1 + 0.8 + 0 + 1) / 4. The wrong third one changes nothing.
    answers = predicted(*TEXTS, "Ada", lead=(-3, -1, 1, 2))
    chosen = scoring.threshold(0.0, [*ANSWERABLE, UNANSWERABLE], lambda _: answers)
    assert chosen == no_answer.Threshold(-1.0, 4, pytest.approx(70))


def test_a_threshold_that_is_given_is_kept_and_asks_nothing():
    chosen = scoring.threshold(1.5, [], lambda _: pytest.fail("the model was asked"))
    assert chosen == no_answer.Threshold(1.5)


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


def test_v1_has_no_threshold():
    assert scoring.threshold_records(GIVEN, v2=False) == []
    assert scoring.threshold_table(GIVEN, v2=False).empty


def test_without_v2_the_no_answer_score_is_ignored():
    frame = scoring.score(predicted(*TEXTS, lead=(9, 9, 9)), ANSWERABLE, v2=False, threshold=0)
    assert frame["prediction"].tolist() == list(TEXTS)


def by_metric(records: list[Record]) -> dict[str, Record]:
    assert len({record.metric for record in records}) == len(records)
    return {record.metric: record for record in records}


def test_the_record_is_in_points_and_its_interval_holds_its_value(scored):
    records = by_metric(scoring.records(scored, ANSWERABLE, v2=False, seed=0))
    assert list(records) == ["exact_match", "f1", "baseline_exact_match", "baseline_f1"]
    assert records["exact_match"].value == pytest.approx(100 / 3)
    assert records["f1"].value == pytest.approx(60)
    for record in records.values():
        assert record.interval is not None
        assert (record.unit, record.n, record.interval.over) == ("points", 3, "questions")
        assert record.interval.low <= record.value <= record.interval.high
    assert records["f1"].bounds == (0, 100)


def test_the_same_seed_gives_the_same_records(scored):
    one, two = (scoring.records(scored, ANSWERABLE, v2=False, seed=7) for _ in range(2))
    assert one == two


def test_v2_has_the_figures_of_either_kind_of_question(scored_v2):
    records = by_metric(scoring.records(scored_v2, [*ANSWERABLE, UNANSWERABLE], v2=True, seed=0))
    assert {name: (record.value, record.n) for name, record in records.items() if "Ans" in name} == {
        "HasAns_exact_match": (pytest.approx(100 / 3), 3),
        "HasAns_f1": (pytest.approx(60), 3),
        "NoAns_exact_match": (100, 1),
        "NoAns_f1": (100, 1),
    }
    assert records["f1"].value == pytest.approx(70)


def test_v2_without_unanswerable_questions_has_no_figures_of_them(scored):
    records = by_metric(scoring.records(scored, ANSWERABLE, v2=True, seed=0))
    assert "HasAns_f1" in records
    assert "NoAns_f1" not in records


def test_the_baseline_answers_from_the_passage_alone():
    # The runs of content words that are not asked about: "Ada Lovelace" is beside "wrote first program".
    scores = scoring.baseline_scores(ANSWERABLE[1:2], v2=False)
    assert scores.exact_match.tolist() == [1]


def test_the_summary_shows_points_with_their_interval(scored):
    table = scoring.summary(scoring.records(scored, ANSWERABLE, v2=False, seed=0))
    assert table.iloc[1].to_dict() == {
        "metric": "f1",
        "points": "60.00",
        "95 % interval over questions": "0.00 to 100.00",
        "questions": 3,
    }


def test_the_sample_has_the_least_and_the_most_probable_answers(scored_v2):
    table = scoring.sample(scored_v2, [*ANSWERABLE, UNANSWERABLE], n=1)
    assert table.to_dict("records") == [
        {
            "question": "Who wrote the second program?",
            "prediction": "(no answer)",
            "reference": "(no answer)",
            "right": "yes",
            "probability": 0.2,
        },
        {
            "question": "When was the first program written?",
            "prediction": "1843",
            "reference": "1843",
            "right": "yes",
            "probability": 0.9,
        },
    ]


def test_a_small_sample_shows_no_question_twice(scored):
    assert len(scoring.sample(scored, ANSWERABLE, n=4)) == 3


def test_predictions_are_read_back_as_they_were(scored_v2, tmp_path):
    scoring.write_predictions(scored_v2, tmp_path / "predictions.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "predictions.parquet"), scored_v2)


CHINESE = Example("q0", "t", "镇上有三百户人家。", "多少？", ("三百户",), (3,))


@pytest.mark.parametrize(("given", "language"), [(None, "zh"), ("en", "en"), ("ja", "ja")])
def test_the_study_s_language_comes_before_what_the_script_tells(study_of, given, language):
    assert scoring.language(study_of(evaluation={"language": given}), [CHINESE]) == language
    assert scoring.language(study_of(), ANSWERABLE) == "en"


def test_words_are_counted_by_the_rules_of_the_language():
    found = Predictions(["q0"], ["三百户人"], np.array([3]), np.array([7]), *np.zeros((3, 1)))
    by_characters = scoring.score(found, [CHINESE], v2=False, threshold=0, language="zh")
    assert by_characters["f1"].tolist() == pytest.approx([6 / 7])  # 3 of 4 characters, 3 of 3
    assert scoring.score(found, [CHINESE], v2=False, threshold=0)["f1"].tolist() == [0]
