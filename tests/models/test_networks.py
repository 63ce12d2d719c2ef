"""Networks are the true architectures, with the weights of their checkpoint or of their seed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import networks
from qa_tradeoffs.models.dropout import set_dropout
from tests.models.conftest import VOCABULARY, built, local, logits, sentence, tiny

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("architecture", "kind"), [("bert", "Bert"), ("distilbert", "DistilBert"), ("squeezebert", "SqueezeBert")]
)
def test_an_architecture_is_built_from_its_config_in_full_precision(architecture, kind):
    network = built(architecture)
    assert type(network).__name__ == f"{kind}ForQuestionAnswering"
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert network.qa_outputs.weight.shape == (2, 16)
    assert network.get_input_embeddings().weight.shape == (VOCABULARY, 16)


def test_the_size_of_the_vocabulary_is_what_the_tokenizer_reached():
    assert networks.load_network(tiny(), None, 50, 0).config.vocab_size == 50


def test_the_summary_says_what_the_network_is():
    facts = networks.summary(built("distilbert"))
    assert facts["layers × width"] == "1 × 16"
    assert facts["vocabulary"] == "60"
    assert facts["attention"] == "sdpa"
    assert networks.summary(built("squeezebert"))["attention"] == "eager"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_layers": 2}, "models: config.n_layers is not a key of bert; its keys are add_cross_attention, "),
        ({"dtype": "float16"}, "models: config.dtype is not a key of bert; its keys are "),
        ({"model_type": "gpt2"}, "models: config.model_type is not a key of bert; its keys are "),
        (
            {"hidden_size": "wide"},
            "models: the config of this bert is not valid (Validation error for field 'hidden_si",
        ),
        (
            {"num_hidden_layers": 10**12},
            "models: config.num_hidden_layers: is 1000000000000; networks here have at most",
        ),
        ({"hidden_size": 17}, "models: no bert can be built from this config (The hidden size (17) is not a multiple "),
        ({"num_attention_heads": 0}, "models: no bert can be built from this config ("),
        ({"hidden_act": "unheard-of"}, "models: no bert can be built from this config ('unheard-of')"),
    ],
)
def test_a_config_that_is_not_valid_is_refused(settings, said):
    with pytest.raises(StudyError) as error:
        networks.load_network(tiny(**settings), None, VOCABULARY, 0)
    assert sentence(error).startswith(said)


def test_the_seed_draws_the_weights():
    assert torch.equal(logits(built(seed=1)), logits(built(seed=1)))
    assert not torch.equal(logits(built(seed=1)), logits(built(seed=2)))


@pytest.fixture
def encoder(checkpoint: Callable[..., Path]) -> Path:
    """A checkpoint without an answer head, as pretraining leaves it."""
    folder = checkpoint()
    built().bert.save_pretrained(folder)
    return folder


def test_a_missing_head_is_drawn_with_the_seed(encoder):
    heads = [networks.load_network(local(encoder), encoder, VOCABULARY, seed).qa_outputs.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_the_encoder_below_a_drawn_head_is_the_published_one(encoder):
    network = networks.load_network(local(encoder), encoder, VOCABULARY, 5)
    expected = built().bert.state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in network.bert.state_dict().items())


def test_a_model_that_is_fine_tuned_already_must_bring_its_head(encoder):
    with pytest.raises(StudyError) as error:
        networks.load_network(local(encoder, fine_tuned=True), encoder, VOCABULARY, 0)
    assert sentence(error) == (
        f"{encoder}: has no answer head (qa_outputs); fine-tune it first, without `fine_tuned: true`"
    )


def test_a_tokenizer_with_more_tokens_than_the_network_is_refused(checkpoint):
    folder = checkpoint()
    with pytest.raises(StudyError, match="its tokenizer has 61 tokens, but its network only 60; they do not belong"):
        networks.load_network(local(folder), folder, 61, 0)


DROPOUTS = {
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "distilbert": ("dropout", "attention_dropout"),
    "squeezebert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
}


@pytest.mark.parametrize("architecture", DROPOUTS)
def test_the_recipes_dropout_reaches_every_dropout(architecture, network_of):
    network = network_of(architecture, **dict.fromkeys(DROPOUTS[architecture], 0.5)).train()
    ids = torch.arange(5, 25)[None]

    def varies() -> bool:
        return not torch.equal(network(input_ids=ids).start_logits, network(input_ids=ids).start_logits)

    set_dropout(network, None)
    assert varies()
    set_dropout(network, 0.0)
    assert not varies()
    set_dropout(network, 0.2)
    assert {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)} == {0.2}
