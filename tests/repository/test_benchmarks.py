"""All sides of the benchmarks do the same work, and records, table and chart agree with the measurements."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from transformers import AutoConfig

from benchmarks import __main__ as command
from benchmarks import aa, demo, engines, growth, inputs, peers, tasks
from benchmarks.comparison import Row
from benchmarks.peers import Peer
from benchmarks.record import Benchmarks, read, table
from benchmarks.tasks import SIDES, Given, Task
from qa_tradeoffs.analysis import anomaly
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ANOMALY
from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.engines import export
from qa_tradeoffs.engines.protocol import Trained
from qa_tradeoffs.evaluation import answers
from qa_tradeoffs.evaluation.answers import Predictions, Reading
from qa_tradeoffs.metrics import squad
from qa_tradeoffs.models import networks, tokenizers
from qa_tradeoffs.runs import results
from qa_tradeoffs.study.engines import LABELS

ROOT = Path(__file__).parents[2]
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(scope="module")
def asked() -> list[Example]:
    """Contexts of SQuAD's lengths; the last ones are four times as long and take several windows."""
    return inputs.generated(20) + [replace(e, id=f"long-{e.id}") for e in inputs.lengthened(inputs.generated(10), 4)]


@pytest.fixture(scope="module")
def vocabulary(asked: list[Example]) -> Any:
    return tokenizers.train_wordpiece([e.context for e in asked] + [e.question for e in asked], 1000)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny encoder and its tokenizer."""
    folder = tmp_path_factory.mktemp("encoder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "MINILM", TINY)
        inputs.write_encoder(inputs.generated(20), folder)
    return str(folder)


@pytest.fixture
def measured(encoder: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The result of a side's task within this process, on generated questions."""
    monkeypatch.setattr(inputs, "N_QUESTIONS", 40)
    monkeypatch.setattr(tasks, "_TIMES", 1)
    return lambda work, side, questions: tasks.measure(Task(work, side, questions, "", encoder))


def test_generated_questions_have_squads_lengths_and_their_answers_in_place():
    many = inputs.generated(2000)
    for example in (*many[:50], *inputs.lengthened(many, 5)[:50]):
        start = example.answer_starts[0]
        assert example.context[start : start + len(example.answers[0])] == example.answers[0]
    lengths = [inputs._tokens(example.question + example.context) for example in many]
    assert np.mean(lengths) == pytest.approx(176, rel=0.06)
    assert np.median(lengths) == pytest.approx(164, rel=0.06)
    assert np.percentile(lengths, 95) == pytest.approx(304, rel=0.08)


@pytest.mark.parametrize("dynamic", [False, True])
def test_windows_and_labels_are_those_of_the_peers(dynamic, asked, vocabulary, tmp_path):
    ours, theirs = features.build(asked, vocabulary), Peer(vocabulary, str(tmp_path), dynamic).training_features(asked)
    assert len(ours.lengths) == len(theirs) > len(asked)
    for row, window in enumerate(theirs):
        real = np.array(window["attention_mask"], bool)
        own = slice(ours.splits[row], ours.splits[row + 1])
        assert real.all() == dynamic or len(real) == real.sum() == 384
        assert np.array(window["input_ids"])[real].tolist() == ours.input_ids[own].tolist()
        assert np.array(window["token_type_ids"])[real].tolist() == ours.token_type_ids[own].tolist()
        labels = window["start_positions"], window["end_positions"]
        assert labels == (ours.start_labels[row], ours.end_labels[row])


@pytest.mark.parametrize("seed", range(3))
def test_answers_are_the_peers_or_score_higher(asked, vocabulary, seed, tmp_path):
    """Noise alone: the best span is often not among the 20 best starts and ends."""
    windows = features.build(asked, vocabulary)
    padded = Peer(vocabulary, str(tmp_path), dynamic=False).evaluation_features(asked)
    start, end = np.random.default_rng(seed).normal(size=(2, len(windows.lengths), 384)).astype(np.float32)
    texts, scores = peers.answers(asked, padded, start, end)
    ours: Predictions = answers.predict(Given(start, end), windows, asked, Reading())
    lead = ours.score - [scores[example.id] for example in asked]
    differs = np.array([texts[i] != text for i, text in zip(ours.id, ours.text, strict=True)])
    assert (lead >= 0).all() and not (differs & (lead == 0)).any()
    assert 0 < differs.sum() < len(asked)


def test_scores_are_those_of_the_peers():
    texts = ["The Cat.", "red cat", "a — b", "", "the", "no no no", "1,000", "don't"]
    references = ("cat", "the red, red cat", "no no", "1000", "dont")
    asked = [Example(str(i), "", "", "", references[: 1 + i % 5], (0,) * (1 + i % 5)) for i in range(40)]
    chosen = {example.id: texts[i % len(texts)] for i, example in enumerate(asked)}
    ours = squad.aggregate(squad.score_questions(chosen, {e.id: e.answers for e in asked}))
    assert ours == pytest.approx(peers.score(chosen, asked), abs=1e-12)


@pytest.mark.parametrize("work", ["features", "postprocessing", "evaluation", "training"])
def test_every_side_does_the_same_work(work, measured):
    found = {side: measured(work, side, 8) for side in SIDES}
    assert all(one["seconds"] > 0 for one in found.values())
    if work == "features":
        assert found["ours"]["windows"] == found["padded"]["windows"] == found["dynamic"]["windows"]
    elif work == "training":  # of the windows of the first update, before it
        losses = [one["first_loss"] for one in found.values()]
        assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)
    else:
        assert (
            found["ours"]["answers"].keys() == found["padded"]["answers"].keys() == found["dynamic"]["answers"].keys()
        )
        assert found["padded"]["answers"] == found["dynamic"]["answers"]


def of_a_round(seconds: float, megabytes: float, answer: str = "a") -> dict[str, Any]:
    return {"seconds": seconds, "bytes": megabytes * 2**20, "f1": 50.0, "answers": {"1": "a", "2": answer}}


def test_ratios_are_within_rounds_and_defaults_are_compared_with_each_other():
    row = Row("evaluation", 64, ("fp32", "bf16"))
    runs = {
        ("padded", "fp32"): [of_a_round(8, 40), of_a_round(16, 40)],
        ("dynamic", "fp32"): [of_a_round(4, 20), of_a_round(8, 20)],
        ("ours", "fp32"): [of_a_round(2, 10), of_a_round(4, 10)],
        ("padded", "bf16"): [of_a_round(6, 40), of_a_round(12, 40)],
        ("dynamic", "bf16"): [of_a_round(3, 20, "b"), of_a_round(6, 20, "b")],
        ("ours", "bf16"): [of_a_round(1, 10), of_a_round(2, 10)],
    }
    records = row.records(runs)

    def value(metric: str, **at: str) -> float:
        (found,) = (r.value for r in records if r.metric == metric and at.items() <= r.conditions.items())
        return found

    assert value("benchmark_seconds", side="padded", precision="fp32") == 12
    assert value("benchmark_ratio", peer="padded", precision="fp32") == pytest.approx(4)
    assert value("benchmark_ratio", peer="dynamic", precision="bf16") == pytest.approx(3)
    assert value("benchmark_ratio", peer="padded", precision="defaults") == pytest.approx(8)
    assert value("benchmark_memory_ratio", peer="dynamic", precision="fp32") == pytest.approx(0.5)
    assert value("benchmark_equal_answers", peer="dynamic", precision="bf16") == 1
    at = {"name": "a processor"}
    origin = results.Origin(git_commit=None, git_dirty=None, seed=0, device=at, python="3.11", versions={})
    content = Benchmarks(data="some", data_sha256="0", origin=origin, records=tuple(records))
    assert table([content]).splitlines()[2] == (
        "| evaluation, 64 questions | fp32 | 12 s | 6 s | 3 s | 4.00 (4.00 to 4.00) | 2.00 (2.00 to 2.00) "
        "| 0.25 (0.25 to 0.25) | 0.50 (0.50 to 0.50) | a processor |"
    )
    assert len(table([content]).splitlines()) == 2 + 3


def test_all_sides_are_run_in_turn(monkeypatch):
    ran: list[tuple[str, bool]] = []

    def run(task: Task) -> dict[str, Any]:
        ran.append((task.side, task.busy))
        return of_a_round(1, 1)

    monkeypatch.setattr(tasks, "run", run)
    Row("evaluation", 8, busy=True).run(Task("", "", 0, "", ""), rounds=2)
    assert ran == [("padded", True), ("dynamic", True), ("ours", True)] * 2


def test_a_row_is_named_by_its_work_and_number_and_another_is_refused():
    assert command._row("training-480-busy", bf16=True) == Row("training", 480, ("fp32",), busy=True)
    assert command._row("evaluation-64", bf16=True) == Row("evaluation", 64, ("fp32", "bf16"))
    assert command._row("growth", bf16=True) is growth.measure
    rows = {name: command._row(name, bf16=False) for name in command.ROWS if name not in ("growth", "engines")}
    assert all(isinstance(row, Row) and row.name == name for name, row in rows.items())
    with pytest.raises(StudyError, match=r"^ROWS: there is no row 'speed'; choose from features-10570, "):
        command._row("speed", bf16=False)


def test_the_chart_has_every_side_in_time_and_memory_against_questions_and_context(monkeypatch, tmp_path):
    monkeypatch.setattr(tasks, "run", lambda task: {"seconds": 2.0, "bytes": 3 * 2**20})
    records = growth.measure(Task("", "", 0, "", ""))
    panels = growth.chart(records).axes
    drawn = [[tuple(line.get_xdata()) for line in axes.lines] for axes in panels]
    assert drawn == [[(480, 960, 1920, 3840)] * 3, [(1, 2, 5, 10, 20)] * 3] * 2
    assert [float(line.get_ydata().item(0)) for axes in panels for line in axes.lines] == [2] * 6 + [3] * 6
    growth.write(growth.chart(records), tmp_path / "one.svg")
    growth.write(growth.chart(records), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def committed(name: str) -> Path:
    """A result file, which is committed once `make bench` or `make aa` has run on a quiet machine."""
    stored = ROOT / "benchmarks" / "results" / name
    if not stored.is_file():
        pytest.skip(f"{name}: no run is committed yet")
    return stored


@pytest.mark.parametrize("row", [name for name in command.ROWS if name not in ("growth", "engines")])
def test_the_committed_results_have_ratios_and_say_where_they_are_from(row):
    content = read(committed(f"speed/{row}.json"))
    ratios = [record for record in content.records if record.metric == "benchmark_ratio"]
    assert ratios and all(record.interval and record.n >= 2 for record in ratios)
    assert {record.conditions["row"] for record in ratios} == {row}
    assert content.origin.git_commit and content.origin.device["threads"]


def test_one_call_has_one_time_in_the_committed_measurement_of_the_anomaly():
    """The published network is in every round twice, and without dropout it is in two comparisons."""
    records = results.read_experiment(ANOMALY).records
    step = anomaly.summary(records).query("work == 'training_step'").set_index(["length", "dropout", "variant"])
    control = step.xs(anomaly.CONTROL, level="variant")
    assert len(control) == 4
    assert ((control["low"] < 1) & (control["high"] > 1)).all()
    for length in (128, 384):
        twice = step.loc[(length, 0.0, anomaly.PUBLISHED), "seconds"], step.loc[(length, 0.1, "no dropout"), "seconds"]
        assert twice[0] == pytest.approx(twice[1], rel=0.05)


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
        "| from start to end |  |  |  | 77 s |",
    ]


def test_one_network_under_three_names_is_rarely_called_faster():
    """In the committed result: at most one pair in twenty, of at least forty, on a quiet and on a busy machine."""
    found = read(committed("aa.json"))
    new = {r.conditions["load"]: r for r in found.records if r.conditions["method"] == "side by side"}
    assert set(new) == {"quiet", "busy"}
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


def test_engines_are_timed_beside_torch_and_the_table_has_a_row_for_each():
    """Two tiny networks, one of them SqueezeBERT as published, whose convolutions are exported unchanged."""
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "vocab_size": 60, "num_hidden_layers": 1}
    sizes |= {"intermediate_size": 64, "embedding_size": 32}
    distilbert = {"dim": 32, "n_heads": 2, "hidden_dim": 64, "vocab_size": 60, "n_layers": 1}
    built = engines.built({"bert": sizes, "distilbert": distilbert, "squeezebert": sizes})
    of = {label: built[label] for label in ("BERT", "SqueezeBERT")}
    names = ("torch", "torch-bf16", "onnxruntime", "onnxruntime-int8")
    records = engines.measure(of, names, (2,), passes=2, points=[(1, 16), (2, 12)], step=(2, 12))
    timed = [r.conditions for r in records if r.metric == "bench_engine_seconds"]
    assert Counter(at["work"] for at in timed) == {"forward": 2 * 2 * 4, "training_step": 2 * 2}
    assert {at["threads"] for at in timed} == {2}
    against = [r.conditions["against"] for r in records if r.metric == "bench_engine_times_as_fast"]
    assert Counter(against) == {"torch": 2 * 2 * 3 + 2, "BERT": 2 * 7 + 3}
    lines = engines.table(records).splitlines()
    assert lines[0] == "| model | engine | 1 × 16 | 2 × 12 | training step, 2 × 12 |"
    assert [line.split(" | ")[:2] for line in lines[2:6]] == [["| BERT", LABELS[name]] for name in names]
    assert len(lines) == 2 + 2 * 4


def test_a_squeezebert_is_exported_with_its_convolutions_on_request(tmp_path):
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "vocab_size": 60, "num_hidden_layers": 1}
    config = AutoConfig.for_model("squeezebert", **sizes, intermediate_size=64, embedding_size=32)
    trained = Trained(networks.from_config(config).eval(), 0, torch.device("cpu"), "fp32", tmp_path)
    export.to_onnx(trained, tmp_path / "network.onnx", separate_products=False)
    assert "Conv" in {node.op_type for node in onnx.load(tmp_path / "network.onnx").graph.node}
