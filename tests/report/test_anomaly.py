"""SqueezeBERT's time in tables and charts, from records whose numbers can be followed by hand."""

from typing import Any

import pytest

from qa_tradeoffs.analysis.anomaly import Explanation, explanation
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.profiling.traces import CLASSES
from qa_tradeoffs.report import anomaly
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import published

# variant, step, seconds of a training step at 8 × 384 with dropout
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


def row(metric: str, value: float, conditions: dict[str, Any], spread: float = 0.01) -> Record:
    interval = Interval(low=value * (1 - spread), high=value * (1 + spread), over="passes")
    unit = "1" if metric == "variant_ratio" else "s per call"
    return Record.of(metric, value, unit, 5, interval=interval, conditions=conditions)


def variants(length: int, factor: float) -> list[Record]:
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


def operators() -> list[Record]:
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
    records = (*variants(128, 0.1), *variants(384, 1.0), *operators())
    return results.Experiment(experiment="anomaly", origin=origin, records=records)


@pytest.fixture
def explained(experiment, tmp_path) -> Explanation:
    results.write(tmp_path / "stored.json", experiment)
    return explanation(tmp_path / "own.json", tmp_path / "stored.json")


def facts(explained: Explanation) -> dict[str, str]:
    return anomaly.answer(explained).cells.set_index("name")["value"].to_dict()


def test_the_measurement_made_here_comes_before_the_one_that_is_stored(experiment, explained, tmp_path):
    assert not explained.own
    assert facts(explained)["measured"].startswith("apart from this run")
    results.write(tmp_path / "own.json", experiment)
    own = explanation(tmp_path / "own.json", tmp_path / "stored.json")
    assert own.own
    assert facts(own)["measured"] == "on this machine"


def test_without_any_measurement_the_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"stored\.json: is missing; run make anomaly$"):
        explanation(tmp_path / "own.json", tmp_path / "stored.json")


def test_the_answer_has_the_point_and_the_shares_and_rates_of_classes(explained):
    found = facts(explained)
    assert found["machine"] == "a processor, 2 threads, torch 2.13.0"
    assert found["training step"] == "full size, random weights, batch 8 × 384 tokens, fp32, dropout 0.1"
    # 900 GFLOP in 5 s, 1,800 in 9 s
    assert found["convolutions in SqueezeBERT as published"] == "50 % of the time, at 180 GFLOP/s"
    assert found["matrix products in BERT"] == "75 % of the time, at 200 GFLOP/s"
    assert found["dropout in SqueezeBERT as published"] == "25 % of the time"
    assert found["dropout in BERT"] == "15 % of the time"


def test_a_step_is_faster_or_slower_where_its_interval_excludes_1(explained):
    assert anomaly.steps_table(explained.steps).cells.to_numpy().tolist() == [
        ["as published", "10.0 s", "", ""],
        ["convolutions as matrix products", "8.00 s", "0.80 (0.78 to 0.82)", "faster"],
        ["channels in the last dimension", "7.90 s", "0.99 (0.96 to 1.02)", "not significant"],
        ["attention fused", "6.00 s", "0.76 (0.74 to 0.78)", "faster"],
        ["no groups", "12.5 s", "2.08 (2.02 to 2.15)", "slower"],
        ["BERT", "12.0 s", "0.96 (0.93 to 0.99)", "faster"],
    ]


def test_variants_have_their_ratio_to_what_is_published_and_whether_they_are_one_change(explained):
    found = anomaly.variants_table(explained.variants).cells.set_index("variant")
    assert found.loc["matrix products"].tolist() == ["8.00 s", "0.80 (0.78 to 0.82)", "faster", "yes"]
    assert found.loc["rewritten, fast dropout masks"].tolist() == ["5.00 s", "0.50 (0.48 to 0.52)", "faster", "no"]
    assert len(found) == 7


def test_the_table_of_aims_has_every_point_and_what_was_reached(explained):
    cells = anomaly.aims_table(explained.aims).cells
    assert cells["batch × tokens"].tolist() == ["8 × 128"] * 2 + ["8 × 384"] * 2
    assert cells["rewritten over"].tolist() == ["as published", "BERT"] * 2
    assert cells["ratio"].tolist() == ["0.60 (0.58 to 0.62)", "0.50 (0.48 to 0.52)"] * 2
    assert cells["aim"].tolist() == ["at most 0.7", "at most 0.55"] * 2
    assert cells["reached"].tolist() == ["yes"] * 4


def test_beside_the_original_stand_both_ratios_and_its_cost_at_ours(explained):
    found = anomaly.beside_original(explained, published.load()).cells["value"].tolist()
    # 5.35 / 3 there, 10 / 12 here; 5.35 · 0.6 = 3.21, 8.28 · 0.6 = 4.97
    assert found == ["1.78", "0.83", "5.35 h, USD 8.28", "3.2 h, USD 4.97"]


def test_the_chart_of_classes_has_a_bar_of_each_for_every_model(explained):
    chart = anomaly.operators_chart(explained.operators, "training step")
    times, flops = chart.figure.axes
    assert [label.get_text() for label in times.get_yticklabels()] == ["SqueezeBERT as published", "BERT"]
    assert [len(axes.patches) for axes in (times, flops)] == [2 * len(CLASSES)] * 2
    assert sum(patch.get_width() for patch in times.patches) == pytest.approx(22)
    assert "SqueezeBERT as published: 10.00 s, of it convolution backward 30 %" in chart.alt
    assert "BERT: 12.00 s, of it matrix product 75 %, dropout and random numbers 15 %, other 10 %" in chart.alt


def test_the_waterfall_has_whole_bars_at_its_ends_and_a_floating_one_for_every_change(explained):
    chart = anomaly.steps_chart(explained.steps)
    (axes,) = chart.figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert (names[0], names[1], names[-1]) == ("as published", "convolutions as matrix products (-2.00 s)", "BERT")
    assert sorted(round(patch.get_width(), 6) for patch in axes.patches) == [-2, -1.9, -0.5, -0.1, 6.5, 10, 12]
    assert chart.alt.endswith("no groups (+6.50 s), BERT (-0.50 s).")
