"""Networks are the true architectures, checkpoints come back as they were, and what is unsafe or broken is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import checkpoints, networks, tokenizers
from qa_tradeoffs.study.config import Model

SIZES = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "squeezebert": {
        "hidden_size": 16, "embedding_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32,
    },
}  # fmt: skip
VOCABULARY = 60
TEXTS = ["The cat sat on the mat.", "The dog sat on the cat."] * 2
IDS = torch.tensor([[2, 7, 3, 9, 11, 3]])

pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(architecture: str = "bert", **settings: Any) -> Model:
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": 32, **SIZES[architecture], **settings}
    return Model(label="tiny", architecture=architecture, config=sizes)


def built(architecture: str = "bert", seed: int = 0) -> Any:
    return networks.load_network(tiny(architecture), None, VOCABULARY, seed).eval()


def logits(network: Any) -> torch.Tensor:
    with torch.no_grad():
        output = network(input_ids=IDS)
    return torch.stack([output.start_logits, output.end_logits])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """A function that saves a tiny network of an architecture; ``change`` edits the folder afterwards."""

    def write(architecture: str = "bert", name: str = "checkpoint", **settings: Any) -> Path:
        folder = tmp_path / name
        checkpoints.save(built(architecture), tokenizers.train_wordpiece(TEXTS, VOCABULARY), folder)
        if settings:
            content = json.loads((folder / "config.json").read_text()) | settings
            (folder / "config.json").write_text(json.dumps(content))
        return folder

    return write


def local(folder: Path, **keys: Any) -> Model:
    return Model(label="local", path=folder, **keys)


def sentence(error: pytest.ExceptionInfo[StudyError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    # the published sizes of 110, 66 and 51 million, with an answer head of 2 × 769 and without a pooler
    [("bert", 108_893_186), ("distilbert", 66_364_418), ("squeezebert", 51_091_202)],
)
def test_an_architecture_without_settings_has_its_published_size(architecture, parameters):
    with torch.device("meta"):
        network = networks.load_network(Model(label="full", architecture=architecture), None, 30_522, 0)
    assert networks.parameters(network) == parameters


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("bert", "BertForQuestionAnswering"),
        ("distilbert", "DistilBertForQuestionAnswering"),
        ("squeezebert", "SqueezeBertForQuestionAnswering"),
    ],
)
def test_an_architecture_is_built_from_its_config_in_full_precision(architecture, kind):
    network = built(architecture)
    assert type(network).__name__ == kind
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


def test_only_some_architectures_take_token_types():
    assert "token_type_ids" in networks.accepted_inputs(built("bert"))
    assert "token_type_ids" not in networks.accepted_inputs(built("distilbert"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_layers": 2}, "models: config.n_layers is no key of a bert; they are add_cross_attention, "),
        ({"dtype": "float16"}, "models: config.dtype is no key of a bert; they are "),
        ({"model_type": "gpt2"}, "models: config.model_type is no key of a bert; they are "),
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


@pytest.mark.parametrize("architecture", SIZES)
def test_a_saved_network_comes_back_with_the_same_logits(checkpoint, architecture):
    folder = checkpoint(architecture)
    checkpoints.check(folder)
    assert torch.equal(logits(checkpoints.load(folder).eval()), logits(built(architecture)))


def test_a_saved_tokenizer_comes_back_with_the_same_ids(checkpoint):
    folder = checkpoint()
    before, after = tokenizers.train_wordpiece(TEXTS, VOCABULARY), tokenizers.load(local(folder), folder, [])
    assert before(TEXTS[0])["input_ids"] == after(TEXTS[0])["input_ids"]
    assert before.tokenize("THE CAT?") == ["the", "cat", "[UNK]"]


def test_only_safetensors_are_written(checkpoint):
    names = {path.name for path in checkpoint().iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_saving_leaves_nothing_of_what_was_in_the_folder_before(checkpoint, tmp_path):
    folder = checkpoint()
    (folder / "model-00001-of-00002.safetensors").touch()
    assert "model-00001-of-00002.safetensors" not in {path.name for path in checkpoint().iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_failure_to_save_leaves_the_old_checkpoint(checkpoint):
    class Broken:
        def save_pretrained(self, folder: Path) -> None:
            raise OSError("disk full")

    folder = checkpoint()
    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(built(seed=7), Broken(), folder)
    assert torch.equal(logits(checkpoints.load(folder).eval()), logits(built()))


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


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def rewritten(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pickled, ": has no weights as safetensors, and pickles are never opened; convert it where it comes from: "),
        (lambda folder: (folder / "config.json").unlink(), ": is no checkpoint folder; expected config.json, "),
        (rewritten("config.json", "{"), "/config.json: is not JSON ("),
        (rewritten("config.json", "[]"), "/config.json: must be a mapping of keys, not list"),
        (rewritten("config.json", '{"auto_map": {}}'), "/config.json: needs code of its own (auto_map), and code from"),
        (rewritten("config.json", '{"model_type": "vit"}'), ": cannot be loaded for question answering ("),
        (rewritten("model.safetensors", "none"), ": cannot be loaded for question answering ("),
    ],
)
def test_a_folder_that_is_no_safe_checkpoint_is_refused(checkpoint, change, said):
    folder = checkpoint()
    change(folder)
    with pytest.raises(StudyError) as error:
        checkpoints.load(folder)
    assert sentence(error).startswith(f"{folder}{said}")


def test_a_local_model_is_checked_as_it_is_located(checkpoint, tmp_path):
    folder = checkpoint()
    assert checkpoints.locate(local(folder)) == folder
    assert checkpoints.locate(tiny()) is None
    with pytest.raises(StudyError, match="absent: is no checkpoint folder"):
        checkpoints.locate(local(tmp_path / "absent"))


def test_weights_that_do_not_go_with_the_config_are_refused(checkpoint):
    folder = checkpoint(num_hidden_layers=3)  # a layer has 16 weights and biases
    with pytest.raises(StudyError) as error:
        checkpoints.load(folder)
    assert sentence(error) == (
        f"{folder}: its weights lack bert.encoder.layer.2.attention.output.LayerNorm.bias and 15 more; "
        "is config.json another's?"
    )


def test_a_tokenizer_with_more_tokens_than_the_network_is_refused(checkpoint):
    folder = checkpoint()
    with pytest.raises(StudyError, match="its tokenizer has 61 tokens, but its network only 60; they do not belong"):
        networks.load_network(local(folder), folder, 61, 0)


def test_a_slow_tokenizer_is_refused(checkpoint):
    folder = checkpoint(model_type="canine")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer"}')
    with pytest.raises(StudyError) as error:
        tokenizers.load(local(folder), folder, [])
    assert sentence(error) == (
        f"{folder}: has a slow tokenizer, without character offsets; save it with a tokenizer.json"
    )


def test_a_checkpoint_without_a_vocabulary_is_refused(checkpoint):
    folder = checkpoint()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(
        StudyError, match=r"has no tokenizer; expected one of tokenizer\.json, vocab\.txt, vocab\.json$"
    ):
        tokenizers.load(local(folder), folder, [])


def test_a_tokenizer_that_cannot_be_read_is_refused(checkpoint):
    folder = checkpoint()
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(StudyError, match=": its tokenizer cannot be loaded "):
        tokenizers.load(local(folder), folder, [])


def test_wordpiece_learns_frequent_words_and_falls_back_to_pieces():
    tokenizer = tokenizers.train_wordpiece(TEXTS, VOCABULARY)
    assert tokenizer.tokenize("The cat sat.") == ["the", "cat", "sat", "."]
    assert all(piece.startswith("##") for piece in tokenizer.tokenize("cato")[1:])
    assert tokenizer.convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_wordpiece_keeps_to_the_size_it_is_given():
    assert len(tokenizers.train_wordpiece(TEXTS, 30)) == 30
    # 5 special tokens, the 12 characters of "the cat sat on the mat . dog", and 7 of them inside a word: t h e a o n g
    with pytest.raises(
        StudyError, match=r"^models: config\.vocab_size is 23, but the characters of these texts take 24"
    ):
        tokenizers.train_wordpiece(TEXTS, 23)


def test_wordpiece_is_as_large_as_the_config_says():
    assert len(tokenizers.load(tiny(vocab_size=30), None, TEXTS)) == 30


def test_equal_texts_give_equal_vocabularies_in_every_process():
    program = """
from qa_tradeoffs.data import generated
from qa_tradeoffs.models import tokenizers
examples = generated.generate(60, 5, "train", 0)
vocabulary = tokenizers.train_wordpiece([text for e in examples for text in (e.context, e.question)], 400).get_vocab()
listed = sorted(vocabulary, key=vocabulary.get)
"""
    here: dict[str, Any] = {}
    exec(program, here)
    command = [sys.executable, "-c", program + "print(listed)"]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(here["listed"])
    assert len(here["listed"]) == 400


def test_only_a_checkpoint_of_the_hub_has_a_revision(tmp_path):
    assert checkpoints.revision(local(tmp_path), tmp_path) is None
    assert checkpoints.revision(tiny(), None) is None
