"""SingleStream and Offline, on five questions about one passage."""

import numpy as np
import pytest
import torch

from qa_tradeoffs.data import features
from qa_tradeoffs.profiling import latency, scenarios
from qa_tradeoffs.profiling.latency import Timing
from qa_tradeoffs.profiling.workloads import Setting, Subject
from qa_tradeoffs.study.config import Grid

SETTING = Setting(torch.device("cpu"), ("fp32",), seed=0)
GRID = Grid(batch_sizes=(1,), lengths=(8,))


@pytest.fixture
def study(study_of):
    profile = {
        "forward": GRID.model_dump(),
        "training_step": GRID.model_dump(),
        "passes": 3,
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


def measure(subjects, study, examples, tokenizer):
    points = scenarios.points(subjects, study, examples, tokenizer, SETTING)
    return latency.measure(points, study.profile, SETTING)[0]


def test_single_stream_answers_each_question_by_itself_and_offline_all_of_them(own, study, examples, tokenizer):
    timings = measure([own], study, examples, tokenizer)
    assert [(t.work, t.conditions["scenario"], t.conditions["batch_size"], t.seconds.shape) for t in timings] == [
        ("single_stream", "SingleStream", 1, (3, 2)),  # in three passes, at least as many as there are questions
        ("offline", "Offline", 2, (3, 1)),
        ("offline", "Offline", 4, (3, 1)),
    ]
    assert all(t.conditions["questions"] == 4 and t.conditions["padding"] for t in timings)


def test_a_control_takes_part_in_no_scenario(network_of, study, examples, tokenizer):
    control = Subject("study", network_of(), "random", GRID, None, 3, eager_control=True)
    assert measure([control], study, examples, tokenizer) == []


class Recorder:
    """Takes the place of the calls on a network, and keeps which windows each was made for."""

    def __init__(self):
        self.called = []

    def __call__(self, network, rows):
        return lambda: self.called.append(rows.tolist())

    def since(self):
        """What was called since the last time."""
        called, self.called = self.called, []
        return called


# Windows of 5, 9, 7, 3 tokens; the second question has two of them.
WINDOWS = features.Windows(*[np.empty(0)] * 3, splits=np.array([0, 5, 14, 21, 24]), example=np.array([0, 1, 1, 2]),
                           start_labels=np.zeros(4), end_labels=np.zeros(4))  # fmt: skip


def test_a_query_is_a_question_with_all_its_windows_and_a_pass_goes_on_where_the_last_one_ended(own):
    recorder = Recorder()
    point = scenarios._single_stream(recorder, WINDOWS, own, {"questions": 3})
    assert point.at_least == 3
    (call,) = point.prepare(own.network)
    assert recorder.since() == [[0]]  # to warm up
    call(), call()
    assert recorder.since() == [[0], [1, 2]]
    (call,) = point.prepare(own.network)
    assert recorder.since() == [[0]]
    call(), call()
    assert recorder.since() == [[3], [0]]


def test_offline_batches_hold_windows_of_like_length_longest_first(own):
    recorder = Recorder()
    (call,) = scenarios._offline(recorder, WINDOWS, 3, own, {"questions": 3}).prepare(own.network)
    assert recorder.since() == [[1, 2, 0]]  # the longest, to warm up
    call()
    assert recorder.since() == [[1, 2, 0], [3]]


def test_a_batch_that_all_windows_do_not_fill_is_not_tried_but_for_the_smallest(study):
    sizes = {"offline_batch_sizes": (8, 2, 4)}
    assert scenarios._batch_sizes(study.profile.model_copy(update=sizes), WINDOWS) == [2, 4]
    sizes = {"offline_batch_sizes": (64, 32)}
    assert scenarios._batch_sizes(study.profile.model_copy(update=sizes), WINDOWS) == [32]


def test_throughput_is_questions_over_the_median_pass_and_the_best_batch_is_marked():
    def offline(batch_size, network, *seconds):
        return Timing("offline", np.array([seconds]).T, {"network": network, "batch_size": batch_size, "questions": 20})

    timings = [offline(8, "study", 4, 5, 9), offline(32, "study", 2, 2, 2), offline(8, "full size", 10, 10, 10)]
    found = scenarios.records(timings, seed=0)
    assert [(r.value, r.conditions["best"]) for r in found] == [(4, False), (10, True), (2, True)]
    # 20 questions in 4 to 9 seconds
    assert (found[0].interval.low, found[0].interval.high) == (pytest.approx(20 / 9), 5)
    assert {r.metric for r in found} == {"offline_questions_per_second"}


def test_running_out_of_memory_leaves_that_batch_size_out_of_the_throughputs():
    at = {"network": "study", "batch_size": 512, "questions": 20, "scenario": "Offline", "attention": "sdpa",
          "precision": "fp32", "mean_tokens": 8.0}  # fmt: skip
    out = Timing("offline", np.empty((0, 0)), at)
    assert scenarios.records([out], seed=0) == []
    assert scenarios.summary([out])["questions/s"].tolist() == ["out of memory"]
