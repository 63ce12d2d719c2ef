"""Sizes by formula are those of the networks and windows that a run would build."""

import json
import re
from typing import Any

import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import features
from qa_tradeoffs.models import networks
from qa_tradeoffs.runs import sizes
from qa_tradeoffs.study import config

KNOWN = sizes.assumptions(ROOT / "studies" / "assumptions.yaml")


def built(architecture: str, **settings: Any) -> Any:
    spec = config.Model(label="x", architecture=architecture, config=settings)
    with torch.device("meta"):
        return networks.from_config(networks.configure(spec))


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("bert", {}),
        ("distilbert", {}),
        ("squeezebert", {}),
        (
            "bert",
            {
                "hidden_size": 64,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "intermediate_size": 100,
                "vocab_size": 999,
            },
        ),
        ("distilbert", {"dim": 48, "n_layers": 1, "hidden_dim": 96, "max_position_embeddings": 77}),
        (
            "squeezebert",
            {
                "hidden_size": 48,
                "embedding_size": 48,
                "intermediate_size": 96,
                "output_groups": 2,
                "type_vocab_size": 1,
            },
        ),
    ],
)
def test_parameters_by_formula_are_those_of_the_network(architecture, settings):
    found = sizes.from_config({"model_type": architecture, **settings})
    assert found.parameters == networks.parameters(built(architecture, **settings))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden_size": "wide"}, "config.hidden_size is 'wide'; a size is a whole number from 1 to 1,000,000,000"),
        ({"hidden_size": 0}, "config.hidden_size is 0; "),
        ({"hidden_size": -8}, "config.hidden_size is -8; "),
        ({"hidden_size": 10**400}, "config.hidden_size is 1000"),
        ({"num_hidden_layers": True}, "config.num_hidden_layers is True; "),
        ({"num_attention_heads": 2.5}, "config.num_attention_heads is 2.5; "),
        ({"vocab_size": [1]}, "config.vocab_size is [1]; "),
        ({"q_groups": 0}, "config.q_groups is 0; "),
        ({"model_type": ["bert"]}, "the size of a network of type '['bert']' is not known here"),
    ],
)
def test_a_size_that_can_be_none_is_refused(settings, said):
    with pytest.raises(StudyError, match=f"^models: {re.escape(said)}"):
        sizes.from_config({"model_type": "bert", **settings})


def test_a_checkpoint_s_folder_tells_its_size(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "distilbert", "dim": 48, "hidden_dim": 96}))
    found = sizes.network(config.Model(label="x", path=tmp_path), KNOWN)
    assert (found.shape.layers, found.shape.hidden, found.heads) == (6, 48, 12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "is no config of a checkpoint"),
        ("[]", "is no config of a"),
        ("no", "is not JSON"),
        ("[" * 10**5, "is not"),
    ],
)
def test_a_folder_without_a_config_is_one_sentence(tmp_path, text, said):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(StudyError, match=rf"config\.json: {said}"):
        sizes.network(config.Model(label="x", path=tmp_path), KNOWN)


def test_other_networks_of_bert_s_kind_are_counted_by_their_config_and_others_refused():
    of_berts_kind = {"num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2}
    assert sizes.from_config({"model_type": "electra", **of_berts_kind}).shape.layers == 2
    with pytest.raises(StudyError, match="type 'gpt2' is not known here"):
        sizes.from_config({"model_type": "gpt2", "n_layer": 2})


def test_a_checkpoint_of_the_hub_that_was_never_fetched_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *arguments, **named: None)
    with pytest.raises(StudyError, match="how large some/model is cannot be told before it is fetched"):
        sizes.network(config.Model(label="x", hub="some/model", revision="a" * 40), KNOWN)


@pytest.mark.parametrize(("length", "stride"), [(64, 16), (32, 8)])
def test_windows_are_counted_as_the_tokenizer_would_make_them(examples, tokenizer, length, stride):
    """Where every word is one token, the count is exact."""
    made = features.build(examples, tokenizer, length, stride)
    found = sizes.windows(examples, config.Training(max_length=length, stride=stride), tokens_per_word=1.0)
    assert found.windows == len(made.lengths)
    assert found.tokens == pytest.approx(made.lengths.mean())


def test_squad_s_windows_are_its_questions_times_the_windows_of_the_development_set():
    data = config.HubData(source="hub", name="rajpurkar/squad", revision="a" * 40, validation_limit=100)
    train, validation, _ = sizes.splits(data, config.Training(), KNOWN)
    assert train.windows == 89_369  # 87,599 × 1.0202
    assert validation.windows == 103
    # Full windows of 128 tokens that move on by 96, over texts of 176: one and a half of them.
    shorter = sizes.splits(data, config.Training(max_length=128, stride=32), KNOWN)[0]
    assert (shorter.windows, shorter.tokens) == (134_053, 128)


def test_an_unknown_data_set_of_the_hub_is_one_sentence():
    data = config.HubData(source="hub", name="some/set", revision="a" * 40)
    with pytest.raises(StudyError, match=r"data\.name: how large some/set is cannot be told before it is fetched"):
        sizes.splits(data, config.Training(), KNOWN)


def test_a_wrong_table_of_assumptions_is_one_sentence(tmp_path):
    (tmp_path / "a.yaml").write_text("datasets: {}\n")
    with pytest.raises(StudyError, match=r"a\.yaml: checkpoints: is missing"):
        sizes.assumptions(tmp_path / "a.yaml")
