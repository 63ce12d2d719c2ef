"""A network initialised from chosen layers of another checkpoint has exactly those layers."""

import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import checkpoints, networks, tokenizers
from qa_tradeoffs.study.config import Model
from tests.models.conftest import TEXTS, VOCABULARY, tiny

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def four_layers(tmp_path):
    """A checkpoint of BERT with four layers, and the network that was saved."""
    spec = tiny(num_hidden_layers=4, hidden_dropout_prob=0.2)
    network = networks.load_network(spec, None, VOCABULARY, seed=3)
    checkpoints.save(network, tokenizers.train_wordpiece(TEXTS, VOCABULARY), tmp_path / "four")
    return tmp_path / "four", network


def begun(folder, architecture="bert", layers=(0, 2), **config):
    spec = Model(
        label="shallow", architecture=architecture, config=config, init_from={"model": "four", "layers": list(layers)}
    )
    return networks.load_network(spec, folder, VOCABULARY, seed=5)


def test_bert_begins_with_berts_layers(four_layers):
    folder, source = four_layers
    network = begun(folder, layers=(1, 3))
    assert network.config.num_hidden_layers == len(network.bert.encoder.layer) == 2
    for mine, of in enumerate((1, 3)):
        expected = source.bert.encoder.layer[of].state_dict()
        found = network.bert.encoder.layer[mine].state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    for name, weight in source.bert.embeddings.state_dict().items():
        assert torch.equal(network.bert.embeddings.state_dict()[name], weight)
    assert not torch.equal(network.qa_outputs.weight, source.qa_outputs.weight)


def test_with_all_layers_it_is_the_same_encoder(four_layers):
    folder, source = four_layers
    ids = torch.tensor([[2, 7, 3, 9, 11, 3]])
    network = begun(folder, layers=range(4))
    found, expected = (one.eval().bert(input_ids=ids).last_hidden_state for one in (network, source))
    assert torch.equal(found, expected)


def test_distilbert_begins_with_berts_layers(four_layers):
    folder, source = four_layers
    network = begun(folder, "distilbert", layers=(0, 3))
    assert (network.config.n_layers, network.config.dim, network.config.hidden_dim) == (2, 16, 32)
    assert network.config.dropout == 0.2
    for mine, of in enumerate((0, 3)):
        theirs, ours = source.bert.encoder.layer[of], network.distilbert.transformer.layer[mine]
        pairs = [
            (theirs.attention.self.query, ours.attention.q_lin),
            (theirs.attention.self.key, ours.attention.k_lin),
            (theirs.attention.self.value, ours.attention.v_lin),
            (theirs.attention.output.dense, ours.attention.out_lin),
            (theirs.attention.output.LayerNorm, ours.sa_layer_norm),
            (theirs.intermediate.dense, ours.ffn.lin1),
            (theirs.output.dense, ours.ffn.lin2),
            (theirs.output.LayerNorm, ours.output_layer_norm),
        ]
        assert all(torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias) for a, b in pairs)
    # What one layer computes of the same hidden states is the same, whatever the parts of it are called.
    hidden = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    found = network.eval().distilbert.transformer.layer[1](hidden, None)
    expected = source.eval().bert.encoder.layer[3](hidden, None)
    first = [one if torch.is_tensor(one) else one[0] for one in (found, expected)]
    torch.testing.assert_close(*first)


def test_the_seed_draws_the_head_alone(four_layers):
    spec = Model(label="x", architecture="bert", init_from={"model": "four", "layers": [1]})
    one, other = (networks.load_network(spec, four_layers[0], VOCABULARY, seed) for seed in (1, 2))
    differing = {
        name for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True) if (a != b).any()
    }
    assert differing == {"qa_outputs.weight"}  # its bias begins at 0


@pytest.mark.parametrize(
    ("architecture", "layers", "settings", "message"),
    [
        ("bert", (0, 4), {}, "models: init_from.layers: four has no layer 4, only 4, counted from 0"),
        (
            "bert",
            (0,),
            {"hidden_size": 32},
            "models: config.hidden_size: is 32, but init_from makes it 16; leave it out",
        ),
        ("distilbert", (0, 1), {"dim": 8}, "models: config.dim: is 8, but init_from makes it 16; leave it out"),
        (
            "distilbert",
            (0, 1),
            {"n_layers": 6},
            "models: config.n_layers: is 6, but init_from makes it 2; leave it out",
        ),
        (
            "squeezebert",
            (0,),
            {},
            "models: init_from.model: layers of bert do not fit squeezebert; give `architecture: bert`",
        ),
    ],
)
def test_missing_layers_and_different_widths_are_one_sentence(four_layers, architecture, layers, settings, message):
    with pytest.raises(StudyError) as error:
        begun(four_layers[0], architecture, layers, **settings)
    assert str(error.value) == message


def test_layers_that_share_their_weights_cannot_be_chosen(tmp_path):
    sizes = {"hidden_size": 16, "embedding_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    spec = Model(label="a", architecture="albert", config={**sizes, "intermediate_size": 32, "vocab_size": VOCABULARY})
    network = networks.load_network(spec, None, VOCABULARY, 0)
    checkpoints.save(network, tokenizers.train_wordpiece(TEXTS, VOCABULARY), tmp_path / "four")
    with pytest.raises(StudyError, match=r"init_from\.model: the layers of a albert cannot be chosen one by one"):
        begun(tmp_path / "four", "albert", (0,))


def test_only_dropout_may_differ(four_layers):
    assert begun(four_layers[0], layers=(0, 1), hidden_dropout_prob=0.0).config.hidden_dropout_prob == 0.0
