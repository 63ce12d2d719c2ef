"""Both sides of the benchmarks come to the same results, and a difference between them is noticed."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import aa, chart, comparison, demo, epoch, fine_tuning, growth, inputs, pieces, plain
from benchmarks.comparison import Comparison, DisagreementError
from benchmarks.record import Benchmarks, read, table
from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics import squad
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs import results

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def asked() -> list[Example]:
    """Contexts of some 130 tokens and, for the last ones, some 700, which take several windows."""
    return inputs.generated(30, 3) + [replace(e, id=f"long-{e.id}") for e in inputs.generated(10, 16)]


@pytest.fixture(scope="module")
def vocabulary(asked: list[Example]) -> Any:
    return inputs.tokenizer(asked)


def test_generated_answers_are_where_they_are_said_to_be(asked):
    for example in asked:
        start = example.answer_starts[0]
        assert example.context[start : start + len(example.answers[0])] == example.answers[0]
    assert len({example.context for example in asked}) == 8  # five questions each


def test_windows_and_labels_are_those_of_the_plain_recipe(asked, vocabulary):
    windows = features.build(asked, vocabulary)
    assert len(windows.lengths) > len(asked)
    equal = pieces.same_windows(plain.training_features(asked, vocabulary), windows)
    assert equal["equal windows"] == (len(windows.lengths), "windows")


def test_another_label_is_noticed(asked, vocabulary):
    padded = plain.training_features(asked, vocabulary)
    padded["end_positions"][3] += 1
    with pytest.raises(DisagreementError, match="end labels"):
        pieces.same_windows(padded, features.build(asked, vocabulary))


@pytest.mark.parametrize("seed", range(5))
def test_answers_are_the_plain_recipes_or_score_higher(asked, vocabulary, seed):
    """Noise alone: the best span is often not among the 20 best starts and ends."""
    windows, padded = features.build(asked, vocabulary), plain.evaluation_features(asked, vocabulary)
    start, end = np.random.default_rng(seed).normal(size=(2, len(windows.lengths), plain.MAX_LENGTH)).astype(np.float32)
    texts, scores = plain.answers(asked, padded, start, end)
    ours = pieces._from_padded(start, end, windows, asked)
    equal = same_answers(asked, texts, scores, ours)
    for row, example in enumerate(asked):
        assert ours.score[row] >= scores[example.id]
        assert ours.text[row] == texts[example.id] or ours.score[row] > scores[example.id]
    assert 0 < equal["better answers"][0] < len(asked)
    assert equal["equal answers"][0] + equal["better answers"][0] == len(asked)


def same_answers(asked: list[Example], texts: dict[str, str], scores: dict[str, float], ours: Any) -> Any:
    points = plain.score(texts, asked)
    return pieces.same_answers(asked, texts, scores, points, ours, pieces._score(ours, asked), tolerance=0.0)


def test_a_lower_score_or_another_answer_of_the_same_score_is_noticed(asked, vocabulary):
    windows, padded = features.build(asked, vocabulary), plain.evaluation_features(asked, vocabulary)
    start, end = inputs.Logits(windows).padded(plain.MAX_LENGTH)
    texts, scores = plain.answers(asked, padded, start, end)
    ours = pieces._from_padded(start, end, windows, asked)
    same_answers(asked, texts, scores, ours)
    with pytest.raises(DisagreementError, match="scores lower"):
        same_answers(asked, texts, {**scores, asked[0].id: 99.0}, ours)
    with pytest.raises(DisagreementError, match="same score"):
        same_answers(asked, {**texts, asked[0].id: "another"}, scores, ours)


def test_the_made_up_logits_find_most_answers(asked, vocabulary):
    windows = features.build(asked, vocabulary)
    ours = pieces._from_padded(*inputs.Logits(windows).padded(plain.MAX_LENGTH), windows, asked)
    assert 70 < pieces._score(ours, asked)["f1"] < 100


def test_scores_are_those_of_the_plain_recipe():
    texts = ["The Cat.", "red cat", "a — b", "", "the", "no no no", "1,000", "don't"]
    references = ("cat", "the red, red cat", "no no", "1000", "dont")
    asked = [Example(str(i), "", "", "", references[: 1 + i % 5], (0,) * (1 + i % 5)) for i in range(40)]
    chosen = {example.id: texts[i % len(texts)] for i, example in enumerate(asked)}
    ours = squad.aggregate(squad.score_questions(chosen, {e.id: e.answers for e in asked}))
    assert ours == pytest.approx(plain.score(chosen, asked), abs=1e-12)


def test_evaluation_from_end_to_end_agrees(asked, vocabulary, network_of):
    network = network_of(vocab_size=len(vocabulary), max_position_embeddings=384)
    network.resize_token_embeddings(len(vocabulary))
    alone = pieces.forward_passes(asked, vocabulary, network, rounds=1)
    assert alone.findings["largest difference of scores"][0] < 1e-4
    compared = pieces.evaluating(asked, vocabulary, network, rounds=1)
    assert compared.findings["equal answers"][0] > 0
    assert compared.plain.shape == compared.ours.shape == (1,)


def test_training_updates_are_the_same_on_both_sides(vocabulary, network_of):
    asked = inputs.generated(64)
    network = network_of(vocab_size=len(vocabulary), max_position_embeddings=384)
    network.resize_token_embeddings(len(vocabulary))
    compared = pieces.training_updates(asked, inputs.tokenizer(asked), network, updates=2, batch_size=4, rounds=1)
    assert compared.findings["distance of gradients"][0] < 1e-5
    assert compared.findings["parts of an update"][0] >= 1


def test_the_ratio_is_taken_within_rounds():
    compared = Comparison("a", "b", plain=np.array([2.0, 8.0, 3.0]), ours=np.array([1.0, 2.0, 1.0]))
    assert compared.ratios.tolist() == [2, 4, 3]
    assert "plain 3 s, ours 1 s: 3.00 times as fast (2.00 to 4.00 in 3 rounds)" in str(compared)
    records = comparison.records(compared)
    assert [(r.value, r.unit, r.n) for r in records] == [(3, "s", 3), (1, "s", 3), (3, "times as fast", 3)]
    assert (records[2].interval.low, records[2].interval.high) == (2, 4)
    origin = results.Origin(git_commit=None, git_dirty=None, seed=0, device={}, python="3.11", versions={})
    content = Benchmarks(data="some", data_sha256="0", origin=origin, records=tuple(records))
    assert table(content).splitlines()[2] == "| a: b | 3 s | 1 s | 3.0 (2.0 to 4.0) |"


@pytest.mark.parametrize("side", ["plain", "ours"])
def test_a_point_of_growth_counts_the_windows_of_its_questions(side):
    asked = inputs.generated(20, 20)
    point = growth.run(growth.Point(side, questions=20, passages=20))
    assert point["windows"] == len(features.build(asked, inputs.tokenizer(asked)).lengths)
    assert point["windows"] > 20
    assert point["seconds"] > 0


def test_growth_is_recorded_for_either_side(monkeypatch):
    answer = {"seconds": 2.0, "windows": 7, "bytes": 3 * 2**20}
    monkeypatch.setattr(growth, "_in_own_process", lambda point: answer)
    records = growth.measure([growth.Point("plain", 5, 1)])
    assert [(r.metric, r.value, r.conditions["side"]) for r in records] == [
        ("growth_seconds", 2, "plain"),
        ("growth_peak_memory", 3 * 2**20, "plain"),
    ]
    assert growth.summary(records).splitlines()[1].split() == ["plain", "5", "1", "7", "2.00", "3"]


def test_a_piece_that_is_not_there_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "speed"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    assert "there is no piece 'speed'; choose from features, postprocessing" in capsys.readouterr().err


def test_the_committed_results_are_of_every_piece():
    content = read(ROOT / "benchmarks" / "results" / "speed.json")
    assert {record.conditions["piece"] for record in content.records} == {
        "features", "postprocessing", "forward", "evaluation", "training", "learning", "growth",
    }  # fmt: skip


def test_the_chart_has_both_sides_in_time_and_memory_against_questions_and_context(tmp_path):
    records = [
        Record.of(metric, value, "1", conditions={"piece": "growth", **vars(point)})
        for metric, value in (("growth_seconds", 2.0), ("growth_peak_memory", 3.0 * 2**20))
        for point in [*growth.QUESTIONS, *growth.CONTEXTS]
    ]
    panels = chart.growth(records).axes
    assert len(panels) == 4
    drawn = [[tuple(line.get_xdata()) for line in axes.lines] for axes in panels]
    assert drawn == [[(500, 2500, 5000, 10_000, 20_000, 40_000)] * 2, [(1, 2, 5, 10, 20)] * 2] * 2
    assert [float(line.get_ydata().item(0)) for axes in panels for line in axes.lines] == [2] * 4 + [3] * 4
    chart.write(chart.growth(records), tmp_path / "one.svg")
    chart.write(chart.growth(records), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_runs_seconds_are_summed_by_notebook_and_model_and_taken_from_its_first_to_its_last(tmp_path):
    def executed(path: str, begins: int, took: int) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        times = {"start_time": f"2026-01-01T00:0{begins // 60}:{begins % 60:02}+00:00",
                 "end_time": f"2026-01-01T00:0{(begins + took) // 60}:{(begins + took) % 60:02}+00:00"}  # fmt: skip
        file.write_text(json.dumps({"metadata": {"papermill": {"duration": took} | times}}))

    executed("bert/seed-0/1-train.ipynb", 0, 10)
    executed("bert/seed-1/1-train.ipynb", 12, 12)
    executed("mini/seed-0/1-train.ipynb", 30, 5)
    executed("bert/3-profile.ipynb", 36, 30)
    executed("5-analysis.ipynb", 70, 7)
    executed("bert/partial-3-profile.ipynb", 200, 99)
    assert demo.table(demo.measure(tmp_path)).splitlines() == [
        "| notebook | bert | mini | all models | sum |",
        "|---|---|---|---|---|",
        "| 1-train | 22 s | 5 s |  | 27 s |",
        "| 3-profile | 30 s |  |  | 30 s |",
        "| 5-analysis |  |  | 7 s | 7 s |",
        "| from the first to the end of the last |  |  |  | 77 s |",
    ]


def test_an_epoch_is_timed_by_both_recipes_with_as_many_updates():
    lengths = np.array([10, 30, 24, 16] * 10)
    shape = {
        "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50,
    }  # fmt: skip
    records = epoch.measure(lengths, torch.device("cpu"), precision="fp32", plain_updates=2, shape=shape)
    by_side = {(record.metric, record.conditions["side"]): record for record in records}
    assert by_side["epoch_seconds", "ours"].n == 3  # 40 windows, 16 per update
    assert by_side["epoch_seconds", "plain"].n == 2
    assert 0 < by_side["epoch_peak_share", "ours"].value < 1


def test_the_operations_of_an_epoch_are_three_times_those_of_its_forward_passes():
    shape = {"hidden_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 3}
    # A window of 5 tokens: 2·5·(4·2² + 2·2·3) in weights, 2·(2·5·5·2) in attention, 2·5·2·2 in the head.
    assert epoch.epoch_flops(np.array([5, 5]), shape) == 3 * 2 * (280 + 200 + 40)


def test_windows_made_for_an_epoch_are_padded_to_the_plain_recipes_length():
    made = epoch.random_windows(np.array([10, 384]), vocabulary=50)
    columns = epoch.padded_columns(made, 1)
    assert {len(columns[name][0]) for name in ("input_ids", "token_type_ids", "attention_mask")} == {384}
    assert sum(columns["attention_mask"][0]) == 10 and len(columns["input_ids"]) == 1


def test_both_recipes_learn_in_as_many_updates_and_are_asked_the_same_afterwards(monkeypatch, vocabulary):
    asked = inputs.generated(40)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    monkeypatch.setattr(fine_tuning, "SHAPE", shape)
    records = fine_tuning.curves(asked[:32], asked[32:], vocabulary, seeds=[0])
    losses = [(r.conditions["side"], r.conditions["step"]) for r in records if r.metric == "learning_loss"]
    assert losses == [("plain", 1), ("plain", 2), ("ours", 1), ("ours", 2)]
    held_out = [r.value for r in records if r.metric == "learning_held_out_loss"]
    assert held_out == pytest.approx([math.log(384)] * 2, rel=0.5)  # nothing is learned in two updates
    assert "ours: " in fine_tuning.summary(records)


def test_one_network_under_three_names_is_seldom_called_faster_than_itself():
    """By the committed result: at most one of twenty pairs, of forty and more, whatever else the machine does."""
    found = read(ROOT / "benchmarks/results/aa.json")
    new = {r.conditions["load"]: r for r in found.records if r.conditions["method"] == "side by side"}
    assert set(new) == {"quiet", "busy", "bursts"}
    for record in new.values():
        assert record.n >= 40
        assert record.value / record.n <= 1 / 20
    assert aa.table(found).splitlines()[2].startswith("| none | ")


@pytest.mark.slow
def test_both_ways_of_the_aa_test_run():
    records = aa.measure(1)
    assert [(r.conditions["method"], r.conditions["load"], r.n) for r in records] == [
        (method, load, 3) for load in aa.LOADS for method in aa.METHODS
    ]
    assert all(0 <= r.value <= 3 for r in records)
