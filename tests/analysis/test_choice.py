"""Accuracy and time per question, and all pairs of models compared."""

import pandas as pd
import pytest

from qa_tradeoffs.analysis import choice
from tests.analysis.conftest import compared, models, sized
from tests.conftest import MODELS, in_turn

GAP = {
    "model": "BERT",
    "other": "DistilBERT",
    "f1_difference": 4.0,
    "low": 3.0,
    "high": 5.0,
    "p_holm": 0.01,
    "over": "questions",
}


@pytest.fixture
def collected(profiled):
    return profiled({"bert": sized(100e6), "distilbert": sized(50e6)})  # 0.2 s a question and 0.1 s


def test_standings_follow_from_accuracy_and_the_ratio_of_times(collected):
    choices, contest = choice.choices(collected, models().assign(f1_low=[79, 75]), pd.DataFrame([GAP]))
    assert choices["standing"].tolist() == ["front", "front"]
    assert (contest.accuracy("DistilBERT", "BERT"), contest.speed("DistilBERT", "BERT")) == ("worse", "better")
    assert contest.ratio("DistilBERT", "BERT").value == pytest.approx(0.5)


def test_a_model_that_is_not_above_lexical_overlap_is_compared_with_none(collected):
    table = models().assign(f1_low=[79, 21.9])  # lexical: up to 22
    choices, contest = choice.choices(collected, table, pd.DataFrame([GAP]))
    assert choices["learned"].tolist() == [True, False]
    assert choices["standing"].tolist() == ["front", "not learned"]
    assert contest.most_accurate() == contest.fastest() == ["BERT"]


def test_one_model_computed_in_two_ways_equals_itself_and_has_the_gaps_of_its_first_entry(profiled):
    of_two = {"models": MODELS | {"rewritten": MODELS["bert"] | {"label": "Rewritten", "grouped_matmul": True}}}
    seconds = {"bert": 0.2, "distilbert": 0.15, "rewritten": 0.1}
    collected = compared(
        profiled({slug: sized(100e6) for slug in seconds}, **of_two), in_turn("single_stream", seconds)
    )
    collected.predictions["rewritten", 0] = collected.predictions["bert", 0]
    table = models((100, 50, 100), (80, 76, 80)).assign(model=["BERT", "DistilBERT", "Rewritten"], f1_low=75)
    _, contest = choice.choices(collected, table, pd.DataFrame([GAP]))
    assert contest.accuracy("BERT", "Rewritten") == "equal"
    assert contest.gap("Rewritten", "DistilBERT") == contest.gap("BERT", "DistilBERT")
    assert contest.dominators("BERT") == ["Rewritten"]
