"""SingleStream, Offline and the phases, on five questions about one passage."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from qa_tradeoffs import clock, features, scenarios
from qa_tradeoffs.config import Grid
from qa_tradeoffs.profiling import Timing
from qa_tradeoffs.results import records
from qa_tradeoffs.workloads import Subject

CPU = torch.device("cpu")
GRID = Grid(batch_sizes=(1,), lengths=(8,))


@pytest.fixture
def study(study_of):
    profile = {
        "forward": GRID.model_dump(),
        "training_step": GRID.model_dump(),
        "warmup": 1,
        "min_repeats": 3,
        "min_seconds": 1e-9,
        "offline_batch_sizes": [2, 4],
    }
    return study_of(profile=profile, training={"max_length": 48, "stride": 8})


@pytest.fixture
def own(network_of):
    return Subject("study", network_of(), "random", GRID, GRID, 3, questions=4)


def test_a_sample_is_the_seeds_and_keeps_the_order(examples):
    chosen = scenarios.sample(examples, 3, seed=0)
    assert len(chosen) == 3
    assert [e for e in examples if e in chosen] == chosen
    assert scenarios.sample(examples, 3, seed=0) == chosen
    assert scenarios.sample(examples, 99, seed=0) == examples


def test_single_stream_answers_each_question_by_itself_and_offline_all_of_them(own, study, examples, tokenizer):
    timings = scenarios.measure([own], study, examples, tokenizer, device=CPU, formats=["fp32"], seed=0)
    assert [(t.work, t.conditions["scenario"], t.conditions["batch_size"], len(t.seconds)) for t in timings] == [
        ("single_stream", "SingleStream", 1, 4),  # as many as there are questions
        ("offline", "Offline", 2, 3),  # passes
        ("offline", "Offline", 4, 3),
    ]
    assert all(t.conditions["questions"] == 4 and t.conditions["padding"] for t in timings)


def test_a_control_takes_part_in_no_scenario(network_of, study, examples, tokenizer):
    control = Subject("study", network_of(), "random", GRID, None, 3, eager_control=True)
    assert scenarios.measure([control], study, examples, tokenizer, device=CPU, formats=["fp32"], seed=0) == []


class Recorder:
    """Takes the place of the calls on a network, and keeps which windows each was made for."""

    def __init__(self):
        self.made, self.called = [], []

    def __call__(self, rows):
        self.made.append(rows.tolist())
        return lambda: self.called.append(rows.tolist())


# Windows of 5, 9, 7, 3 tokens; the second question has two of them.
WINDOWS = features.Windows(*[np.empty(0)] * 3, splits=np.array([0, 5, 14, 21, 24]), example=np.array([0, 1, 1, 2]),
                           start_labels=np.zeros(4), end_labels=np.zeros(4))  # fmt: skip


def test_a_query_is_a_question_with_all_its_windows(study):
    recorder = Recorder()
    scenarios._single_stream(recorder, WINDOWS, study.profile, CPU, {"questions": 3})
    assert recorder.made == [[0], [1, 2], [3]]
    # one of warm-up, then three that count
    assert recorder.called == [[0], [1, 2], [3], [0]]


def test_offline_batches_hold_windows_of_like_length_longest_first(study):
    recorder = Recorder()
    scenarios._offline(recorder, WINDOWS, 3, study.profile, CPU, {"questions": 3})
    assert recorder.made == [[1, 2, 0], [3]]
    # the longest batch to warm up, then three passes
    assert recorder.called == [[1, 2, 0], *[[1, 2, 0], [3]] * 3]


def test_throughput_is_questions_over_the_median_pass_and_the_best_batch_is_marked():
    def offline(batch_size, network, *seconds):
        return Timing("offline", np.array(seconds), {"network": network, "batch_size": batch_size, "questions": 20})

    timings = [offline(8, "study", 4, 5, 9), offline(32, "study", 2, 2, 2), offline(8, "full size", 10, 10, 10)]
    found = records(scenarios.rows(timings))
    assert [(r.value, r.conditions["best"]) for r in found] == [(4, False), (10, True), (2, True)]
    assert {r.metric for r in found} == {"offline_questions_per_second"}


def test_running_out_of_memory_leaves_that_batch_size_out_of_the_throughputs():
    out = Timing("offline", np.empty(0), {"network": "study", "batch_size": 512, "questions": 20, "scenario": "Offline",
                                          "attention": "sdpa", "precision": "fp32", "mean_tokens": 8.0})  # fmt: skip
    assert scenarios.rows([out]) == []
    assert scenarios.summary([out])["questions/s"].tolist() == ["out of memory"]


def test_phases_are_seconds_per_question_and_predicting_is_split_at_the_network(
    own, study, examples, tokenizer, monkeypatch
):
    """Each look at the clock costs one second, so a phase takes one, and predicting one more for each end of a pass."""
    ticks = iter(range(10_000))
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    timings = scenarios.phases(own, study, examples, tokenizer, device=CPU, precision="fp32", seed=0)
    # Four questions, one batch: begin, network begins, network ends, end
    assert {t.conditions["phase"]: t.seconds.tolist() for t in timings} == {
        "tokenise": [0.25] * 3,
        "forward": [0.25] * 3,
        "post-process": [0.5] * 3,
        "score": [0.25] * 3,
    }
    shown = scenarios.phase_summary(timings)
    assert shown["ms per question"].tolist() == [250, 250, 500, 250]
    assert shown["share"].tolist() == ["20%", "20%", "40%", "20%"]


def test_the_networks_hooks_are_gone_after_the_phases(own, study, examples, tokenizer):
    scenarios.phases(own, study, examples, tokenizer, device=CPU, precision="fp32", seed=0)
    assert not own.network._forward_hooks
    assert not own.network._forward_pre_hooks
