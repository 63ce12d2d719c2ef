"""Scenarios and phases as a reader sees them."""

import math

import pandas as pd

from qa_tradeoffs.report import serving

ROW = {
    "model": "BERT", "p50": 0.36, "p50_low": 0.324, "p50_high": 0.396, "p90": 0.72, "p99": 1.08, "repeats": 400,
    "questions_per_second": 10.0, "offline_batch": 16, "single_usd": (100, 300), "offline_usd": (27.77, 83.33),
    "joules": math.nan,
}  # fmt: skip


def test_scenarios_have_units_and_a_price_range():
    assert serving.scenarios_cells(pd.DataFrame([ROW])).to_dict("records") == [
        {
            "model": "BERT",
            "SingleStream p50": "360 ms (324 ms–396 ms)",
            "SingleStream p90": "720 ms",
            "SingleStream p99": "1.08 s",
            "answers timed": 400,
            "Offline": "10.0 questions/s at batch 16",
            "million, SingleStream, USD": "100 to 300",
            "million, Offline, USD": "27.8 to 83.3",
        }
    ]


def test_energy_is_a_column_where_it_was_metered():
    table = serving.scenarios_cells(pd.DataFrame([ROW | {"joules": 2.5}, ROW]))
    assert table["J per question, SingleStream"].tolist() == ["2.50", "not metered"]


def test_offline_without_memory_for_any_batch_is_a_result():
    ran_out = ROW | {"questions_per_second": math.nan, "offline_batch": None, "offline_usd": (math.nan, math.nan)}
    row = serving.scenarios_cells(pd.DataFrame([ran_out])).iloc[0]
    assert row["Offline"] == row["million, Offline, USD"] == "out of memory"
