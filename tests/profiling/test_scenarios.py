"""SingleStream and Offline, on five questions about one passage."""

import numpy as np
import pytest

from qa_tradeoffs.data import features
from qa_tradeoffs.profiling import latency, scenarios, tables
from qa_tradeoffs.profiling.latency import Timing
from tests.profiling.conftest import PROFILE, SETTING, subject


@pytest.fixture
def measure(study_of, examples, tokenizer):
    """A function that measures both scenarios of a network with these batch sizes for Offline."""

    def build(network, batch_sizes=(2, 4), **changes):
        profile = PROFILE | {"offline_batch_sizes": batch_sizes}
        study = study_of(profile=profile, training={"max_length": 48, "stride": 8})
        points = scenarios.points([subject(network, **changes)], study, examples, tokenizer, SETTING)
        return latency.measure(points, study.profile, SETTING)[0]

    return build


def test_a_sample_is_the_seeds_and_keeps_the_order(examples):
    chosen = scenarios.sample(examples, 3, seed=0)
    assert len(chosen) == 3
    assert [e for e in examples if e in chosen] == chosen
    assert scenarios.sample(examples, 3, seed=0) == chosen
    assert scenarios.sample(examples, 99, seed=0) == examples


def test_single_stream_answers_each_question_by_itself_and_offline_all_of_them(network_of, measure):
    timings = measure(network_of(), questions=4)
    assert [(t.work, t.conditions["scenario"], t.conditions["batch_size"], t.seconds.shape) for t in timings] == [
        ("single_stream", "SingleStream", 1, (3, 2)),  # in three passes, at least as many as there are questions
        ("offline", "Offline", 2, (3, 1)),
        ("offline", "Offline", 4, (3, 1)),
    ]
    assert all(t.conditions["questions"] == 4 and t.conditions["padding"] for t in timings)
    shown = tables.scenarios(timings)
    assert shown["p90 (ms)"].tolist()[1:] == ["", ""]  # of Offline's passes, no question has a latency of its own
    assert shown["questions/s"][1] == pytest.approx(4 / timings[1].median)


@pytest.mark.parametrize(("batch_sizes", "tried"), [((8, 2, 4), [2, 4]), ((64, 32), [32])])
def test_a_batch_that_all_windows_do_not_fill_is_not_tried_but_for_the_smallest(
    batch_sizes, tried, network_of, measure
):
    _, *offline = measure(network_of(), batch_sizes, questions=4)
    assert [timing.conditions["batch_size"] for timing in offline] == tried


def test_a_control_takes_part_in_no_scenario(network_of, measure):
    assert measure(network_of(), eager_control=True) == []


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
    for answered in ([[0], [1, 2]], [[3], [0]]):
        (call,) = point.prepare(own.network)
        assert recorder.since() == [[0]]  # to warm up
        call(), call()
        assert recorder.since() == answered


def test_offline_batches_hold_windows_of_like_length_longest_first(own):
    recorder = Recorder()
    (call,) = scenarios._offline(recorder, WINDOWS, 3, own, {"questions": 3}).prepare(own.network)
    assert recorder.since() == [[1, 2, 0]]  # the longest, to warm up
    call()
    assert recorder.since() == [[1, 2, 0], [3]]


def offline(batch_size, network, *seconds):
    at = {"network": network, "batch_size": batch_size, "questions": 20, "scenario": "Offline", "attention": "sdpa",
          "precision": "fp32", "mean_tokens": 8.0}  # fmt: skip
    return Timing("offline", np.array([seconds]).T, at)


def test_throughput_is_questions_over_the_median_pass_and_the_best_batch_is_marked():
    timings = [offline(8, "study", 4, 5, 9), offline(32, "study", 2, 2, 2), offline(8, "full size", 10, 10, 10)]
    found = scenarios.records(timings, seed=0)
    assert [(r.value, r.conditions["best"]) for r in found] == [(4, False), (10, True), (2, True)]
    assert found[0].bounds == (pytest.approx(20 / 9), 5)  # 20 questions in 4 to 9 seconds
    assert {r.metric for r in found} == {"offline_questions_per_second"}


def test_running_out_of_memory_leaves_that_batch_size_out_of_the_throughputs():
    out = offline(512, "study")
    assert scenarios.records([out], seed=0) == []
    assert tables.scenarios([out])["questions/s"].tolist() == ["out of memory"]
