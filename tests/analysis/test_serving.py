"""Scenarios and phases from hand-made records."""

import math

import pytest

from qa_tradeoffs.analysis import serving
from qa_tradeoffs.core.errors import StudyError
from tests.analysis.conftest import BERT, DISTILBERT, out_of_memory, record, scenarios, sized


def test_percentiles_the_best_batch_and_the_price_range(profiled):
    rows = [*sized(BERT), *scenarios(0.36, offline=(5.0, 10.0, 4.0))]
    row = serving.scenarios(profiled({"bert": rows}, usd_per_hour=(1.0, 3.0)), "study").iloc[0]
    assert (row["p50"], row["p90"], row["p99"], row["repeats"]) == (0.36, 0.72, pytest.approx(1.08), 400)
    assert (row["p50_low"], row["p50_high"]) == pytest.approx((0.324, 0.396))
    assert (row["questions_per_second"], row["offline_batch"]) == (10, 16)
    assert row["single_usd"] == pytest.approx((100, 300))  # 0.36 s is a ten-thousandth of an hour
    assert row["offline_usd"] == pytest.approx((1e5 / 3600, 3e5 / 3600))  # 100,000 s
    assert math.isnan(row["joules"])


def test_a_model_without_a_full_size_twin_is_its_own(profiled):
    small = [*sized(DISTILBERT, "full size"), *scenarios(0.003), *scenarios(0.05, network="full size")]
    collected = profiled({"bert": [*sized(BERT), *scenarios(0.1)], "distilbert": small})
    assert serving.scenarios(collected, "full size")["p50"].tolist() == [0.1, 0.05]
    assert serving.scenarios(collected, "study")["p50"].tolist() == [0.1, 0.003]


def test_the_recipe_s_precision_is_the_first_and_others_are_left_out(profiled):
    first, other = scenarios(0.2, (5.0,), precision="bf16"), scenarios(0.1, (50.0,), precision="fp32")
    row = serving.scenarios(profiled({"bert": [*sized(BERT), *first, *other]}), "study").iloc[0]
    assert (row["p50"], row["p90"], row["questions_per_second"]) == (0.2, 0.4, 5)


def test_energy_is_that_of_single_stream(profiled):
    metered = [*scenarios(0.1), record("single_stream_joules", 2.5), record("offline_joules", 100, batch_size=8)]
    assert serving.scenarios(profiled({"bert": [*sized(BERT), *metered]}), "study")["joules"].tolist() == [2.5]


def test_offline_without_memory_for_any_batch_has_no_throughput(profiled):
    rows = [*sized(BERT), *scenarios(0.36, offline=()), out_of_memory("offline", 512, inputs="questions")]
    row = serving.scenarios(profiled({"bert": rows}), "study").iloc[0]
    assert math.isnan(row["questions_per_second"])
    assert row["offline_batch"] is None


def test_a_profile_without_single_stream_is_named(profiled):
    with pytest.raises(StudyError, match="profile of bert: has no SingleStream time of the study network"):
        serving.scenarios(profiled({"bert": sized(BERT)}), "study")


def test_phases_are_milliseconds_per_question(profiled):
    parts = [record("phase_seconds", s, phase=p) for p, s in (("tokenise", 0.001), ("forward", 0.02))]
    table = serving.phases(profiled({"bert": [*sized(BERT), *parts]}))
    assert table.to_dict("records") == [{"model": "BERT", "tokenise (ms)": 1.0, "forward (ms)": 20.0}]
