"""Peak memory in a process of its own; running out of it is a result."""

import os
import pickle
import signal
from dataclasses import replace

import pytest
import torch
from transformers import BertConfig

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import networks, squeezebert
from qa_tradeoffs.profiling import memory
from qa_tradeoffs.profiling.workloads import Setting, Subject
from qa_tradeoffs.study.config import Grid

SETTING = Setting(torch.device("cpu"), ("fp32",), seed=0)
MIB = 2**20


def request_of(network, batch_size=1, length=8, device="cpu"):
    setting = Setting(torch.device(device), ("fp32",), seed=0)
    return memory.request(network, batch_size, length, "fp32", setting)


@pytest.fixture(scope="module")
def wide(network_of):
    """A network of one layer, width 512 and feed-forward 16,384: weights of 68 MiB, and a large middle."""
    return network_of(hidden_size=512, num_attention_heads=1, intermediate_size=16384)


@pytest.mark.skipif(not memory._CLEAR.exists(), reason="this system keeps no high-water mark of a process")
def test_a_process_finds_the_weights_and_the_activations(wide):
    found = memory.in_own_process(request_of(wide, batch_size=32, length=64))
    weights = 4 * sum(p.numel() for p in wide.parameters())
    assert 67 * MIB < weights < 70 * MIB
    # Before and after the activation function, the feed-forward layer's middle is 32 × 64 × 16,384 values of 4 bytes.
    middle = 32 * 64 * 16384 * 4
    assert 1.9 * middle < found["resident_above_network"] < 3 * middle
    assert found["resident_above_baseline"] == pytest.approx(found["resident_above_network"] + weights, abs=16 * MIB)


def test_a_request_holds_all_that_decides_memory(network_of):
    network = network_of("squeezebert")
    request = request_of(squeezebert.to_matmul(network), 2, 16)
    assert (request.batch_size, request.length, request.precision, request.device.type) == (2, 16, "fp32", "cpu")
    assert (request.rewritten, request.threads) == (True, torch.get_num_threads())
    assert not request_of(network_of("squeezebert")).rewritten
    eager = network_of("bert")
    eager.set_attn_implementation("eager")
    for wanted, network in (("eager", eager), ("sdpa", network_of("bert"))):
        sent = pickle.loads(pickle.dumps(request_of(network)))  # as to the other process
        built = memory._network(sent)
        assert networks.attention(built) == wanted
        assert (networks.parameters(built), built.device.type) == (networks.parameters(network), "meta")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_running_out_of_memory_is_returned_not_raised(error, device, network_of, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(memory, "_run", fail)
    monkeypatch.setattr(memory, "_prepared", lambda network, request: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    assert memory.peak(request_of(network_of(), device=device)) == {"out_of_memory": 1}


def test_a_batch_that_no_machine_holds_runs_out_of_memory(network_of):
    assert memory.peak(request_of(network_of(), batch_size=2**40)) == {"out_of_memory": 1}


def test_other_errors_are_not_taken_for_it(network_of, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(memory, "_run", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        memory.peak(request_of(network_of()))


def test_on_a_gpu_torchs_own_counts_are_read(network_of, monkeypatch):
    heard = []
    monkeypatch.setattr(memory, "_prepared", lambda network, request: lambda: heard.append("call"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: heard.append("reset"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: heard.append("wait"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 70)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 100)
    assert memory.peak(request_of(network_of(), device="cuda:0")) == {"allocated": 70, "reserved": 100}
    assert heard == ["reset", "call", "call", "wait"]


def killed(sender, request):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_ran_out_of_memory(monkeypatch):
    monkeypatch.setattr(memory, "_send_peak", killed)
    assert memory.in_own_process(None) == {"out_of_memory": 1}


def test_a_process_that_fails_otherwise_is_one_sentence(network_of):
    request = replace(request_of(network_of()), config=BertConfig(hidden_size=10, num_attention_heads=3))
    with pytest.raises(StudyError, match=r"^profile\.memory: .* ended with code 1: StudyError: models: no bert can be"):
        memory.in_own_process(request)


def test_every_point_has_its_records(network_of, monkeypatch):
    def peak(request):
        if request.batch_size == 4:
            return {"out_of_memory": 1}
        return {"allocated": 1000 * request.batch_size, "reserved": 2000}

    monkeypatch.setattr(memory, "in_own_process", peak)
    grid = Grid(batch_sizes=(1,), lengths=(8,))
    points = (Grid(batch_sizes=(1, 4), lengths=(8,)), Grid(batch_sizes=(2,), lengths=(16,)))
    own = Subject("study", network_of(), "pretrained", grid, grid, 3, memory=points)
    records = memory.measure([own], SETTING)
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
    assert memory.summary(records)["MiB"].tolist() == ["0", "0", "out of memory", "0", "0"]


def test_a_study_without_a_memory_grid_has_an_empty_table():
    assert list(memory.summary([]).columns) == ["network", "precision", "batch", "tokens per row", "measure", "MiB"]
