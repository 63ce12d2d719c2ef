"""Times of forward passes and training steps from hand-made records."""

import math
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis import speed
from qa_tradeoffs.metrics.records import Record
from tests.analysis.conftest import BERT, DISTILBERT, forward, record, sized

TWIN = {"network": "full size"}


def test_a_network_of_published_size_is_full_size_and_a_small_one_has_a_twin(profiled):
    large, small = [*sized(BERT), forward(0.2)], [*sized(DISTILBERT, "full size"), forward(0.001), forward(0.1, **TWIN)]
    both, alone = profiled({"bert": large, "distilbert": small}), profiled({"bert": large})
    assert (both.full_size, alone.full_size) == ("full size", "study")
    networks = speed.full_size(both)
    assert [network.parameters for network in networks] == [BERT, DISTILBERT]
    assert [network.forward.value for network in networks] == [0.2, 0.1]
    assert networks[0] == speed.full_size(alone)[0]
    assert speed.timings(both, "full size")[["model", "seconds"]].to_numpy().tolist() == [
        ["BERT", 0.2],
        ["DistilBERT", 0.1],
    ]


def test_the_point_is_the_smallest_batch_and_the_longest_rows_in_the_recipe_s_precision(profiled):
    rows = [
        forward(seconds * batch * length / 128, batch, length, precision=precision)
        for precision, seconds in (("bf16", 0.05), ("fp32", 0.2))
        for length, batch in ((32, 1), (128, 1), (128, 8))
    ]
    (network,) = speed.full_size(profiled({"bert": [*sized(BERT), *rows]}))
    assert network.forward == rows[1]
    assert network.eager is network.step is network.parts is None


def test_the_eager_control_is_of_the_same_point(profiled):
    control = {"attention": "eager", "eager_control": True}
    rows = [forward(0.2), forward(0.4, precision="bf16"), forward(0.1, length=32, **control),
            forward(0.5, precision="bf16", **control), forward(0.3, **control)]  # fmt: skip
    only_eager = forward(0.15, attention="eager")
    collected = profiled({"bert": [*sized(BERT), *rows], "distilbert": [*sized(51.1e6), only_eager]})
    bert, squeezebert = speed.full_size(collected)
    assert (bert.forward, bert.eager) == (rows[0], rows[4])
    assert squeezebert.forward == squeezebert.eager == only_eager


def test_the_parts_of_a_training_step_add_up(profiled):
    def step(part: str, seconds: float, batch_size: int) -> Record:
        return record(f"training_{part}_seconds", seconds, batch_size=batch_size, length=128)

    # Medians: of the parts 0.2 + 0.5 + 0.3 = 1, of the whole 0.9; and a larger batch that is not to be taken.
    parts = {"step": 0.9, "forward": 0.2, "backward": 0.5, "optimizer": 0.3}
    rows = [step(part, seconds * batch, batch) for batch in (16, 4) for part, seconds in parts.items()]
    (network,) = speed.full_size(profiled({"bert": [*sized(BERT), *rows]}))
    assert network.step.value == pytest.approx(3.6)
    assert network.parts == pytest.approx((0.2, 0.5, 0.3))


def test_timings_have_a_row_a_point(collected_of):
    timings = speed.timings(collected_of({"bert": [[1, 0]], "distilbert": [[1, 1]]}))
    assert len(timings) == 2 * 2 * 2 * 2
    chosen = timings[(timings["model"] == "DistilBERT") & (timings["work"] == "training_step")]
    assert chosen["seconds"].tolist() == pytest.approx([0.075, 0.3, 0.6, 2.4])
    assert chosen["low"].tolist() == pytest.approx([0.0675, 0.27, 0.54, 2.16])
    assert chosen["repeats"].tolist() == [12] * 4


def table(**distilbert: Any) -> pd.DataFrame:
    columns = ["model", "parameters", "latency", "latency_low", "latency_high", "train_seconds"]
    rows = [("BERT", 100, 0.2, 0.18, 0.22, 3600.0), ("DistilBERT", 50, 0.1, 0.09, 0.11, 1800.0)]
    return pd.DataFrame(rows, columns=columns, index=[0, 1]).assign(
        **{name: [rows[0][columns.index(name)], value] for name, value in distilbert.items()}
    )


def test_savings_are_against_the_largest_model():
    row = speed.savings(table().iloc[::-1]).iloc[0]
    assert (row["model"], row["other"], row["share"], row["verdict"]) == ("DistilBERT", "BERT", 0.5, "faster")
    assert (row["seconds"], row["other_seconds"], row["times_as_fast"]) == (0.1, 0.2, 2)
    assert (row["train_seconds"], row["other_train_seconds"], row["train_times_as_fast"]) == (1800, 3600, 2)


@pytest.mark.parametrize(
    ("seconds", "low", "high", "verdict"),
    [(0.1, 0.09, 0.17, "faster"), (0.1, 0.09, 0.19, "not significant"), (0.3, 0.23, 0.4, "slower")],
)
def test_times_are_significantly_different_where_their_intervals_do_not_overlap(seconds, low, high, verdict):
    savings = speed.savings(table(latency=seconds, latency_low=low, latency_high=high))  # BERT: 0.18 to 0.22
    assert savings["verdict"].tolist() == [verdict]


def test_a_model_that_came_fine_tuned_has_no_training_to_compare_and_one_model_no_other():
    assert math.isnan(speed.savings(table(train_seconds=math.nan))["train_times_as_fast"][0])
    assert speed.savings(table().head(1)).empty


def test_a_measurement_above_the_peak_is_invalid(profiled):
    over = {"share_of_peak": 1.3, "valid": False}
    wrong = forward(0.01, 8, 32, **over)
    percentile = record("forward_seconds_p90", 0.02, batch_size=8, length=32, **over)
    collected = profiled({"bert": [*sized(BERT), forward(0.1, valid=True), wrong, percentile]})
    assert speed.invalid(collected) == [("BERT", wrong)]
