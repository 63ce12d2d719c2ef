"""Peak memory in a separate process; running out of memory is a result."""

import os
import pickle
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from transformers import BertConfig

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import squeezebert
from qa_tradeoffs.models.networks import attention
from qa_tradeoffs.profiling import memory, tables
from qa_tradeoffs.study.config import Grid
from tests.profiling.conftest import CPU, CUDA, SETTING, subject

pytestmark = pytest.mark.xdist_group("memory")  # one process forks them all, and loads the libraries once
MIB = 2**20


def asked(network, batch_size=1, length=8, device=CPU):
    return memory.asked(network, batch_size, length, "fp32", replace(SETTING, device=device))


@pytest.fixture(scope="module")
def wide(network_of):
    """A network of one layer, width 512 and feed-forward 16,384: weights of 68 MiB, and a large middle."""
    return network_of(hidden_size=512, num_attention_heads=1, intermediate_size=16384)


@pytest.mark.skipif(not memory._CLEAR.exists(), reason="this system keeps no high-water mark of a process")
def test_a_process_finds_the_weights_and_the_activations(wide):
    found = memory.in_own_process(asked(wide, batch_size=32, length=64))
    weights = 4 * wide.num_parameters()
    assert 67 * MIB < weights < 70 * MIB
    # Before and after the activation function, the feed-forward layer's middle is 32 × 64 × 16,384 values of 4 bytes.
    middle = 32 * 64 * 16384 * 4
    assert 1.9 * middle < found["resident_above_network"] < 3 * middle
    assert found["resident_above_baseline"] == pytest.approx(found["resident_above_network"] + weights, abs=16 * MIB)


def eager(network):
    network.set_attn_implementation("eager")
    return network


@pytest.mark.parametrize(
    ("architecture", "change", "expected"),
    [
        ("bert", lambda network: network, ("sdpa", False)),
        ("bert", eager, ("eager", False)),
        ("squeezebert", lambda network: network, ("eager", False)),
        ("squeezebert", squeezebert.to_matmul, ("sdpa", True)),
    ],
)
def test_what_is_sent_to_the_process_determines_its_memory(architecture, change, expected, network_of, monkeypatch):
    network, built, batches = change(network_of(architecture)), [], []
    monkeypatch.setattr(memory, "forward_pass", lambda network, batch, precision: built.append(network))
    monkeypatch.setattr(memory, "random_batch", lambda network, *size: batches.append(size))
    monkeypatch.setattr(memory, "_run", lambda call: None)
    pickle.loads(pickle.dumps(asked(network, 2, 16)))()  # as in the other process
    assert [(attention(one), squeezebert.is_matmul(one)) for one in built] == [expected]
    assert built[0].num_parameters() == network.num_parameters()
    assert batches == [(2, 16, SETTING)]


def failing(error):
    def fail(*arguments):
        raise error

    return fail


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
@pytest.mark.parametrize("device", [CPU, CUDA])
def test_running_out_of_memory_is_returned_not_raised(error, device, network_of, monkeypatch):
    monkeypatch.setattr(memory, "_on_cpu", failing(error))
    monkeypatch.setattr(memory, "_on_gpu", failing(error))
    assert asked(network_of(), device=device)() is None


def test_a_huge_batch_runs_out_of_memory(network_of):
    assert asked(network_of(), batch_size=2**40)() is None


def test_other_errors_are_not_treated_as_out_of_memory(network_of, monkeypatch):
    monkeypatch.setattr(memory, "_run", failing(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes"):
        asked(network_of())()


def test_on_a_gpu_torchs_own_counts_are_read(monkeypatch):
    heard = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: heard.append("reset"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: heard.append("wait"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 70)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 100)
    found = memory._on_gpu(lambda: lambda: heard.append("call"), CUDA)
    assert found == {"allocated": 70, "reserved": 100}
    assert heard == ["reset", "call", "call", "wait"]


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_ran_out_of_memory():
    assert memory.in_own_process(killed) is None


def test_any_other_failure_of_the_process_is_one_sentence():
    wrong = BertConfig(hidden_size=10, num_attention_heads=3)
    measure = partial(memory.peak, wrong, 1, 8, "fp32", SETTING, rewritten=False, threads=1)
    with pytest.raises(StudyError, match=r"^profile\.memory: .* ended with code 1: StudyError: models: no bert can be"):
        memory.in_own_process(measure)


def test_every_point_has_its_records(network_of, monkeypatch):
    def peak(measure):
        _, batch_size, *_ = measure.args
        return None if batch_size == 4 else {"allocated": 1000 * batch_size, "reserved": 2000}

    monkeypatch.setattr(memory, "in_own_process", peak)
    points = (Grid(batch_sizes=(1, 4), lengths=(8,)), Grid(batch_sizes=(2,), lengths=(16,)))
    records = memory.measure([subject(network_of(), weights="pretrained", memory=points)], SETTING)
    assert [
        (r.metric, r.value, r.conditions["batch_size"], r.conditions["length"], r.conditions.get("measure"))
        for r in records
    ] == [
        ("peak_memory_bytes", 1000, 1, 8, "allocated"),
        ("peak_memory_bytes", 2000, 1, 8, "reserved"),
        ("out_of_memory", 1, 4, 8, None),
        ("peak_memory_bytes", 2000, 2, 16, "allocated"),
        ("peak_memory_bytes", 2000, 2, 16, "reserved"),
    ]
    assert records[0].conditions["weights"] == "random"
    assert tables.memory(records)["MiB"].tolist() == ["0", "0", "out of memory", "0", "0"]


def test_a_study_without_a_memory_grid_has_an_empty_table():
    assert tables.memory([]).empty


class Loaded:
    """Opens a table of so many bytes, once its libraries are there."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self):
        def opened():
            table = np.ones(self.size, np.uint8)
            return lambda: table.copy()

        return opened


@pytest.mark.skipif(not memory._CLEAR.exists(), reason="this system keeps no high-water mark of a process")
def test_an_engines_file_and_its_call_are_measured():
    size = 64 * MIB
    peak = memory.in_own_process(partial(memory.of_file, Loaded(size)))
    assert peak["resident_above_baseline"] == pytest.approx(2 * size, rel=0.1)
    assert peak["resident_above_network"] == pytest.approx(size, rel=0.1)
