"""SqueezeBERT's time in tables and charts, from numbers that can be followed by hand."""

import math
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from qa_tradeoffs.analysis.anomaly import Explanation, explanation
from qa_tradeoffs.analysis.quantised import Quantised
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ANOMALY
from qa_tradeoffs.report import anomaly
from qa_tradeoffs.runs.results import Origin
from qa_tradeoffs.study import published

POINT = {"work": "training_step", "precision": "fp32", "batch_size": 8, "length": 384, "dropout": 0.1}
STEPS = [
    ("as published", 10.0),
    ("convolutions as matrix products", 8.0),
    ("channels in the last dimension", 7.9),
    ("attention fused", 6.0),
    ("no groups", 12.5),
    ("BERT", 12.0),
]
# SqueezeBERT's step takes 10 s, BERT's 12 s.
OPERATORS = [
    ("SqueezeBERT as published", "convolution forward", 2.0, 0.2, 300),
    ("SqueezeBERT as published", "convolution backward", 2.6, 0.26, 650),
    ("SqueezeBERT as published", "matrix product", 0.4, 0.04, 50),
    ("SqueezeBERT as published", "dropout and random numbers", 5.0, 0.5, 0),
    ("BERT", "convolution forward", 0.0, 0.0, 0),
    ("BERT", "convolution backward", 0.0, 0.0, 0),
    ("BERT", "matrix product", 9.0, 0.75, 1800),
    ("BERT", "dropout and random numbers", 3.0, 0.25, 0),
]
ROUNDS = [(1, 0.01, ""), (2, 0.12, "other programs"), (3, 0.0, "")]


@pytest.fixture
def explained() -> Explanation:
    steps = pd.DataFrame(STEPS, columns=["step", "seconds"]).assign(**POINT)
    steps = steps.assign(change=steps["seconds"].diff(), ratio=steps["seconds"] / steps["seconds"].shift())
    variants = pd.DataFrame(
        [
            ("as published", False, 10.0, math.nan),
            ("matrix products", True, 8.0, 0.8),
            ("as published, again", False, 10.0, 1.0),
            ("rewritten", False, 6.0, 0.6),
            ("BERT", False, 12.0, 1.2),
        ],
        columns=["variant", "alone", "seconds", "ratio"],
    )
    aims = pd.DataFrame(
        [("as published", 0.6, 0.7, True), ("BERT", 0.5, 0.45, False)], columns=["over", "ratio", "at most", "reached"]
    ).assign(**POINT)
    operators = pd.DataFrame(OPERATORS, columns=["model", "operations", "seconds", "share", "gflop"])
    return Explanation(
        operators=operators.assign(low=operators["share"] - 0.02, high=operators["share"] + 0.03),
        forward=operators,
        rounds=pd.DataFrame(ROUNDS, columns=["round", "taken", "contended"]),
        **{
            name: rows.assign(low=0.97 * rows["ratio"], high=1.03 * rows["ratio"])
            for name, rows in (("steps", steps), ("variants", variants), ("aims", aims))
        },
        origin=Origin(
            seed=0, device={"name": "a processor", "threads": 2}, python="3.11", versions={"torch": "2.13.0"},
            git_commit=None, git_dirty=None,
        ),
        own=False,
    )  # fmt: skip


def facts(explained: Explanation) -> dict[str, str]:
    return anomaly.measured(explained).cells.set_index("name")["value"].to_dict()


def test_this_machines_measurement_takes_precedence_over_the_committed_one(tmp_path):
    stored = explanation(tmp_path / "own.json")
    assert facts(stored)["measured"].startswith("on another machine")
    assert (stored.steps["length"].unique(), stored.steps["dropout"].unique()) == ([384], [0.1])  # the largest point
    shutil.copy(ANOMALY, tmp_path / "own.json")
    assert facts(explanation(tmp_path / "own.json"))["measured"] == "on this machine"


def test_without_any_measurement_the_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"stored\.json: is missing; run make anomaly$"):
        explanation(tmp_path / "own.json", tmp_path / "stored.json")


def test_the_answer_has_both_ratios_and_what_each_change_saves(explained):
    with_masks = pd.DataFrame([{"variant": "fast dropout masks", "ratio": 0.75, "low": 0.7, "high": 0.8}])
    variants = pd.concat([explained.variants, with_masks], ignore_index=True)
    times = {("SqueezeBERT rewritten", "int8"): 0.5, ("SqueezeBERT", "int8"): 2.0, ("BERT", "int8"): 1.0}
    rows = pd.DataFrame([(*key, value) for key, value in times.items()], columns=["model", "engine", "seconds"])
    engines = Quantised(rows, "8 × 176 tokens", explained.origin)
    assert anomaly.answer(replace(explained, variants=variants), engines, published.load()) == [
        "On the machine measured, a training step of SqueezeBERT takes 10.0 s, and one of BERT 12.0 s. So SqueezeBERT "
        "takes 0.83 times as long (0.81 to 0.86). In 2021, its fine-tuning took 1.78 times as long as BERT's.",
        "Rewriting SqueezeBERT's convolutions as matrix products, with fused attention, saves 40 % (38 to 42 %) of a "
        "step. Faster dropout masks save 25 % (20 to 30 %).",
        "In int8, a forward pass of the rewritten network takes 500 ms. As published it takes 2.00 s, 4.00 times as "
        "long.",
    ]
    assert len(anomaly.answer(explained, None, published.load())) == 2


def test_the_measurement_has_the_point_and_the_shares_and_rates_of_classes(explained):
    found = facts(explained)
    assert found["machine"] == "a processor, 2 threads, torch 2.13.0"
    assert found["training step"] == "full size, random weights, batch 8 × 384 tokens, fp32, dropout 0.1"
    assert found["SqueezeBERT as published"] == (
        "10.0 s: dropout and random numbers 50 % (48 to 53), convolution backward 26 % (24 to 29) at 250 GFLOP/s, "
        "convolution forward 20 % (18 to 23) at 150 GFLOP/s"
    )
    assert found["BERT"] == (
        "12.0 s: matrix product 75 % (73 to 78) at 200 GFLOP/s, dropout and random numbers 25 % (23 to 28)"
    )
    assert found["control"] == "as published, twice in every round: ratio 1.00 (0.97 to 1.03)"
    assert found["other load"] == "1 of 3 rounds contended; other programs had at most 12 % of the processor time"


def test_a_step_is_faster_or_slower_if_its_interval_excludes_1(explained):
    assert anomaly.steps_table(explained.steps).cells.to_numpy().tolist() == [
        ["as published", "10.0 s", "", ""],
        ["convolutions as matrix products", "8.00 s", "0.80 (0.78 to 0.82)", "faster"],
        ["channels in the last dimension", "7.90 s", "0.99 (0.96 to 1.02)", "not significant"],
        ["attention fused", "6.00 s", "0.76 (0.74 to 0.78)", "faster"],
        ["no groups", "12.5 s", "2.08 (2.02 to 2.15)", "slower"],
        ["BERT", "12.0 s", "0.96 (0.93 to 0.99)", "faster"],
    ]


def test_variants_have_their_ratio_to_the_published_network_and_whether_they_are_one_change(explained):
    assert anomaly.variants_table(explained.variants).cells.to_numpy().tolist() == [
        ["as published", "10.0 s", "", "", "no"],
        ["matrix products", "8.00 s", "0.80 (0.78 to 0.82)", "faster", "yes"],
        ["as published, again", "10.0 s", "1.00 (0.97 to 1.03)", "not significant", "no"],
        ["rewritten", "6.00 s", "0.60 (0.58 to 0.62)", "faster", "no"],
        ["BERT", "12.0 s", "1.20 (1.16 to 1.24)", "slower", "no"],
    ]


def test_the_table_of_aims_has_every_point_and_what_was_reached(explained):
    assert anomaly.aims_table(explained.aims).cells.to_numpy().tolist() == [
        ["training step", "8 × 384", "fp32", "0.1", "as published", "0.60 (0.58 to 0.62)", "at most 0.7", "yes"],
        ["training step", "8 × 384", "fp32", "0.1", "BERT", "0.50 (0.48 to 0.52)", "at most 0.45", "no"],
    ]


def test_beside_the_original_stand_both_ratios_and_its_cost(explained):
    found = anomaly.beside_original(explained, published.load()).cells["value"].tolist()
    assert found == ["1.78", "0.83", "5.35 h, USD 8.28"]  # 5.35 / 3 there, 10 / 12 here


def test_the_chart_of_classes_has_a_bar_of_each_for_every_model(explained):
    chart = anomaly.operators_chart(explained.operators, "training step")
    times, flops = chart.figure.axes
    assert [label.get_text() for label in times.get_yticklabels()] == ["SqueezeBERT as published", "BERT"]
    assert [len(axes.patches) for axes in (times, flops)] == [8, 8]
    assert sum(patch.get_width() for patch in times.patches) == pytest.approx(22)
    assert (
        "SqueezeBERT as published: 10.00 s, of it dropout and random numbers 50 %, convolution backward 26 %"
        in chart.alt
    )
    assert "BERT: 12.00 s, of it matrix product 75 %, dropout and random numbers 25 %" in chart.alt


def test_the_waterfall_has_whole_bars_at_its_ends_and_a_floating_one_for_every_change(explained):
    chart = anomaly.steps_chart(explained.steps)
    (axes,) = chart.figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert (names[0], names[1], names[-1]) == ("as published", "convolutions as matrix products (-2.00 s)", "BERT")
    assert sorted(round(patch.get_width(), 6) for patch in axes.patches) == [-2, -1.9, -0.5, -0.1, 6.5, 10, 12]
    assert chart.alt.endswith("no groups (+6.50 s); BERT (-0.50 s).")
