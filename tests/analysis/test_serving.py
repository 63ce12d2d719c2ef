"""Scenarios and phases from hand-made passes and records."""

import math

import pytest

from qa_tradeoffs.analysis import serving
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.records import Record
from tests.analysis.conftest import BERT, DISTILBERT, compared, record, sized
from tests.conftest import in_turn

BOTH = {"bert": sized(BERT), "distilbert": sized(DISTILBERT, "full size")}


def test_the_time_of_a_question_the_best_batch_and_the_price_range(profiled):
    collected = compared(
        profiled({"bert": sized(BERT)}, usd_per_hour=(1.0, 3.0)),
        in_turn("single_stream", {"bert": 0.36}, contended=1),
        *(in_turn("offline", {"bert": s}, batch_size=batch) for batch, s in ((8, 20.0), (16, 10.0), (32, 25.0))),
    )
    row = serving.scenarios(collected, "study").iloc[0]
    times = math.exp(4.3027 * math.log(1 / 0.9) / math.sqrt(3))  # t at two degrees of freedom
    assert row["question"] == pytest.approx(0.36)
    assert (row["question_low"], row["question_high"]) == pytest.approx((0.36 / times, 0.36 * times), rel=1e-4)
    assert (row["passes"], row["contended"]) == (3, 1)
    assert (row["questions_per_second"], row["offline_batch"]) == (pytest.approx(100 / 10), 16)
    assert row["questions_per_second_high"] == pytest.approx(10 * times, rel=1e-4)
    assert row["million_usd"] == pytest.approx((100, 300))  # 0.36 s is a ten-thousandth of an hour
    assert math.isnan(row["joules"]) and math.isnan(row["p90"])


def test_percentiles_and_energy_are_those_of_the_model_and_the_network(profiled):
    def of(metric: str, value: float, **conditions: str) -> Record:
        at = {"questions": 100, "work": "single_stream", "network": "study", "model": "bert"} | conditions
        return Record.of(metric, value, "s", conditions=at)

    records = [of("p90_seconds", 9, network="full size"), of("p90_seconds", 8, model="distilbert"),
               of("p90_seconds", 0.7), of("joules", 2.5), of("joules", 99, work="offline")]  # fmt: skip
    collected = compared(profiled({"bert": sized(BERT)}), in_turn("single_stream", {"bert": 0.36}), records=records)
    row = serving.scenarios(collected, "study").iloc[0]
    assert (row["p90"], row["joules"]) == (0.7, 2.5)
    assert math.isnan(row["p99"])


def test_networks_of_the_study_and_of_full_size_are_separate(profiled):
    collected = compared(
        profiled(BOTH),
        in_turn("single_stream", {"bert": 0.1, "distilbert": 0.003}),
        in_turn("single_stream", {"bert": 0.1, "distilbert": 0.05}, network="full size"),
    )
    assert serving.scenarios(collected, "full size")["question"].tolist() == pytest.approx([0.1, 0.05])
    assert serving.scenarios(collected, "study")["question"].tolist() == pytest.approx([0.1, 0.003])


def test_offline_without_memory_for_any_batch_has_no_throughput(profiled):
    collected = compared(profiled({"bert": sized(BERT)}), in_turn("single_stream", {"bert": 0.36}))
    row = serving.scenarios(collected, "study").iloc[0]
    assert math.isnan(row["questions_per_second"])
    assert row["offline_batch"] is None


def test_a_model_that_the_comparison_lacks_is_named(profiled):
    collected = compared(profiled(BOTH), in_turn("single_stream", {"bert": 0.36}))
    with pytest.raises(StudyError, match="has no time of distilbert in single_stream on the study network"):
        serving.scenarios(collected, "study")


def test_phases_are_milliseconds_per_question(profiled):
    parts = [record("phase_seconds", s, phase=p) for p, s in (("tokenise", 0.001), ("forward", 0.02))]
    table = serving.phases(profiled({"bert": [*sized(BERT), *parts]}))
    assert table.to_dict("records") == [{"model": "BERT", "tokenise (ms)": 1.0, "forward (ms)": 20.0}]
