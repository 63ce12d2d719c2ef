"""What measured calls do, their labels, and their numbers of operations."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.models import counting, networks, precisions, squeezebert
from qa_tradeoffs.models.dropout import dropout
from qa_tradeoffs.profiling import workloads
from qa_tradeoffs.study import config
from qa_tradeoffs.study.config import Study
from tests.profiling.conftest import CUDA, PROFILE, SETTING


@pytest.mark.parametrize(
    ("own", "named", "has_bf16", "expected"),
    [
        ("auto", [], False, ("fp32",)),
        ("auto", ["fp32", "tf32", "bf16"], False, ("fp32",)),
        ("auto", ["fp32", "tf32", "bf16"], True, ("bf16", "fp32", "tf32")),
        ("fp32", ["bf16"], True, ("fp32", "bf16")),
    ],
)
def test_the_recipes_precision_comes_first_and_others_only_if_the_device_has_them(
    own, named, has_bf16, expected, study_of, monkeypatch
):
    monkeypatch.setattr(precisions, "native_bf16", lambda device_type: has_bf16)
    study = study_of(training={"precision": own}, profile=PROFILE | {"precisions": named})
    assert workloads.setting(study, CUDA, seed=3) == workloads.Setting(CUDA, expected, seed=3)


def test_a_random_batch_has_its_shape_and_depends_on_the_seed(network_of):
    network = network_of()
    batch = workloads.random_batch(network, 3, 7, SETTING)
    shapes = {"input_ids": (3, 7), "attention_mask": (3, 7), "start_positions": (3,), "end_positions": (3,)}
    assert {name: values.shape for name, values in batch.items()} == shapes
    assert batch["attention_mask"].all()
    assert 0 <= batch["input_ids"].min() <= batch["input_ids"].max() < network.config.vocab_size
    assert (batch["start_positions"] <= batch["end_positions"]).all()
    assert (batch["end_positions"] < 7).all()
    again, other = (workloads.random_batch(network, 3, 7, replace(SETTING, seed=seed)) for seed in (0, 1))
    assert torch.equal(batch["input_ids"], again["input_ids"])
    assert not torch.equal(batch["input_ids"], other["input_ids"])


def weights(network: Any) -> torch.Tensor:
    return torch.cat([parameter.detach().clone().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "squeezebert"])
def test_a_training_step_moves_the_weights_and_a_forward_pass_does_not(architecture, network_of):
    network = network_of(architecture)
    batch = workloads.random_batch(network, 2, 16, SETTING)
    before = weights(network)
    assert workloads.forward_pass(network, batch, "fp32")().shape == (2, 16)
    assert not network.training
    assert torch.equal(weights(network), before)
    forward, backward, update = workloads.phases("training_step", network, batch, "fp32")
    assert network.training
    workloads.together([forward, backward])()
    assert torch.equal(weights(network), before)
    assert any(p.grad is not None and p.grad.any() for p in network.parameters())
    update()
    assert not torch.equal(weights(network), before)
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize(("precision", "expected"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_bf16_is_used_on_request(precision, expected, network_of):
    network = network_of()
    batch = workloads.random_batch(network, 1, 8, SETTING)
    assert workloads.forward_pass(network, batch, precision)().dtype == expected


@pytest.mark.parametrize(
    ("key", "value", "limit"),
    [
        ("forward", {"batch_sizes": [1], "lengths": [8, 65]}, 64),
        ("training_step", {"batch_sizes": [1], "lengths": [8, 65]}, 64),
        ("full_size_memory", [{"batch_sizes": [1], "lengths": [513]}], 512),
    ],
)
def test_a_length_that_a_network_does_not_support_is_refused_by_its_key(key, value, limit, network_of, study_of):
    study = study_of(profile=PROFILE | {key: value})
    with pytest.raises(
        StudyError, match=rf"^profile\.{key}\.lengths: {limit + 1} tokens, but BertFor\w+ takes at most {limit}"
    ):
        workloads.subjects(network_of(), study, config.Model(label="tiny", architecture="bert"), seed=0)


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_tf32_is_allowed_only_on_request_in_products_and_convolutions_alike(precision, allowed):
    def state() -> list[bool]:
        return [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32]

    before = state()
    with pytest.raises(torch.OutOfMemoryError), workloads.number_format(precision):
        assert state() == [allowed, allowed]
        raise torch.OutOfMemoryError  # after which all is as before, too
    assert state() == before


PUBLISHED = [
    ("bert", 108_893_186, flops.BERT_BASE),
    ("distilbert", 66_364_418, flops.DISTILBERT_BASE),
    ("squeezebert", 51_091_202, flops.SQUEEZEBERT),
]


@pytest.mark.parametrize(("architecture", "parameters", "shape"), PUBLISHED)
def test_the_full_size_twin_is_the_published_architecture(architecture, parameters, shape, network_of):
    small = network_of(architecture)
    with torch.device("meta"):
        twin = workloads.full_size(small, seed=0)
        assert workloads.full_size(twin, seed=0) is None
    assert (twin.config.model_type, twin.num_parameters()) == (architecture, parameters)


@pytest.mark.parametrize(("architecture", "parameters", "shape"), PUBLISHED)
def test_counted_operations_of_the_published_models_agree_with_the_formula(architecture, parameters, shape):
    with torch.device("meta"):
        network = networks.from_config(AutoConfig.for_model(architecture))
    forward, backward = counting.flops(network, 1, 128)
    assert forward == pytest.approx(flops.encoder_flops(shape, 1, 128), rel=0.01)
    # Each product has two in its backward pass, one for the inputs and one for the weights.
    assert backward == pytest.approx(2 * forward, rel=0.01)


def test_a_batch_takes_its_rows_times_the_operations_of_one(network_of):
    network = network_of()
    assert counting.flops(network, 3, 16) == tuple(3 * n for n in counting.flops(network, 1, 16))


def test_operations_do_not_depend_on_how_they_are_computed(network_of):
    network = network_of("squeezebert", q_groups=2, k_groups=2, v_groups=2, intermediate_groups=2, output_groups=2)
    stock = counting.flops(network, 2, 16)
    assert counting.flops(squeezebert.to_matmul(network), 2, 16) == stock
    eager, fused = network_of("bert"), network_of("bert")
    eager.set_attn_implementation("eager")
    assert counting.flops(eager, 2, 16) == counting.flops(fused, 2, 16)


def test_the_twin_of_a_rewritten_network_is_rewritten(network_of):
    with torch.device("meta"):
        assert squeezebert.is_matmul(workloads.full_size(squeezebert.to_matmul(network_of("squeezebert")), seed=0))


SPEC = config.Model(label="tiny", architecture="bert")


@pytest.fixture
def subjects_of(study_of: Callable[..., Study], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A function from a network, and the one to take for its twin, to what is measured."""

    def build(network: Any, twin: Any = None, **keys: Any) -> list[workloads.Subject]:
        monkeypatch.setattr(workloads, "full_size", lambda network, seed: twin)
        return workloads.subjects(network, study_of(**keys), SPEC, seed=0)

    return build


def test_a_small_network_is_measured_with_its_twin_and_a_large_one_alone(network_of, subjects_of):
    both = subjects_of(network_of(), network_of(max_position_embeddings=128))
    assert [subject.name for subject in both] == ["study", "full size"]
    assert [subject.name for subject in subjects_of(network_of())] == ["study"]


@pytest.mark.parametrize(("recipe", "expected"), [({"dropout": 0.0}, 0.0), ({"dropout": 0.3}, 0.3), ({}, 0.1)])
def test_networks_have_the_recipes_dropout(recipe, expected, network_of, subjects_of):
    twin = network_of("distilbert", max_position_embeddings=128)
    subjects = subjects_of(network_of(), twin, training=recipe)
    assert [dropout(subject.network) for subject in subjects] == [expected] * 2
