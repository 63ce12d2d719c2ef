"""What the published figures imply, by hand."""

from pathlib import Path

import pytest

from qa_tradeoffs.analysis import audit
from qa_tradeoffs.study import published

PUBLISHED = published.load(Path(__file__).parents[2] / "studies" / "published.yaml")


def rates(model: str, machine: str) -> list[audit.Rate]:
    return [rate for rate in audit.rates(PUBLISHED) if (rate.model, rate.machine) == (model, machine)]


def test_bert_at_128_tokens_ran_at_nearly_the_peak_of_a_p100():
    # 256 rows of 22.348 GFLOP in 0.6424 s.
    rate = rates("bert", "p100")[2]
    assert (rate.batch_size, rate.length, rate.seconds) == (256, 128, 0.6424)
    assert rate.tflops == pytest.approx(256 * 22.347644928e-3 / 0.6424) == pytest.approx(8.906, abs=0.001)
    assert rate.peak_share == pytest.approx(8.906 / 9.3, abs=0.001)


def test_every_distilbert_time_on_the_p100_is_impossible_and_no_other():
    assert [round(rate.tflops, 1) for rate in rates("distilbert", "p100")] == [12.0, 12.7, 13.6, 11.3]
    impossible = [(rate.machine, rate.model) for rate in audit.rates(PUBLISHED) if not rate.possible]
    assert impossible == [("p100", "distilbert")] * 4


def test_half_of_the_layers_took_a_third_of_the_time_on_both_gpus():
    ratios = [rate.bert_over_model for machine in ("p100", "k80") for rate in rates("distilbert", machine)]
    assert ratios[2] == pytest.approx(0.6424 / 0.2106)
    assert [round(ratio, 1) for ratio in ratios] == [3.1, 3.0, 3.1, 2.9, 2.9, 3.0, 3.0, 2.9]


def test_a_clock_that_does_not_wait_for_the_gpu_misses_queued_work():
    queue = published.Queue(
        source="x", calls=10, capacity=1024, launches_source="x",
        launches={"bert": [512], "distilbert": [256], "squeezebert": [1024]},
    )  # fmt: skip
    assert [audit.shown_share(queue, n) for n in (1024, 512, 256)] == [0.9, 0.8, 0.6]
    # 5120 − 1024 launches over 2560 − 1024: twice as long looks 2.67 times as long.
    assert audit.equal_launches_ratio(queue, 0) == pytest.approx(4096 / 1536)


def test_corrected_times_are_longer_and_possible():
    as_published, corrected = audit.rates(PUBLISHED), audit.rates(PUBLISHED, 0)
    queue = PUBLISHED.original.queue
    for before, after in zip(as_published, corrected, strict=True):
        launches = queue.launches.of(before.model)[0]
        assert after.seconds == pytest.approx(before.seconds / (1 - 102.4 / launches))
        assert after.tflops * after.seconds == pytest.approx(before.tflops * before.seconds)
        assert after.possible


def test_only_distilberts_times_on_the_p100_are_impossible():
    flags = {
        (m, model): audit.impossible(PUBLISHED, m, model) for m in published.MACHINES for model in published.MODELS
    }
    assert [key for key, impossible in flags.items() if impossible] == [("p100", "distilbert")]


def test_every_row_of_hours_and_usd_has_the_same_hourly_price():
    prices = audit.usd_per_hour(PUBLISHED)
    assert prices == pytest.approx({"bert": 4.65 / 3, "distilbert": 2.32 / 1.5, "squeezebert": 8.28 / 5.35})
    assert {round(price, 2) for price in prices.values()} == {1.55}


def test_a_training_step_is_the_hours_over_the_steps():
    # 5,533 updates an epoch, 16,599 in three.
    seconds = {model: step.seconds for model, step in audit.training_steps(PUBLISHED).items()}
    assert seconds == pytest.approx({"bert": 0.651, "distilbert": 0.325, "squeezebert": 1.161}, abs=0.001)
    assert seconds["squeezebert"] == pytest.approx(19_260 / 16_599)


def test_a_training_step_of_bert_is_three_forward_passes_of_sixteen_rows_of_384():
    weights, attention, head = 2 * 84_934_656, 12 * 4 * 384 * 768, 2 * 768 * 2  # FLOP per token
    flop = 3 * 16 * 384 * (weights + attention + head)
    bert = audit.training_steps(PUBLISHED)["bert"]
    assert bert.tflops == pytest.approx(flop / bert.seconds / 1e12) == pytest.approx(5.21, abs=0.01)
    assert bert.peak_share == pytest.approx(0.56, abs=0.001)


def test_a_training_step_less_its_forward_pass_is_longer_for_squeezebert_alone():
    steps = audit.training_steps(PUBLISHED)
    # A row of 384 tokens is two thirds of the way from 128 to 512.
    per_row = (0.6424 + 2 * 3.1927) / 3 / 256
    shown = 1 - 102.4 / PUBLISHED.original.queue.launches.bert[0]
    assert steps["bert"].forward[0] == pytest.approx(16 * per_row / shown)
    assert steps["bert"].rest[0] == pytest.approx(steps["bert"].seconds - steps["bert"].forward[0])
    assert max(steps["squeezebert"].forward) < min(steps["bert"].forward)
    assert steps["bert"].rest[0] == pytest.approx(0.44, abs=0.015)
    assert steps["squeezebert"].rest[0] == pytest.approx(1.02, abs=0.015)
    # A backward pass has twice the operations of a forward pass.
    assert steps["bert"].rest_over_forward[0] == pytest.approx(2, abs=0.1)
    assert steps["squeezebert"].rest_over_forward[0] > 6


def test_the_gap_between_the_small_models_is_within_its_standard_error():
    # √(0.7695 · 0.2305 / 10570) = 0.00410, √(0.7731 · 0.2269 / 10570) = 0.00407; their root of squares 0.00578.
    gap = audit.exact_match_gap(PUBLISHED, "distilbert", "squeezebert")
    assert gap.points == pytest.approx(0.36)
    assert gap.error_of_difference == pytest.approx(0.578, abs=0.0005)
    assert not gap.significant  # 0.36 < 1.96 · 0.578
    assert audit.exact_match_gap(PUBLISHED, "squeezebert", "bert").significant


def test_the_p100_shows_the_same_surplus_of_memory_in_every_pair():
    offsets = audit.memory_offsets(PUBLISHED)
    assert len(offsets) == 3 * 6
    assert offsets[0] == 1627 - 1105 == 522
    assert set(offsets) == {520, 522, 524}


def test_less_time_and_faster_are_different_ratios():
    assert audit.times_from_faster(60) == pytest.approx(1.6)
    assert audit.times_from_less_time(65) == pytest.approx(2.857, abs=0.001)
    assert audit.times_from_less_time(50) == audit.times_from_faster(100) == 2


def test_squeezeberts_share_of_berts_flop():
    # Per token and layer BERT has 12 products of 768 × 768, SqueezeBERT 1 + 11 / 4. Both have 4 · 384 · 768 FLOP for
    # attention, as much as 2 · 384 / 768 = 1 product: (3.75 + 1) / (12 + 1).
    assert audit.share_of_bert("squeezebert", 384) == pytest.approx(4.75 / 13, abs=0.0005)
