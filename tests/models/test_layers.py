"""The level of a parameter in its network, for layer-wise learning rates and freezing."""

import pytest

from qa_tradeoffs.models import layers


@pytest.mark.parametrize(
    ("architecture", "settings", "of_second_layer"),
    [
        ("bert", {"num_hidden_layers": 3}, "bert.encoder.layer.1.output.dense.weight"),
        ("distilbert", {"n_layers": 3}, "distilbert.transformer.layer.1.ffn.lin1.weight"),
        ("squeezebert", {"num_hidden_layers": 3}, "transformer.encoder.layers.1.intermediate.conv1d.weight"),
    ],
)
def test_embeddings_are_at_0_layers_at_1_to_n_and_the_head_above(network_of, architecture, settings, of_second_layer):
    network = network_of(architecture, **settings)
    found, n = layers.levels(network)
    assert n == 3
    assert found[of_second_layer] == 2
    assert found[f"{network.base_model_prefix}.embeddings.word_embeddings.weight"] == 0
    assert (found["qa_outputs.weight"], found["qa_outputs.bias"]) == (4, 4)
    assert set(found.values()) == {0, 1, 2, 3, 4}


def test_depth_is_counted_from_the_head_down(network_of):
    network = network_of(num_hidden_layers=2)
    depths = layers.depths(network)
    named = dict(network.named_parameters())
    names = ["qa_outputs.bias", "bert.encoder.layer.1.output.dense.bias", "bert.encoder.layer.0.output.dense.bias"]
    assert [depths[named[name]] for name in (*names, "bert.embeddings.LayerNorm.bias")] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("embeddings", "lowest", "frozen"), [(False, 0, set()), (True, 0, {0}), (False, 2, {1, 2}), (True, 1, {0, 1})]
)
def test_what_is_frozen_has_no_gradient(network_of, embeddings, lowest, frozen):
    network = network_of(num_hidden_layers=3)
    layers.freeze(network, embeddings, lowest)
    found, _ = layers.levels(network)
    assert {found[name] for name, weight in network.named_parameters() if not weight.requires_grad} == frozen
