"""Tables and chart of times as a reader sees them."""

import math

import pandas as pd
import pytest

from qa_tradeoffs.analysis import speed as analysis
from qa_tradeoffs.metrics.timing import Estimate
from qa_tradeoffs.report import speed
from tests.conftest import timed
from tests.report.conftest import COLOURS

AT = {"batch_size": 1, "length": 128, "precision": "fp32", "flops": 22.4e9}


def against(name: str, ours: float, other: float, verdict: str) -> dict[str, object]:
    times = other / ours
    return {
        name: ours, f"other_{name}": other, f"{name}_times": times, f"{name}_times_low": 0.9 * times,
        f"{name}_times_high": 1.1 * times, f"{name}_verdict": verdict,
    }  # fmt: skip


MODELS = pd.DataFrame(
    {"model": ["BERT", "DistilBERT", "SqueezeBERT"], "parameters": [1e8, 5e7, 4.7e7], "bytes": 2.0**20,
     "question": [0.2, 0.1, 0.19], "question_low": [0.18, 0.09, 0.17], "question_high": [0.22, 0.11, 0.21],
     "contended": 0, "train_paid_seconds": [3600, 1800, math.nan]}
)  # fmt: skip


def savings(**full_size: tuple[float, float, str]) -> pd.DataFrame:
    """DistilBERT takes half of BERT's time, SqueezeBERT's is not significantly less and it came fine-tuned."""
    nothing = (math.nan, math.nan, "")
    rows = [
        {"model": "DistilBERT", "other": "BERT", "share": 0.5}
        | against("question", 0.1, 0.2, "faster")
        | against("training", 1800, 3600, "faster"),
        {"model": "SqueezeBERT", "other": "BERT", "share": 0.47}
        | against("question", 0.19, 0.2, "not significant")
        | against("training", math.nan, 3600, ""),
    ]
    return pd.DataFrame([row | against("full_size", *full_size.get(row["model"], nothing)) for row in rows])


def test_times_have_a_ratio_to_the_largest_only_if_it_is_significant():
    assert speed.table(MODELS, savings()).cells.drop(columns=["parameters", "on disk"]).to_numpy().tolist() == [
        ["BERT", "200 ms", "", "60.0 min", ""],
        ["DistilBERT", "100 ms", "2.00 (1.80 to 2.20)", "30.0 min", "2.00 (1.80 to 2.20)"],
        ["SqueezeBERT", "190 ms", "not significant", "not trained", ""],
    ]


def test_small_networks_have_the_time_of_the_full_size_ones_beside_theirs():
    full = savings(DistilBERT=(0.1, 0.3, "faster"), SqueezeBERT=(0.2, 0.3, "faster"))
    cells = speed.table(MODELS, full).cells
    assert cells["one question at full size"].tolist() == ["300 ms", "100 ms", "200 ms"]
    times = cells["one question at full size, times as fast"]
    assert times.tolist() == ["", "3.00 (2.70 to 3.30)", "1.50 (1.35 to 1.65)"]
    assert "one question at full size" not in speed.table(MODELS, savings()).cells


def test_one_model_has_its_times_and_no_ratio():
    cells = speed.table(MODELS.head(1).assign(contended=2), pd.DataFrame()).cells
    assert cells.to_numpy().tolist() == [["BERT", "100.0 M", "1.0 MiB", "200 ms (contended)", "60.0 min"]]


def test_the_chart_of_a_question_has_a_point_per_model_and_a_panel_per_kind_of_network():
    colours = COLOURS | {"SqueezeBERT": "b"}
    chart = speed.questions_chart({"own": MODELS}, colours)
    (axes,) = chart.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["BERT", "DistilBERT", "SqueezeBERT"]
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert points == pytest.approx([0.2, 0.1, 0.19])
    far = MODELS.assign(question=[3.0, 0.1, 0.2], question_high=[3.3, 0.11, 0.22])
    both = speed.questions_chart({"own": MODELS, "full size": far}, colours)
    assert [axes.get_xscale() for axes in both.figure.axes] == ["linear", "log"]
    assert "full size, BERT 3.00 s, DistilBERT 100 ms, SqueezeBERT 200 ms" in both.alt


def test_a_training_has_its_step_beside_the_measured_total():
    row = {"model": "A", "train_by_step": 60.0, "train_by_step_low": 50.0, "train_by_step_high": 70.0,
           "train_seconds": 90.0, "ratio": 1.5}  # fmt: skip
    assert speed.training(pd.DataFrame([row])).cells.to_numpy().tolist() == [
        ["A", "60.0 s (50.0 s–70.0 s)", "90.0 s", "1.50"]
    ]


def test_full_size_networks_have_the_point_in_the_column():
    forward, eager, step = Estimate(0.2, 0.18, 0.22), Estimate(0.3, 0.27, 0.33), Estimate(3.6, 3.24, 3.96)
    networks = [
        analysis.FullSize("BERT", 108.9e6, forward, AT | {"attention": "sdpa"}, 0.25, eager, step, 2),
        analysis.FullSize("SqueezeBERT", 51.1e6, eager, AT | {"attention": "eager"}, None, eager, None, None),
        analysis.FullSize("DistilBERT", 66.4e6, forward, AT | {"attention": "sdpa"}, 0.25, None, None, None),
    ]
    table = speed.full_size(networks).cells
    assert table.iloc[0].to_dict() == {
        "model": "BERT",
        "parameters": "108.9 M",
        "precision": "fp32",
        "forward pass, 1 × 128 tokens": "200 ms (180 ms–220 ms)",
        "GFLOP": "22.4",
        "share of peak": "25 %",
        "with eager attention": "300 ms (270 ms–330 ms)",
        "training step, 2 windows": "3.60 s (3.24 s–3.96 s)",
    }
    assert table["with eager attention"].tolist()[1:] == ["always eager", "not measured"]
    assert table["training step, 2 windows"].tolist()[1:] == ["not measured", "not measured"]


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


def test_grids_are_folded_with_a_column_per_model_and_say_that_they_do_not_compare():
    markup = speed.timings(TIMINGS).markup
    assert "<details" in markup and "not for comparing models" in markup
    assert "6.40 ms (5.76 ms–7.04 ms)" in markup and "3.20 ms (2.88 ms–3.52 ms)" in markup


def test_times_have_a_panel_per_batch_size_with_readable_ticks():
    chart = speed.chart(TIMINGS[TIMINGS["work"] == "forward"], COLOURS)
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
    assert speed.invalid(analysis.invalid(collected)) == []
    at = AT | {"network": "study", "valid": False, "share_of_peak": 1.3}
    wrong = (*profile.records, timed("forward_seconds", 0.01, **at))
    collected.profiles["bert"] = profile.model_copy(update={"records": wrong})
    (sentence,) = speed.invalid(analysis.invalid(collected))
    assert all(part in sentence for part in ("BERT", "study network", "1 × 128 tokens in fp32", "1.30"))


ROW = {
    "model": "BERT", "question": 0.36, "question_low": 0.324, "question_high": 0.396, "p90": 0.72, "p99": math.nan,
    "passes": 10, "contended": 0, "questions_per_second": 10.0, "offline_batch": 16, "million_usd": (100, 300),
    "joules": math.nan,
}  # fmt: skip


def test_scenarios_have_units_a_price_range_and_no_percentile_that_nothing_supports():
    assert speed.scenarios(pd.DataFrame([ROW]), "Some networks").cells.iloc[0].to_dict() == {
        "model": "BERT",
        "SingleStream": "360 ms (324 ms–396 ms)",
        "p90": "720 ms",
        "passes": "10",
        "Offline": "10.0 questions/s at batch 16",
        "a million questions, USD": "100 to 300",
    }
    several = speed.scenarios(pd.DataFrame([ROW | {"p99": 1.08}, ROW]), "Some networks").cells
    assert several["p99"].tolist() == ["1.08 s", "too few questions"]


def test_energy_is_a_column_if_it_was_metered_and_running_out_of_memory_is_a_result():
    ran_out = {"questions_per_second": math.nan, "offline_batch": None, "contended": 2}
    table = speed.scenarios(pd.DataFrame([ROW | {"joules": 2.5}, ROW | ran_out]), "Some networks").cells
    assert table["J per question, SingleStream"].tolist() == ["2.50", "not metered"]
    assert table["Offline"].tolist() == ["10.0 questions/s at batch 16", "out of memory"]
    assert table["passes"].tolist() == ["10", "10, 2 contended"]
