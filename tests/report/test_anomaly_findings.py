"""The sentences on SqueezeBERT's time, from records whose numbers can be followed by hand; and its charts."""

import re
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.profiling.traces import CLASSES
from qa_tradeoffs.report import anomaly_figures, anomaly_findings
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import published

# variant, step, seconds of a training step at 8 × 384 with dropout; the ratio to the step before is told from 1 or not
STEPS = [
    ("as published", "as published", 10.0),
    ("matrix products", "convolutions as matrix products", 8.0),
    ("matrix products, channels last", "channels in the last dimension", 7.9),
    ("rewritten", "attention fused", 6.0),
    ("rewritten, without groups", "no groups", 12.5),
    ("BERT", "BERT", 12.0),
]
# class → (share of SqueezeBERT's 10 s, of BERT's 12 s)
SHARES = {
    "convolution forward": (0.2, 0.0),
    "convolution backward": (0.3, 0.0),
    "matrix product": (0.0, 0.75),
    "dropout and random numbers": (0.25, 0.15),
    "other": (0.25, 0.10),
}
GFLOP = {"convolution forward": 300, "convolution backward": 600, "matrix product": 1800}


def at(work: str, length: int, dropout: float, **more: Any) -> dict[str, Any]:
    return {"work": work, "precision": "fp32", "batch_size": 8, "length": length, "dropout": dropout} | more


def row(metric: str, value: float, conditions: dict[str, Any], spread: float = 0.01) -> dict[str, Any]:
    interval = {"low": value * (1 - spread), "high": value * (1 + spread), "over": "passes"}
    unit = "1" if metric == "variant_ratio" else "s per call"
    return {"metric": metric, "value": value, "unit": unit, "n": 5, "interval": interval, "conditions": conditions}


def variants(length: int, factor: float) -> list[dict[str, Any]]:
    here = at("training_step", length, 0.1)
    rows = [
        row("variant_training_step_seconds", factor * seconds,
            here | {"variant": name, "position": i, "step": step, "alone": i == 1})
        for i, (name, step, seconds) in enumerate(STEPS)
    ]  # fmt: skip
    fast = "rewritten, fast dropout masks"
    more = {"variant": fast, "position": None, "step": None, "alone": False}
    rows.append(row("variant_training_step_seconds", factor * 5.0, here | more))
    seconds = {name: value for name, _, value in STEPS} | {fast: 5.0}
    names = [name for name, _, _ in STEPS]
    pairs = [
        *zip(names[1:], names, strict=False),
        ("rewritten", "as published"),
        ("rewritten", "BERT"),
        (fast, names[0]),
    ]
    rows += [
        row("variant_ratio", seconds[name] / seconds[over], here | {"variant": name, "over": over}, spread=0.03)
        for name, over in dict.fromkeys(pairs)
    ]
    return rows


def operators() -> list[dict[str, Any]]:
    return [
        row("operator_seconds", whole * SHARES.get(name, (0, 0))[i],
            at(work, 384, dropout, model=model, operators=name, flops=10**9 * GFLOP.get(name, 0) * (whole > 0),
               unprofiled_seconds=whole, profiled_seconds=1.1 * whole))
        for i, (model, whole) in enumerate([("SqueezeBERT as published", 10.0), ("BERT", 12.0)])
        for name in CLASSES
        for work, dropout in (("training_step", 0.1), ("forward", 0.0))
    ]  # fmt: skip


@pytest.fixture
def experiment() -> results.Experiment:
    device = {"name": "a processor", "threads": 2}
    software = {"python": "3.11", "versions": {"torch": "2.13.0"}, "git_commit": None, "git_dirty": None}
    origin = results.Origin(seed=0, device=device, **software)
    # At the smaller point all takes a tenth; the sentences are about the larger one.
    rows = [*variants(128, 0.1), *variants(384, 1.0), *operators()]
    return results.Experiment(experiment="anomaly", origin=origin, records=results.records(rows))


@pytest.fixture
def found(experiment, tmp_path) -> anomaly_findings.Explanation:
    results.write(tmp_path / "stored.json", experiment)
    return anomaly_findings.load(tmp_path / "own.json", tmp_path / "stored.json")


@pytest.fixture(scope="module")
def original() -> published.Published:
    return published.load()


def test_the_measurement_made_here_comes_before_the_one_that_is_stored(experiment, tmp_path):
    results.write(tmp_path / "stored.json", experiment)
    stored = anomaly_findings.load(tmp_path / "own.json", tmp_path / "stored.json")
    assert stored.measured.startswith("Measured apart from this run, which make anomaly repeats here: a processor, 2")
    assert "batch 8 × 384 tokens, fp32, dropout 0.1" in stored.measured
    results.write(tmp_path / "own.json", experiment)
    own = anomaly_findings.load(tmp_path / "own.json", tmp_path / "stored.json")
    assert own.measured.startswith("Measured on this machine by make anomaly: a processor, 2 threads, torch 2.13.0")


def test_without_any_measurement_the_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"stored\.json: is missing; run make anomaly$"):
        anomaly_findings.load(tmp_path / "own.json", tmp_path / "stored.json")


def test_the_question_gives_the_originals_figures(original):
    (said,) = anomaly_findings.question(original)
    assert "SqueezeBERT took 5.35 h to fine-tune (USD 8.28), BERT 3 h (USD 4.65)" in said
    share = int(re.search(r"it has (\d+) % of BERT's operations at 384 tokens", said)[1])
    # Per token and layer BERT has 12 products of 768 × 768; SqueezeBERT has 1 + 11 / 4. Both have 4 · 384 · 768 for
    # attention, as much as 2 · 384 / 768 = 1 product: (3.75 + 1) / (12 + 1).
    assert share == round(100 * 4.75 / 13)


def test_shares_and_rates_are_of_the_class(found):
    (said,) = anomaly_findings.where(found)
    # 900 GFLOP in 5 s; 1,800 in 9 s
    assert said.startswith(
        "Convolutions take 50 % of a training step of SqueezeBERT as published (30 % backwards alone), and reach 180 "
        "GFLOP/s, where BERT's matrix products reach 200"
    )
    assert "Dropout takes 25 %, 2.50 s; in BERT 15 %, 1.80 s" in said


def test_a_step_that_the_interval_does_not_tell_from_none_is_called_that(found):
    said = anomaly_findings.steps(found)
    assert said[0] == "Convolutions as matrix products: -2.00 s, 0.80 times the step before (0.78 to 0.82)."
    assert said[1].startswith("Channels in the last dimension: -0.10 s, 0.99 times")
    assert said[1].endswith("the interval does not tell it from no change.")
    assert said[3] == "No groups: +6.50 s, 2.08 times the step before (2.02 to 2.15)."


def test_the_fix_has_both_times_beside_the_ratio(found):
    first, fast, second = anomaly_findings.fix(found)
    assert first.startswith("Rewritten, a training step takes 6.00 s instead of 10.0 s: 0.60 (0.58 to 0.62) times as")
    assert "0.50 (0.48 to 0.52) times as long as BERT's 12.0 s" in first
    assert fast.endswith("it takes 5.00 s, 0.50 (0.48 to 0.52) times as long as published.")
    assert "takes less time than BERT's on this machine (10.0 s against 12.0 s)" in second


def test_what_it_would_have_saved_is_the_originals_time_by_the_ratio(found, original):
    (said,) = anomaly_findings.saved(found, original)
    # 5.35 · 0.6 = 3.21; 8.28 · 0.6 = 4.97
    assert "its 5.35 h and USD 8.28 would have been 3.2 h and USD 4.97" in said
    assert "an assumption, not a measurement" in said


def test_what_stays_open_has_both_ratios(found, original):
    # 5.35 / 3 there, 10 / 12 here
    assert "was 1.78 in the original; here it is 0.83" in anomaly_findings.open_questions(found, original)[0]


def test_the_table_of_aims_has_every_point_and_says_what_was_not_reached(found):
    shown = anomaly_findings.shown_aims(found)
    assert shown["batch × tokens"].tolist() == ["8 × 128"] * 2 + ["8 × 384"] * 2
    assert shown["rewritten over"].tolist() == ["as published", "BERT"] * 2
    assert shown["ratio"].tolist() == ["0.60 (0.58 to 0.62)", "0.50 (0.48 to 0.52)"] * 2
    assert shown["aim"].tolist() == ["at most 0.7", "at most 0.55"] * 2
    assert shown["reached"].tolist() == ["yes"] * 4


def test_one_change_alone_is_shown_with_its_ratio(found):
    shown = anomaly_findings.shown_alone(found)
    assert shown.to_numpy().tolist() == [["matrix products", "8.00 s", "0.80 (0.78 to 0.82)"]]


def test_the_charts_show_every_class_and_every_step(found):
    bars = anomaly_figures.operators(found.operators)
    seconds, flops = bars.axes
    assert [label.get_text() for label in seconds.get_yticklabels()] == ["SqueezeBERT as published", "BERT"]
    # Each class has a bar for each model, of its seconds and of its operations.
    assert [len(axes.patches) for axes in (seconds, flops)] == [2 * len(CLASSES)] * 2
    assert sum(patch.get_width() for patch in seconds.patches) == pytest.approx(22)
    steps = anomaly_figures.waterfall(found.steps)
    (axes,) = steps.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "as published"
    assert names[1] == "convolutions as matrix products (-2.00 s)"
    assert names[-1] == "BERT"
    # The first and the last are whole bars, the others and the last float between two times.
    assert sorted(round(patch.get_width(), 6) for patch in axes.patches) == [-2, -1.9, -0.5, -0.1, 6.5, 10, 12]


def test_alternative_texts_name_the_largest_classes_and_every_step(found):
    said = anomaly_findings.describe_operators(found.operators, "training step")
    assert "SqueezeBERT as published: 10.00 s, of it convolution backward 30 %" in said
    assert "BERT: 12.00 s, of it matrix product 75 %, dropout and random numbers 15 %, other 10 %" in said
    assert anomaly_findings.describe_steps(found).endswith("no groups +6.50 s, BERT -0.50 s.")
