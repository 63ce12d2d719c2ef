"""Accuracy and time of a question side by side, and every two models compared."""

import pandas as pd
import pytest

from qa_tradeoffs.analysis import choice
from tests.analysis.conftest import models, sized

GAP = {"model": "BERT", "other": "DistilBERT", "f1_difference": 4.0, "low": 3.0, "high": 5.0, "p_holm": 0.01}


@pytest.fixture
def collected(profiled):
    return profiled({"bert": sized(100e6), "distilbert": sized(50e6)})  # 0.2 s a question and 0.1 s


def test_choices_stand_to_the_front_by_accuracy_and_the_ratio_of_times(collected):
    table = models().assign(seeds=1, f1_seed_low=[80, 76], f1_seed_high=[80, 76], f1_low=[79, 75])
    choices, contest = choice.choices(collected, table, pd.DataFrame([GAP]))
    assert choices["standing"].tolist() == ["front", "front"]
    assert (contest.accuracy("DistilBERT", "BERT"), contest.speed("DistilBERT", "BERT")) == ("worse", "better")
    assert contest.ratio("DistilBERT", "BERT").value == pytest.approx(0.5)


def test_a_model_that_is_not_above_lexical_overlap_is_compared_with_none(collected):
    table = models().assign(
        seeds=1, f1_seed_low=[80, 76], f1_seed_high=[80, 76], f1_low=[79, 21.9]
    )  # lexical: up to 22
    choices, contest = choice.choices(collected, table, pd.DataFrame([GAP]))
    assert choices["learned"].tolist() == [True, False]
    assert choices["standing"].tolist() == ["front", "not learned"]
    assert contest.most_accurate() == contest.fastest() == ["BERT"]


@pytest.mark.parametrize(
    ("seeds", "low", "high", "verdict"),
    [
        ([3, 3], [79, 75], [81, 77], "better"),
        ([3, 3], [76, 75], [83, 77], "not significant"),
        ([1, 3], [80, 75], [80, 81], "not significant"),  # one that came fine-tuned is one run
        ([1, 1], [80, 80], [80, 80], "better"),  # one run of each: nothing is known of others
    ],
)
def test_a_lead_needs_training_runs_that_lie_apart_where_there_are_several(collected, seeds, low, high, verdict):
    table = models().assign(seeds=seeds, f1_seed_low=low, f1_seed_high=high, f1_low=[79, 75])
    _, contest = choice.choices(collected, table, pd.DataFrame([GAP]))
    assert contest.accuracy("BERT", "DistilBERT") == verdict
