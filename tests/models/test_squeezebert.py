"""The rewritten SqueezeBERT gives the same outputs and gradients from the same checkpoint."""

import copy
import weakref

import pytest
import torch
from pydantic import ValidationError
from torch.nn import Linear, Sequential
from transformers import BertConfig, BertForQuestionAnswering, SqueezeBertConfig, SqueezeBertForQuestionAnswering

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import networks, squeezebert
from qa_tradeoffs.models.squeezebert import convert
from qa_tradeoffs.study.config import Model
from tests.models.conftest import padded_batch

GROUPS = ["q_groups", "k_groups", "v_groups", "post_attention_groups", "intermediate_groups", "output_groups"]
# as published; ungrouped; all grouped; unlike groups in the feed-forward; groups that cut through heads
VARIANTS = [(4, 4, 4, 1, 4, 4), (1, 1, 1, 1, 1, 1), (2, 2, 2, 2, 2, 2), (4, 4, 4, 1, 4, 2), (8, 1, 8, 1, 2, 4)]


def stock(groups: tuple[int, ...] = VARIANTS[0], dropout: float = 0.0) -> SqueezeBertForQuestionAnswering:
    torch.manual_seed(0)
    config = SqueezeBertConfig(
        vocab_size=50,
        hidden_size=32,
        embedding_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.2,
        **dict(zip(GROUPS, groups, strict=True)),
    )
    return SqueezeBertForQuestionAnswering(config).eval()


@pytest.mark.parametrize("groups", VARIANTS)
def test_logits_and_gradients_are_the_same_on_a_padded_batch(groups):
    published = stock(groups)
    rewritten = squeezebert.to_matmul(copy.deepcopy(published))
    expected, found = published(**padded_batch()), rewritten(**padded_batch())
    torch.testing.assert_close(found.start_logits, expected.start_logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.end_logits, expected.end_logits, rtol=0, atol=1e-5)
    expected.loss.backward()
    found.loss.backward()
    for (name, wanted), (same_name, got) in zip(
        published.named_parameters(), rewritten.named_parameters(), strict=True
    ):
        assert name == same_name
        if wanted.grad is not None:
            torch.testing.assert_close(got.grad, wanted.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", VARIANTS)
@pytest.mark.parametrize("before", [lambda model: model, squeezebert.to_matmul])
def test_a_product_for_each_group_gives_the_same_logits(groups, before):
    published = stock(groups)
    separate = squeezebert.to_separate_products(before(copy.deepcopy(published)))
    expected, found = published(**padded_batch()), separate(**padded_batch())
    torch.testing.assert_close(found.start_logits, expected.start_logits, rtol=0, atol=1e-5)
    assert not [module for module in separate.transformer.encoder.modules() if isinstance(module, torch.nn.Conv1d)]
    assert sum(p.numel() for p in separate.parameters()) == sum(p.numel() for p in published.parameters())


def test_every_hidden_state_and_attention_score_is_the_same():
    published = stock()
    rewritten = squeezebert.to_matmul(copy.deepcopy(published))
    wanted = published(**padded_batch(), output_hidden_states=True, output_attentions=True)
    found = rewritten(**padded_batch(), output_hidden_states=True, output_attentions=True)
    assert len(found.hidden_states) == 3
    assert len(found.attentions) == 2
    torch.testing.assert_close(found.hidden_states, wanted.hidden_states, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.attentions, wanted.attentions, rtol=0, atol=1e-4)


def test_derivatives_agree_with_finite_differences_in_float64():
    encoder = squeezebert.to_matmul(stock().transformer.encoder).double()
    mask = torch.zeros(2, 1, 1, 5, dtype=torch.float64)
    mask[1, :, :, 3:] = torch.finfo(torch.float64).min
    states = torch.randn(2, 5, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: encoder(x, mask).last_hidden_state, states, fast_mode=True)


def test_dropout_moves_the_logits_as_much_as_in_the_published_model_and_as_the_seed_says():
    published = stock(dropout=0.2).train()
    rewritten = squeezebert.to_matmul(copy.deepcopy(published))
    batch = {name: values[:1].expand(400, *values.shape[1:]) for name, values in padded_batch().items()}

    def logits(model: torch.nn.Module, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        with torch.no_grad():
            return model(**batch).start_logits

    expected, found = logits(published, 5), logits(rewritten, 5)
    torch.testing.assert_close(found.std(dim=0), expected.std(dim=0), rtol=0.25, atol=0.02)
    assert torch.equal(logits(rewritten, 5), found)
    assert not torch.equal(logits(rewritten, 6), found)


def test_a_checkpoint_trained_rewritten_is_a_plain_squeezebert_checkpoint(tmp_path):
    stock().save_pretrained(tmp_path / "published")
    rewritten = squeezebert.to_matmul(SqueezeBertForQuestionAnswering.from_pretrained(tmp_path / "published")).train()
    optimizer = torch.optim.AdamW(rewritten.parameters(), lr=1e-2)
    rewritten(**padded_batch()).loss.backward()
    optimizer.step()
    rewritten.eval().save_pretrained(tmp_path / "trained")
    reloaded = SqueezeBertForQuestionAnswering.from_pretrained(tmp_path / "trained").eval()
    assert not squeezebert.is_matmul(reloaded)
    wanted, found = rewritten(**padded_batch()), reloaded(**padded_batch())
    torch.testing.assert_close(found.start_logits, wanted.start_logits, rtol=0, atol=1e-5)
    before = stock()(**padded_batch()).start_logits
    assert (found.start_logits - before).abs().max() > 1e-3  # the step did change something


def test_it_returns_the_model_and_says_whether_it_was_applied():
    model = stock()
    shapes = {name: values.shape for name, values in model.state_dict().items()}
    assert not squeezebert.is_matmul(model)
    assert squeezebert.to_matmul(model) is model
    assert squeezebert.is_matmul(model)
    assert {name: values.shape for name, values in model.state_dict().items()} == shapes
    assert squeezebert.to_matmul(model) is model  # applying it twice changes nothing more


def test_a_model_without_squeezebert_is_refused():
    config = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    with pytest.raises(StudyError, match="BertForQuestionAnswering has no SqueezeBERT encoder"):
        squeezebert.to_matmul(BertForQuestionAnswering(config))


def test_a_study_switches_it_on_for_the_same_weights():
    sizes = {"hidden_size": 16, "embedding_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4}
    spec = Model(label="x", architecture="squeezebert", config=sizes | {"intermediate_size": 16})
    published = networks.load_network(spec, None, 50, seed=0).eval()
    rewritten = networks.load_network(spec.model_copy(update={"grouped_matmul": True}), None, 50, seed=0).eval()
    assert (networks.attention(published), networks.attention(rewritten)) == ("eager", "sdpa")
    wanted, found = published(**padded_batch()), rewritten(**padded_batch())
    torch.testing.assert_close(found.start_logits, wanted.start_logits, rtol=0, atol=1e-5)


def test_a_study_cannot_switch_it_on_for_bert():
    with pytest.raises(ValidationError, match="rewrites SqueezeBERT's convolutions; a bert has none"):
        Model(label="x", architecture="bert", grouped_matmul=True)


def test_states_of_earlier_layers_are_kept_only_on_request(monkeypatch):
    inner, states, alive = squeezebert._add_and_norm, [], []

    def watched(*inputs):
        states.append(weakref.ref(state := inner(*inputs)))
        return state

    monkeypatch.setattr(squeezebert, "_add_and_norm", watched)
    encoder = squeezebert.to_matmul(stock().transformer.encoder)
    encoder.layers.append(copy.deepcopy(encoder.layers[0]))
    encoder.layers[-1].output.dropout.register_forward_hook(
        lambda *_: alive.append([state() is not None for state in states])
    )
    for asked in (False, True):
        states.clear()
        with torch.inference_mode():
            encoder(torch.randn(1, 5, 32), output_hidden_states=asked)
    # Of each layer the state after attention and its own; the last layer still needs those it was made of.
    assert alive == [[False, False, False, True, True], [False, True, False, True, True]]


class Doubled(Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Reversed(Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in reversed(self):
            x = module(x)
        return x


X = torch.tensor([[1.0, -2.0]])


def test_modules_are_replaced_wherever_they_are_by_others_of_the_same_parameters():
    shared = Linear(2, 2)
    network = Sequential(shared, Sequential(torch.nn.Tanh(), shared))
    wanted = 2 * shared(torch.tanh(2 * shared(X)))
    parameters = dict(network.named_parameters())
    state = torch.get_rng_state()
    assert convert(network, {Linear: Doubled}) is network
    assert torch.equal(torch.get_rng_state(), state)  # no weights are drawn
    assert torch.equal(network(X), wanted)
    assert network[0] is network[1][1]  # a module in two places is still one
    assert all(parameters[name] is parameter for name, parameter in network.named_parameters())
    assert type(shared) is Linear  # the old module is as it was


def test_a_replaced_module_inside_a_replaced_one_and_the_network_itself():
    network = Sequential(Linear(2, 2), Sequential(Linear(2, 2), torch.nn.Tanh())).eval()
    first, second = network[0], network[1][0]
    converted = convert(network, {Linear: Doubled, Sequential: Reversed})
    assert [type(module) for module in converted.modules()] == [Reversed, Doubled, Reversed, Doubled, torch.nn.Tanh]
    assert torch.equal(converted(X), 2 * first(2 * second(torch.tanh(X))))
    assert not any(module.training for module in converted.modules())
    assert type(network[0]) is Linear


def test_only_modules_of_exactly_the_class_are_replaced():
    network = Sequential(Doubled(2, 2))
    (module,) = network
    convert(network, {Linear: Reversed})
    assert network[0] is module
