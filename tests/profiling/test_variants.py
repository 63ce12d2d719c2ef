"""Every variant gives the published network's outputs, computes as named, and does not modify the network."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import networks, precisions, squeezebert
from qa_tradeoffs.models.squeezebert import convert
from qa_tradeoffs.profiling import variants
from qa_tradeoffs.profiling.variants import BERT, EAGER_BERT, PUBLISHED, REWRITTEN, WATERFALL, Variant
from tests.models.conftest import padded_batch
from tests.profiling.conftest import CPU, CUDA

OTHERS = variants.others(CPU, "fp32", 0.1)
CHANGED = [v for v in (*WATERFALL, *OTHERS) if v.network == PUBLISHED.network and v is not PUBLISHED]
NAMED = {v.name: v for v in (*WATERFALL, *OTHERS)}
LAYERS = 2


@pytest.fixture
def network(network_of: Callable[..., Any]) -> Any:
    """A SqueezeBERT of four groups, with random biases and norms, so that a lost one would change the outputs."""
    built = network_of("squeezebert", num_hidden_layers=LAYERS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return built


@pytest.fixture
def originals(network: Any) -> dict[str, Any]:
    return variants.networks(network, CPU, seed=0)


class Operations(TorchDispatchMode):
    """Counts what torch really runs."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **kwargs or {})


def operations(network: Any) -> Counter[str]:
    with torch.no_grad(), Operations() as counted:
        network.eval()(**padded_batch())
    return counted.counts


@pytest.mark.parametrize("variant", CHANGED, ids=lambda variant: variant.name)
def test_a_variant_of_the_same_weights_gives_the_same_logits_and_gradients(variant, originals):
    published, changed = PUBLISHED.of(originals, 0.0).eval(), variant.of(originals, 0.0).eval()
    wanted, found = published(**padded_batch()), changed(**padded_batch())
    torch.testing.assert_close(found.start_logits, wanted.start_logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.end_logits, wanted.end_logits, rtol=0, atol=1e-5)
    names, parameters = zip(*published.named_parameters(), strict=True)
    expected = torch.autograd.grad(wanted.loss, parameters, allow_unused=True)
    gradients = torch.autograd.grad(found.loss, list(changed.parameters()), allow_unused=True)
    for name, want, got in zip(names, expected, gradients, strict=True):
        assert (want is None) == (got is None), name
        if want is not None:
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_product_convolution_is_the_convolution_with_the_channels_in_any_order_in_memory(groups):
    convolution = torch.nn.Conv1d(8, 12, 1, groups=groups, dtype=torch.float64)
    x = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).transpose(1, 2)
    wanted = convolution(x)
    product = convert(convolution, {torch.nn.Conv1d: variants.ProductConv1d})
    torch.testing.assert_close(product(x), wanted)
    torch.testing.assert_close(product(x.contiguous()), wanted)


# In two layers: six convolutions each; attention's two products each, where it is not fused.
@pytest.mark.parametrize(
    ("name", "convolutions", "fused"),
    [
        ("as published", 6 * LAYERS, 0),
        ("matrix products", 0, 0),
        ("matrix products, channels last", 0, 0),
        ("rewritten", 0, LAYERS),
        ("rewritten, without groups", 0, LAYERS),
        ("BERT", 0, LAYERS),
        ("BERT, eager attention", 0, 0),
        ("fused attention", 6 * LAYERS, LAYERS),
        ("no dropout", 6 * LAYERS, 0),
    ],
)
def test_a_variant_computes_as_its_name_says(name, convolutions, fused, originals):
    counted = operations(NAMED[name].of(originals, 0.0))
    assert counted["convolution"] == convolutions
    assert counted["_scaled_dot_product_flash_attention_for_cpu"] == fused


def test_channels_come_last_only_if_the_name_says_so(originals):
    def channels_come_last(variant: Variant) -> bool:
        network, seen = variant.of(originals, 0.0).eval(), []
        network.transformer.encoder.layers[0].output.dropout.register_forward_hook(
            lambda module, inputs, output: seen.append(inputs[0].shape[-1] == network.config.hidden_size)
        )
        network(**padded_batch())
        return seen == [True]

    last = {variant.name: channels_come_last(variant) for variant in (*WATERFALL[:4], NAMED["fused attention"])}
    assert [name for name, found in last.items() if found] == [
        "matrix products, channels last",
        "rewritten",
    ]


def test_a_variant_shares_its_parameters_and_leaves_the_original_alone(originals):
    before = operations(originals[PUBLISHED.network])
    for variant in (*WATERFALL, *OTHERS):
        original, changed = originals[variant.network], variant.of(originals, 0.5)
        assert all(a is b for a, b in zip(original.parameters(), changed.parameters(), strict=True))
        assert changed.train().training and not original.eval().training
    assert operations(originals[PUBLISHED.network]) == before
    assert networks.attention(originals[BERT.network]) == "sdpa"
    assert networks.attention(EAGER_BERT.of(originals, 0.0)) == "eager"


def dropouts(network: Any) -> set[float]:
    return {module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)}


def test_dropout_is_as_requested_except_in_the_variant_without(originals):
    found = {name: dropouts(variant.of(originals, 0.3)) for name, variant in NAMED.items()}
    assert found == {name: {0.3} for name in NAMED} | {"no dropout": {0.0}}
    assert dropouts(originals[PUBLISHED.network]) == {0.1}  # the config's


def test_without_groups_it_has_the_weights_of_bert_and_a_pooler(originals):
    sizes = {name: original.num_parameters() for name, original in originals.items()}
    width = originals[BERT.network].config.hidden_size
    assert sizes["SqueezeBERT without groups"] == sizes["BERT"] + width * width + width


def test_bert_of_squeezeberts_published_sizes_is_bert_base():
    with torch.device("meta"):
        published = networks.from_config(AutoConfig.for_model("squeezebert"))
        found = variants.networks(published, torch.device("meta"), seed=0)
    assert found["SqueezeBERT"].num_parameters() == 51_091_202
    assert found["BERT"].num_parameters() == 108_893_186


def test_a_rewritten_network_is_measured_in_its_published_form(network):
    rewritten = squeezebert.to_matmul(network)
    found = variants.networks(rewritten, CPU, seed=0)
    assert squeezebert.is_matmul(rewritten)
    assert not squeezebert.is_matmul(PUBLISHED.of(found, 0.0))
    assert squeezebert.is_matmul(REWRITTEN.of(found, 0.0))
    assert all(a is not b for a, b in zip(rewritten.parameters(), found["SqueezeBERT"].parameters(), strict=True))


def test_only_a_squeezebert_has_variants(network_of):
    with pytest.raises(StudyError, match="BertForQuestionAnswering is not a SqueezeBERT"):
        variants.networks(network_of("bert"), CPU, seed=0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(precisions, "native_bf16", lambda device_type: device_type == "cuda")
    monkeypatch.setattr(variants, "shutil", SimpleNamespace(which=lambda name: f"/usr/bin/{name}"))
    return monkeypatch


def names(*arguments: Any) -> list[str]:
    return [variant.name for variant in variants.others(*arguments)]


def test_a_gpu_has_its_own_variants_and_only_effective_ones(gpu):
    common = ["BERT, eager attention", "fused attention"]
    on_gpu = ["cuDNN off", "cuDNN benchmark"]
    masks = ["fast dropout masks", "rewritten, fast dropout masks", "BERT, fast dropout masks"]
    assert names(CPU, "fp32", 0.1) == [*common, "no dropout", *masks]
    assert names(CPU, "fp32", 0.0) == common
    assert names(CUDA, "fp32", 0.1) == [*common, "no dropout", *on_gpu, "bf16", "torch.compile"]
    assert names(CUDA, "bf16", 0.0) == [*common, *on_gpu, "torch.compile"]
    gpu.setattr(variants, "shutil", SimpleNamespace(which=lambda name: None))
    assert names(CUDA, "bf16", 0.0) == [*common, *on_gpu]


def test_masks_are_drawn_fast_for_the_calls_only():
    def drawn() -> Any:
        torch.manual_seed(0)
        return torch.empty(64).bernoulli_(0.5)

    for variant in (v for v in OTHERS if "fast dropout masks" in v.name):
        before, call = drawn(), variant.around(drawn)
        assert not torch.equal(call(), before)
        assert torch.equal(call(), call())
        assert torch.equal(drawn(), before)


@pytest.mark.parametrize(("name", "expected"), [("cuDNN off", (False, False)), ("cuDNN benchmark", (True, True))])
def test_one_setting_of_cudnn_is_switched_for_the_calls_only(name, expected, gpu):
    backend = torch.backends.cudnn
    gpu.setattr(backend, "enabled", True)
    gpu.setattr(backend, "benchmark", False)
    gpu.setattr(backend, "allow_tf32", False)
    (variant,) = (v for v in variants.others(CUDA, "fp32", 0.1) if v.name == name)
    call = variant.around(lambda: (backend.enabled, backend.benchmark, backend.allow_tf32))
    for _ in range(2):  # every call, not the first alone
        assert call() == (*expected, False)
        assert (backend.enabled, backend.benchmark, backend.allow_tf32) == (True, False, False)


def test_the_compiled_variant_is_compiled_and_the_original_is_not(gpu, originals):
    (variant,) = (v for v in variants.others(CUDA, "fp32", 0.1) if v.name == "torch.compile")
    compiled = []
    gpu.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    found = variant.of(originals, 0.0)
    assert compiled == [found]
