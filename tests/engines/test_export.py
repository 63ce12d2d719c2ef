"""Networks as ONNX files: the same logits in fp32, nearly the same in int8, and a reason if export fails."""

import copy
import sys
from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import export, onnx_session, pytorch, registry
from qa_tradeoffs.evaluation import answers
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.models import precisions
from qa_tradeoffs.study import engines as names
from tests.conftest import SIZES
from tests.engines.conftest import trained

pytestmark = pytest.mark.xdist_group("exported")  # so that one process exports
BOTH = pytest.mark.parametrize("architecture", ["bert", "squeezebert"])


def largest_error(engine: Any, original: Any, windows: Any, rows: Any) -> float:
    """The largest difference of two engines' logits on the windows' own tokens, over the range of the original's."""
    own = np.arange(windows.lengths[rows].max()) < windows.lengths[rows, None]
    pairs = zip(engine.logits(windows, rows), original.logits(windows, rows), strict=True)
    return max(np.abs(found - expected)[own].max() / np.ptp(expected[own]) for found, expected in pairs)


@BOTH
def test_an_exported_network_gives_torchs_logits_and_answers_in_batches_of_any_size(
    exported, architecture, tokenizer, examples
):
    _, engines = exported[architecture]
    reading = Reading(max_length=40, stride=8)
    windows = reading.windows(examples, tokenizer)
    for rows in ([0], [1, 0], range(len(windows.lengths))):
        assert largest_error(engines["onnxruntime"], engines["torch"], windows, np.array(rows)) < 1e-5
    ours, theirs = (answers.answer(engines[name], tokenizer, examples, reading) for name in ("onnxruntime", "torch"))
    assert ours.text.tolist() == theirs.text.tolist()
    np.testing.assert_allclose(ours.probability, theirs.probability, rtol=1e-4)


@BOTH
def test_in_int8_logits_are_near_torchs(exported, architecture, tokenizer, examples):
    _, engines = exported[architecture]
    windows = Reading(max_length=40, stride=8).windows(examples, tokenizer)
    rows = np.arange(len(windows.lengths))
    error = largest_error(engines["onnxruntime-int8"], engines["torch"], windows, rows)
    assert 0 < error < 0.1
    assert engines["onnxruntime-int8"].conditions["precision"] == "int8"


@BOTH
def test_every_linear_layer_is_an_integer_product_with_a_scale_for_each_channel(exported, architecture):
    _, engines = exported[architecture]
    graph = onnx.load(engines["onnxruntime-int8"].file).graph
    operations = Counter(node.op_type for node in graph.node)
    assert "Conv" not in {node.op_type for node in onnx.load(engines["onnxruntime"].file).graph.node}
    # Query, key, value, output, and the two of the feed-forward layer; of SqueezeBERT all but the fourth in 4 groups.
    layers = {"bert": 6, "squeezebert": 5 * 4 + 1}[architecture]
    assert operations["MatMulInteger"] == layers * SIZES[architecture]["num_hidden_layers"] + 1  # the answer head
    assert operations["ConvInteger"] == operations["Conv"] == operations["Gemm"] == 0
    sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    weights = [node.input[1] for node in graph.node if node.op_type == "MatMulInteger"]
    assert all(sizes[name.replace("_quantized", "_scale")] == [sizes[name][1]] for name in weights)
    assert all(len(sizes[name]) == 2 for name in weights)


def test_a_file_names_nothing_of_this_machine(exported):
    files = [engine.file for _, engines in exported.values() for engine in engines.values() if engine.file]
    assert len(files) == 2 * len(exported)
    for file in files:
        assert not [node for node in onnx.load(file).graph.node if node.metadata_props or node.doc_string]
        assert b"site-packages" not in file.read_bytes()


def test_a_network_that_no_file_can_hold_is_refused_before_it_is_copied(network_of, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_LARGEST", 1000)
    with pytest.raises(StudyError, match=r"onnxruntime: its 0\.0 GB of weights"):
        registry.prepare("onnxruntime", trained(network_of(), tmp_path))


def test_a_file_of_another_network_is_refused(exported, network_of):
    of_network, engines = exported["bert"]
    other = trained(network_of(initializer_range=0.3, seed=1), of_network.folder)
    with pytest.raises(StudyError, match=r"its logits differ from torch's by .* of their range on 1 window;"):
        export.check(other, engines["onnxruntime"])
    with pytest.raises(StudyError, match=r"^onnxruntime: its logits differ"):
        registry.prepare("onnxruntime", other)


def test_a_timed_call_computes_the_same_logits(exported, tokenizer, examples):
    _, engines = exported["bert"]
    windows, rows = Reading(max_length=40, stride=8).windows(examples, tokenizer), np.array([0, 1])
    expected = engines["torch"].logits(windows, rows)[0]
    np.testing.assert_allclose(engines["torch"].call(windows, rows)(), expected, atol=1e-5)
    np.testing.assert_allclose(engines["onnxruntime"].call(windows, rows)()[0], expected, atol=1e-5)


class Odd(torch.nn.Module):
    """A network that depends on the values of its input, which an exported graph cannot."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.config, self.network = network.config, network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        return self.network(input_ids if input_ids.sum().item() % 2 else input_ids.flip(0), attention_mask)


def test_an_engine_that_cannot_be_used_has_a_reason_and_the_others_are_ready(network_of, tmp_path):
    ready, reasons = registry.prepare_all(["onnxruntime", "torch"], trained(Odd(network_of()), tmp_path))
    assert list(ready) == ["torch"]
    assert reasons["onnxruntime"].startswith("onnxruntime: a bert cannot be exported to ONNX (")
    assert list(tmp_path.iterdir()) == []


def test_libraries_that_are_not_installed_are_a_reason(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    of_network, _ = exported["bert"]
    _, reasons = registry.prepare_all(["onnxruntime", "onnxruntime-int8"], of_network)
    assert [reason.partition(" (")[0] for reason in reasons.values()] == [
        "onnxruntime: is not installed", "onnxruntime-int8: is not installed"
    ]  # fmt: skip


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "onnxruntime.onnx").write_bytes(b"no network")
    with pytest.raises(StudyError, match=r"cannot run onnxruntime\.onnx"):
        onnx_session.session(tmp_path / "onnxruntime.onnx", 1)


def test_a_missing_provider_is_a_reason(exported, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    _, engines = exported["bert"]
    with pytest.raises(StudyError, match="has no CUDAExecutionProvider; install onnxruntime-gpu"):
        onnx_session.session(engines["onnxruntime"].file, 1, "cuda")


def test_bf16_is_another_precision_of_the_same_network_if_the_device_has_it(network_of, tmp_path, monkeypatch):
    of_network = trained(network_of(), tmp_path)
    with pytest.raises(StudyError, match="torch-bf16: this device does not multiply bf16 natively"):
        registry.prepare("torch-bf16", of_network)
    monkeypatch.setattr(precisions, "native_bf16", lambda device_type: True)
    engine = registry.prepare("torch-bf16", of_network)
    windows = export.sample(of_network.network)
    rows = np.array([1])
    expected = pytorch.Engine(of_network.network, 0, "cpu", "bf16").logits(windows, rows)
    np.testing.assert_array_equal(engine.logits(windows, rows), expected)
    with pytest.raises(StudyError, match=r"torch-bf16: .*training\.precision"):
        registry.prepare("torch-bf16", trained(of_network.network, tmp_path, "bf16"))


def test_a_study_may_name_exactly_the_engines_that_exist():
    assert list(registry.PREPARE) == list(names.LABELS)


def test_exporting_leaves_the_network_as_it_is(exported, network_of):
    of_network, _ = exported["squeezebert"]
    fresh = network_of("squeezebert", initializer_range=0.3)
    assert [type(module) for module in of_network.network.modules()] == [type(m) for m in fresh.modules()]
    for (name, ours), (_, theirs) in zip(
        of_network.network.named_parameters(), copy.deepcopy(fresh).named_parameters(), strict=True
    ):
        assert torch.equal(ours, theirs), name
