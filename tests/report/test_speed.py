"""Tables and chart of times as a reader sees them."""

import math

import pandas as pd

from qa_tradeoffs.analysis import speed as analysis
from qa_tradeoffs.report import speed
from tests.conftest import timed
from tests.report.conftest import COLOURS

AT = {"batch_size": 1, "length": 128, "precision": "fp32", "flops": 22.4e9, "share_of_peak": 0.25}


def test_savings_have_both_times_and_a_ratio_only_where_it_is_significant():
    models = pd.DataFrame(
        [("BERT", 100, 0.2, 0.19, 0.21, 3600.0), ("DistilBERT", 50, 0.1, 0.09, 0.11, 1800.0),
         ("SqueezeBERT", 47, 0.19, 0.17, 0.21, math.nan)],
        columns=["model", "parameters", "latency", "latency_low", "latency_high", "train_seconds"],
    ).assign(latency_batch=1, latency_at=128)  # fmt: skip
    assert speed.savings(models).cells.to_numpy().tolist() == [
        ["DistilBERT", "BERT", "50 %", "100 ms against 200 ms", "2.00", "30.0 min against 60.0 min", "2.00"],
        ["SqueezeBERT", "BERT", "47 %", "190 ms against 200 ms", "not significant",
         "not trained against 60.0 min", "not trained"],
    ]  # fmt: skip


def test_full_size_networks_have_the_point_in_the_column():
    forward = timed("forward_seconds", 0.2, **AT, attention="sdpa")
    step = timed("training_step_seconds", 3.6, batch_size=4, length=128)
    eager = timed("forward_seconds", 0.3, **AT, attention="eager")
    networks = [
        analysis.FullSize("BERT", 108.9e6, forward, eager, step, (0.2, 0.5, 0.3)),
        analysis.FullSize("SqueezeBERT", 51.1e6, eager, eager, None, None),
        analysis.FullSize("DistilBERT", 66.4e6, forward, None, None, None),
    ]
    table = speed.full_size(networks).cells
    assert table.iloc[0].to_dict() == {
        "model": "BERT",
        "parameters": "108.9 M",
        "precision": "fp32",
        "forward, 1 × 128": "200 ms (180 ms–220 ms)",
        "GFLOP": "22.4",
        "share of peak": "25 %",
        "with eager attention": "300 ms (270 ms–330 ms)",
        "training step, 4 × 128": "3.60 s (3.24 s–3.96 s)",
        "of it forward, backward, update": "20 % + 50 % + 30 %",
    }
    assert table["with eager attention"].tolist()[1:] == ["is eager", "not measured"]
    assert table["training step, 4 × 128"].tolist()[1:] == ["not measured", "not measured"]


TIMINGS = pd.DataFrame(
    [
        {"model": model, "work": work, "batch_size": batch, "length": length, "seconds": value,
         "low": 0.9 * value, "high": 1.1 * value}
        for model, factor in (("BERT", 2), ("DistilBERT", 1))
        for work in ("forward", "training_step")
        for batch in (1, 32)
        for length in (32, 128)
        if (value := factor * batch * length * 1e-4)
    ]
)  # fmt: skip


def test_timings_have_a_column_a_model():
    table = speed.timings(TIMINGS).cells
    assert table.columns.tolist() == ["work", "batch", "tokens per row", "BERT", "DistilBERT"]
    assert table.iloc[0].tolist() == ["forward", 1, 32, "6.40 ms (5.76 ms–7.04 ms)", "3.20 ms (2.88 ms–3.52 ms)"]
    assert table["work"].unique().tolist() == ["forward", "training step"]


def test_times_have_a_panel_a_batch_size_with_readable_ticks():
    chart = speed.chart(TIMINGS, COLOURS)
    figure = chart.figure
    figure.draw_without_rendering()
    assert [axes.get_title() for axes in figure.axes] == ["batch 1", "batch 32"]
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {"5 ms", "10 ms", "200 ms"} <= set(ticks)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["32", "128"]
    assert chart.alt.endswith(
        "at 128 tokens: BERT 25.6 ms at batch 1; BERT 819 ms at batch 32; DistilBERT 12.8 ms at batch 1; "
        "DistilBERT 410 ms at batch 32."
    )


def test_an_invalid_measurement_is_named_with_its_point(collected_of):
    collected = collected_of({"bert": [[1.0]]})
    profile = collected.profiles["bert"]
    assert speed.invalid(analysis.invalid(collected)).markup == ""
    at = AT | {"network": "study", "valid": False, "share_of_peak": 1.3}
    wrong = (*profile.records, timed("forward_seconds", 0.01, **at))
    collected.profiles["bert"] = profile.model_copy(update={"records": wrong})
    markup = speed.invalid(analysis.invalid(collected)).markup
    assert all(part in markup for part in ("BERT", "study network", "1 × 128 tokens in fp32", "1.30"))


ROW = {
    "model": "BERT", "p50": 0.36, "p50_low": 0.324, "p50_high": 0.396, "p90": 0.72, "p99": 1.08, "repeats": 400,
    "questions_per_second": 10.0, "offline_batch": 16, "single_usd": (100, 300), "offline_usd": (27.77, 83.33),
    "joules": math.nan,
}  # fmt: skip


def test_scenarios_have_units_and_a_price_range():
    assert speed.scenarios(pd.DataFrame([ROW])).cells.iloc[0].to_dict() == {
        "model": "BERT",
        "SingleStream p50": "360 ms (324 ms–396 ms)",
        "SingleStream p90": "720 ms",
        "SingleStream p99": "1.08 s",
        "answers timed": 400,
        "Offline": "10.0 questions/s at batch 16",
        "million, SingleStream, USD": "100 to 300",
        "million, Offline, USD": "27.8 to 83.3",
    }


def test_energy_is_a_column_where_it_was_metered_and_running_out_of_memory_is_a_result():
    ran_out = {"questions_per_second": math.nan, "offline_batch": None, "offline_usd": (math.nan, math.nan)}
    table = speed.scenarios(pd.DataFrame([ROW | {"joules": 2.5}, ROW | ran_out])).cells
    assert table["J per question, SingleStream"].tolist() == ["2.50", "not metered"]
    assert table["Offline"].tolist() == ["10.0 questions/s at batch 16", "out of memory"]
    assert table["million, Offline, USD"].tolist() == ["27.8 to 83.3", "out of memory"]
