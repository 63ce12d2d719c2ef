"""Tables and chart of times as a reader sees them."""

import math

import pandas as pd
import pytest

from qa_tradeoffs.analysis import speed as analysis
from qa_tradeoffs.report import speed
from tests.conftest import timed
from tests.report.conftest import COLOURS

AT = {"batch_size": 1, "length": 128, "precision": "fp32", "flops": 22.4e9, "share_of_peak": 0.25}


def test_savings_have_both_times_and_a_ratio_only_where_it_is_significant():
    rows = pd.DataFrame(
        [
            ("DistilBERT", "BERT", 0.5, 0.1, 0.2, 2.0, "faster", 1800.0, 3600.0, 2.0),
            ("SqueezeBERT", "BERT", 0.47, 0.19, 0.2, 1.05, "not significant", math.nan, 3600.0, math.nan),
        ],
        columns=["model", "other", "share", "seconds", "other_seconds", "times_as_fast", "verdict", "train_seconds",
                 "other_train_seconds", "train_times_as_fast"],
    )  # fmt: skip
    assert speed.savings_cells(rows).to_numpy().tolist() == [
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
    table = speed.full_size_cells(networks)
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
    table = speed.timings_cells(TIMINGS)
    assert table.columns.tolist() == ["work", "batch", "tokens per row", "BERT", "DistilBERT"]
    assert table.iloc[0].tolist() == ["forward", 1, 32, "6.40 ms (5.76 ms–7.04 ms)", "3.20 ms (2.88 ms–3.52 ms)"]
    assert table["work"].unique().tolist() == ["forward", "training step"]


@pytest.mark.usefixtures("style")
def test_times_have_a_panel_a_batch_size_with_readable_ticks():
    forward = TIMINGS[TIMINGS["work"] == "forward"]
    figure = speed.draw(forward, COLOURS)
    figure.draw_without_rendering()
    assert [axes.get_title() for axes in figure.axes] == ["batch 1", "batch 32"]
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {"5 ms", "10 ms", "200 ms"} <= set(ticks)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["32", "128"]
    assert speed.chart_text(forward).endswith(
        "at 128 tokens: BERT 25.6 ms at batch 1; BERT 819 ms at batch 32; DistilBERT 12.8 ms at batch 1; "
        "DistilBERT 410 ms at batch 32."
    )


def test_an_invalid_measurement_is_named_with_its_point(collected_of):
    collected = collected_of({"bert": [[1.0]]})
    profile = collected.profiles["bert"]
    assert speed.invalid(collected).markup == ""
    at = AT | {"network": "study", "valid": False, "share_of_peak": 1.3}
    wrong = (*profile.records, timed("forward_seconds", 0.01, **at))
    collected.profiles["bert"] = profile.model_copy(update={"records": wrong})
    markup = speed.invalid(collected).markup
    assert all(part in markup for part in ("BERT", "study network", "1 × 128 tokens in fp32", "1.30"))
