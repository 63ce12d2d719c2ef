"""Times of forward passes and training steps from hand-made passes and records."""

import math
from typing import Any

import pytest

from qa_tradeoffs.analysis import accuracy, speed
from qa_tradeoffs.metrics.passes import SideBySide
from tests.analysis.conftest import BERT, DISTILBERT, FINE_TUNED, compared, record, sized
from tests.conftest import in_turn

BOTH = {"bert": sized(BERT), "distilbert": sized(DISTILBERT)}


def forward(seconds: dict[str, Any], batch_size: int = 1, length: int = 128, **of_models: Any) -> SideBySide:
    """Full rows of networks that take 20 GFLOP, 100 GFLOP/s being the peak; ``of_models`` are conditions by name."""
    one = in_turn("forward", seconds, batch_size=batch_size, length=length)
    models = {name: at | {"flops": 20e9} | of_models.get(name.replace(" ", "_"), {}) for name, at in one.models.items()}
    return one.model_copy(update={"models": models})


def test_a_network_of_published_size_is_full_size_and_a_small_one_has_a_twin(profiled):
    both = profiled({"bert": sized(BERT), "distilbert": sized(DISTILBERT, "full size")})
    assert (both.full_size, profiled({"bert": sized(BERT)}).full_size) == ("full size", "study")
    assert [network.parameters for network in speed.full_size(both)] == [BERT, DISTILBERT]


def test_the_point_is_the_smallest_batch_and_the_longest_rows(profiled):
    collected = compared(
        profiled({"bert": sized(BERT)}),
        forward({"bert": 1.0}, 8, 128), forward({"bert": 0.1}, 1, 32), forward({"bert": 0.4}, 1, 128),
    )  # fmt: skip
    (network,) = speed.full_size(collected)
    assert network.forward.value == pytest.approx(0.4)
    assert (network.at["batch_size"], network.at["length"]) == (1, 128)
    assert network.share == pytest.approx(0.5)  # 20 GFLOP in 0.4 s at a peak of 100 GFLOP/s
    assert network.eager is network.step is None


def test_the_eager_control_is_of_the_same_point(profiled):
    times = {"bert": 0.2, "bert eager": 0.3, "distilbert": 0.15}
    collected = compared(
        profiled(BOTH), forward(times, bert_eager={"attention": "eager"}, distilbert={"attention": "eager"})
    )
    bert, other = speed.full_size(collected)
    assert (bert.forward.value, bert.eager.value) == pytest.approx((0.2, 0.3))
    assert other.forward == other.eager


def test_a_training_step_has_its_windows(profiled):
    collected = compared(profiled(BOTH), in_turn("training_step", {"bert": 0.8, "distilbert": 0.4}))
    bert = speed.full_size(collected)[0]
    assert (bert.step.value, bert.windows, bert.forward) == (pytest.approx(0.8), 16, None)


def test_grids_have_one_row_per_point(collected_of):
    timings = speed.timings(collected_of({"bert": [[1, 0]], "distilbert": [[1, 1]]}))
    assert len(timings) == 2 * 2 * 2 * 2
    chosen = timings[(timings["model"] == "DistilBERT") & (timings["work"] == "training_step")]
    assert chosen["seconds"].tolist() == pytest.approx([0.075, 0.3, 0.6, 2.4])
    assert chosen["repeats"].tolist() == [12] * 4


def test_full_rows_have_one_row_per_point_and_model_without_controls(profiled):
    times = {"bert": 0.2, "bert eager": 0.3, "distilbert": 0.1}
    rows = speed.full_rows(compared(profiled(BOTH), forward(times), forward({"bert": 0.05}, 1, 32)))
    assert rows[["model", "length"]].to_numpy().tolist() == [["BERT", 128], ["DistilBERT", 128], ["BERT", 32]]
    assert rows["seconds"].tolist() == pytest.approx([0.2, 0.1, 0.05])


def savings(collected: Any) -> Any:
    return speed.savings(collected, accuracy.models(collected)).iloc[0]


def test_savings_are_against_the_largest_model(collected_of):
    row = savings(collected_of({"distilbert": [[1, 1]], "bert": [[1, 0]]}))
    assert (row["model"], row["other"], row["share"], row["question_verdict"]) == ("DistilBERT", "BERT", 0.5, "faster")
    assert (row["question"], row["other_question"], row["question_times"]) == pytest.approx((0.1, 0.2, 2))
    assert (row["training"], row["other_training"], row["training_times"]) == pytest.approx((1800, 3600, 2))
    assert math.isnan(row["full_size"])


@pytest.mark.parametrize(
    ("distilbert", "verdict"),
    [
        ([0.18, 0.20, 0.16], "faster"),  # 0.9 of BERT's time in every pass, whatever the machine did
        ([0.22, 0.25, 0.20], "slower"),
        ([0.10, 0.40, 0.17], "not significant"),  # much faster, much slower, and about as fast
    ],
)
def test_times_are_compared_pass_by_pass(collected_of, distilbert, verdict):
    collected = collected_of({"bert": [[1, 0]], "distilbert": [[1, 1]]})
    question = in_turn("single_stream", {"bert": [0.20, 0.2222, 0.1778], "distilbert": distilbert})
    assert savings(compared(collected, question))["question_verdict"] == verdict


def test_one_disturbed_training_does_not_decide(collected_of):
    collected = collected_of({"bert": [[1, 0]], "distilbert": [[1, 1]]})
    file = collected.trainings["distilbert", 0]
    slow = tuple(r.model_copy(update={"value": 9000.0}) if r.metric == "train_seconds" else r for r in file.records)
    collected.trainings["distilbert", 0] = file.model_copy(update={"records": slow})
    assert savings(collected)["training_verdict"] == "faster"
    measured = speed.training(accuracy.models(collected)).set_index("model")
    assert measured.loc["DistilBERT", ["train_by_step", "train_seconds", "ratio"]].tolist() == pytest.approx(
        [1800, 9000, 5]
    )


def test_a_model_that_came_fine_tuned_has_no_training_to_compare_and_one_model_no_other(collected_of):
    row = savings(collected_of({"bert": [[1, 0]], "distilbert": [[1, 1]]}, **FINE_TUNED))
    assert math.isnan(row["training_times"]) and row["training_verdict"] == ""
    alone = collected_of({"bert": [[1, 0]]})
    assert speed.savings(alone, accuracy.models(alone)).empty


def test_a_measurement_above_the_peak_is_invalid_alone_and_side_by_side(profiled):
    over = {"batch_size": 8, "length": 32, "share_of_peak": 1.3, "valid": False}
    wrong = record("forward_seconds", 0.01, **over)
    percentile = record("forward_seconds_p90", 0.02, **over)
    collected = profiled({"bert": [*sized(BERT), record("forward_seconds", 0.1, valid=True), wrong, percentile]})
    fast = compared(collected, forward({"bert": 0.1}), forward({"bert": 0.4}, 1, 32))  # 200 and 50 GFLOP/s of 100
    (first, second) = speed.invalid(fast)
    assert first == ("BERT", wrong)
    assert second[1].conditions["share_of_peak"] == pytest.approx(2)
