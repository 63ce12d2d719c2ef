"""Every encoder family, as a checkpoint trained for another task: loaded, trained, asked and measured."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
import transformers
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.auto import modeling_auto as auto

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.evaluation import answers
from qa_tradeoffs.models import (
    checkpoints,
    counting,
    families,
    inputs,
    networks,
    packing,
    precisions,
    tokenizers,
    trial,
)
from qa_tradeoffs.models.dropout import dropout, set_dropout
from qa_tradeoffs.study.config import Model, Training
from tests.families import FAMILIES, PIECES, REFUSED, checkpoint_of, config_of, tokenizer_of, with_pieces_alone
from tests.models.conftest import local, sentence

pytestmark = pytest.mark.usefixtures("one_thread")
LIMITED = sorted(set(FAMILIES) - {"deberta", "deberta-v2", "modernbert", "funnel"})  # their positions are relative
RELATIVE = sorted(set(FAMILIES) - set(LIMITED))
PACKED = {
    "bert", "distilbert", "electra", "albert", "roberta", "xlm-roberta", "camembert", "ernie", "data2vec-text",
}  # fmt: skip
HEADS = {
    "AutoModel": auto.MODEL_MAPPING_NAMES,
    "AutoModelForMaskedLM": auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "AutoModelForPreTraining": auto.MODEL_FOR_PRETRAINING_MAPPING_NAMES,
    "AutoModelForSequenceClassification": auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "AutoModelForTokenClassification": auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a family to a checkpoint of it that predicts words, or else spans."""
    folder = tmp_path_factory.mktemp("pretrained")

    def of(family: str) -> Path:
        kind = "AutoModelForPreTraining" if family == "splinter" else "AutoModelForMaskedLM"
        return folder / family if (folder / family).exists() else checkpoint_of(family, folder / family, kind)

    return of


@pytest.fixture
def read(pretrained: Callable[[str], Path]) -> Callable[[str], tuple[Any, Any]]:
    """A function from a family to its network with a head drawn at random, and its tokenizer."""

    def of(family: str) -> tuple[Any, Any]:
        folder = pretrained(family)
        tokenizer = tokenizers.load(local(folder), folder, [])
        return networks.load_network(local(folder), folder, len(tokenizer), 0).eval(), tokenizer

    return of


def heads() -> list[tuple[str, str]]:
    """Every family under every head that transformers has for it, but Funnel without its decoder."""
    pairs = [(family, kind) for family in FAMILIES for kind, known in HEADS.items() if family in known]
    return [pair for pair in pairs if pair not in ONLY_AN_ENCODER]


ONLY_AN_ENCODER = [("funnel", "AutoModel"), ("funnel", "AutoModelForSequenceClassification")]


@pytest.mark.parametrize(("family", "kind"), heads())
def test_any_checkpoint_keeps_its_encoder_and_gets_a_head_for_start_and_end(family, kind, tmp_path):
    folder = checkpoint_of(family, tmp_path, kind, num_labels=3)
    network = networks.load_network(local(folder), folder, 1, 0)
    there = getattr(transformers, kind).from_pretrained(folder)
    assert network.config.num_labels == 2
    embeddings = network.get_input_embeddings().weight
    assert torch.equal(embeddings, there.get_input_embeddings().weight)
    assert families.head(network)
    with pytest.raises(StudyError, match="has no answer head"):
        checkpoints.load(folder)


def test_a_missing_decoder_is_not_a_head(tmp_path):
    folder = checkpoint_of("funnel", tmp_path, "AutoModelForSequenceClassification")
    with pytest.raises(StudyError, match=r"its weights lack funnel\.decoder\.layers\.0"):
        checkpoints.load(folder, needs_head=False)


@pytest.mark.parametrize("family", LIMITED)
def test_the_longest_row_is_the_longest_that_the_network_supports(family, read):
    network, _ = read(family)
    reads = inputs.of(network)
    assert reads.longest == 64  # by their configs 64 or 66
    network(**reads.full(torch.full((1, 64), 7)))
    with pytest.raises((IndexError, RuntimeError)):
        network(**reads.full(torch.full((1, 65), 7)))


@pytest.mark.parametrize("family", RELATIVE)
def test_relative_positions_have_no_longest_row(family, read):
    network, _ = read(family)
    reads = inputs.of(network)
    assert reads.longest is None
    assert network(**reads.full(torch.full((1, 300), 7))).start_logits.shape == (1, 300)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_set_everywhere_and_observed_correctly(family, read):
    network, _ = read(family)
    rows = inputs.of(network).full(torch.full((1, 64), 7))

    for probability in (0.0, 0.25):
        set_dropout(network, probability)
        with Drawn() as drawn:
            network.train()(**rows)
        assert drawn.rates == ({probability} if probability else set())
        assert dropout(network) == probability


class Drawn(TorchDispatchMode):
    """The probabilities of all masks drawn within the block."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: set[float] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten.bernoulli_.float:  # 1 where a value is kept
            self.rates.add(1 - args[1])
        return function(*args, **(kwargs or {}))


def test_the_configs_dropout_is_observed_without_changing_the_random_state(read):
    network, _ = read("bart")  # 0.1, but for attention
    torch.manual_seed(3)
    assert dropout(network) == 0.1
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
    assert not network.training


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"longformer"}))
def test_operations_are_counted_and_a_backward_pass_has_two_products_for_each(family):
    tokenizer = tokenizer_of(family)
    forward, backward = counting.flops(networks.from_config(config_of(family, tokenizer)), 1, 32)
    # Funnel's first layer has nothing to pass its gradient on to; poolers take no part in the loss.
    assert backward == pytest.approx(2 * forward, rel=0.1)


def test_operations_that_depend_on_values_are_not_counted(read):
    with pytest.raises(counting.UncountedError, match="LongformerForQuestionAnswering cannot be counted without data"):
        counting.flops(read("longformer")[0], 1, 32)


QUESTIONS = [
    Example(name, "", "Ada is in Rome, Bob in Paris.", f"Where is {name}?", (place,), (start,))
    for name, place, start in (("Ada", "Rome", 10), ("Bob", "Paris", 23))
]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_and_its_own_tokenizer_go_together(family, read):
    network, tokenizer = read(family)
    trial.try_out(network, tokenizer, "models.m")
    windows = features.build(QUESTIONS, tokenizer, 64, 8)
    rows = np.arange(len(windows.lengths))
    batch = inputs.of(network).batch(windows, rows, tokenizer.pad_token_id)
    assert ("token_type_ids" in batch) == (family not in WITHOUT_TYPES)
    assert network(**batch).end_logits.shape == batch["input_ids"].shape


WITHOUT_TYPES = {
    "distilbert", "roberta", "xlm-roberta", "camembert", "mpnet", "deberta", "deberta-v2", "modernbert",
    "data2vec-text", "longformer", "bart",
}  # fmt: skip


def scores(network: Any, tokenizer: Any, batch_tokens: int) -> Any:
    """The scores of questions about shorter and longer texts, in batches of this many tokens."""
    texts = [Example(f"{n}", "", "Ada is in Rome. " * n, "Where is Ada?", (), ()) for n in range(1, 5)]
    reading = answers.Reading(max_length=64, stride=8, batch_tokens=batch_tokens)
    engine = pytorch.Engine(network, tokenizer.pad_token_id, "cpu")
    return answers.answer(engine, tokenizer, [*QUESTIONS, *texts], reading).score


@pytest.mark.parametrize("family", ["fnet", "longformer", "big_bird", "nystromformer"])
def test_answers_do_not_depend_on_what_else_is_in_a_batch(family, read):
    """FNet mixes padding in, and BigBird would change its attention for good at the first short row."""
    network, tokenizer = read(family)
    np.testing.assert_allclose(scores(network, tokenizer, 10_000), scores(network, tokenizer, 1), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_are_packed_only_if_each_is_read_as_if_it_were_alone(family, read):
    network, _ = read(family)
    assert packing.possible(network) == (family in PACKED)
    if family in PACKED:
        splits, ids = [0, 6, 9, 40], torch.arange(40) % 7 + 10
        reads, types = inputs.of(network), torch.zeros(40, dtype=torch.int64)
        with torch.no_grad(), packing.apart(splits):
            packed = network(**reads.packed(ids, types, splits)).end_logits[0]
        for begin, stop in pairwise(splits):
            alone = network(**reads.full(ids[None, begin:stop])).end_logits[0]
            torch.testing.assert_close(packed[begin:stop], alone)


def test_funnel_runs_in_one_thread_since_it_stores_the_length_of_rows(read):
    network, tokenizer = read("funnel")
    alone = scores(network, tokenizer, 1)
    torch.set_num_threads(2)
    try:
        np.testing.assert_allclose(scores(network, tokenizer, 1), alone, atol=1e-5)
    finally:
        torch.set_num_threads(1)


def test_longformer_gives_the_question_global_attention_as_transformers_does(read):
    network, tokenizer = read("longformer")
    windows = features.build(QUESTIONS, tokenizer, 64, 8)
    batch = inputs.of(network).batch(windows, np.arange(2), tokenizer.pad_token_id)
    theirs = network(**{name: values for name, values in batch.items() if name != "global_attention_mask"})
    assert torch.equal(network(**batch).start_logits, theirs.start_logits)


def test_a_network_of_one_token_type_takes_the_tokenizer_of_another_with_two(tmp_path):
    """As the Korean RoBERTa of KLUE, which has BERT's tokenizer."""
    tokenizer = tokenizer_of("bert")
    config = config_of("roberta", tokenizer)
    transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    network = networks.load_network(local(tmp_path), tmp_path, len(tokenizer), 0)
    trial.try_out(network, tokenizers.load(local(tmp_path), tmp_path, []), "models.klue")
    assert inputs.of(network).longest == 65  # of 66, for padding is token 0


def test_more_token_types_than_the_network_has_are_refused(read):
    network, _ = read("bert")
    with pytest.raises(StudyError) as error:
        trial.try_out(network, tokenizer_of("funnel"), "models.m")
    assert sentence(error) == "models.m: its tokenizer writes 3 token types, but its network has 2"


def test_a_network_that_fails_on_a_question_is_refused_with_the_reason(read):
    network, tokenizer = read("bert")
    network.qa_outputs = nn.Linear(99, 2)
    with pytest.raises(
        StudyError, match=r"^models.m: its BertForQuestionAnswering cannot answer a question \(mat1 and"
    ):
        trial.try_out(network, tokenizer, "models.m")


@pytest.mark.parametrize(("tokens", "refused"), [(64, False), (65, True)])
def test_windows_of_any_split_are_refused_if_the_network_is_shorter(tokens, refused, read):
    network, tokenizer = read("roberta")  # a token for every byte, four special ones
    long = Example("long", "", "a" * (tokens - 4 - len("Who?")), "Who?", (), ())
    recipe = Training(max_length=100, stride=8)
    if not refused:
        trial.check_windows(network, tokenizer, [*QUESTIONS, long], recipe)
        return
    with pytest.raises(StudyError) as error:
        trial.check_windows(network, tokenizer, [*QUESTIONS, long], recipe)
    assert sentence(error) == (
        "training.max_length: windows of 65 tokens, but RobertaForQuestionAnswering takes at most 64; "
        "give a max_length up to that"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_an_architecture_of_any_family_is_built_for_a_vocabulary_of_ours(family):
    sizes = dict(FAMILIES[family][0])
    if family == "fnet":
        del sizes["num_attention_heads"]  # it has no attention
    texts = [text for example in QUESTIONS for text in (example.context, example.question)]
    spec = Model(label="tiny", architecture=family, config={**sizes, "vocab_size": 200})
    tokenizer = tokenizers.load(spec, None, texts)
    network = networks.load_network(spec, None, len(tokenizer), 0)
    trial.try_out(network, tokenizer, "models.tiny")
    padding = network.get_input_embeddings().padding_idx
    assert padding in (None, 1 if family == "mpnet" else tokenizer.pad_token_id)  # MPNet's is written in its code


@pytest.mark.parametrize("family", REFUSED)
def test_a_tokenizer_without_a_leading_special_token_is_refused_with_the_reason(family, tmp_path):
    tokenizer = tokenizer_of(family)  # GPT-2's has no padding token either, which is not the reason
    with pytest.raises(StudyError, match="does not encode a pair as special token, question, context"):
        features.build(QUESTIONS, tokenizer, 64, 8)
    folder = checkpoint_of(family, tmp_path)
    with pytest.raises(StudyError, match="does not encode a pair as special token, question, context"):
        tokenizers.load(local(folder), folder, [])


def test_a_classification_head_is_not_an_answer_head_though_its_shape_fits(tmp_path):
    folder = checkpoint_of("modernbert", tmp_path, "AutoModelForTokenClassification", num_labels=2)
    checkpoints.load(folder, needs_head=False)
    with pytest.raises(StudyError, match="has no answer head"):
        checkpoints.load(folder)


# In words and pieces, with blanks, and with a character that the model does not know.
SPOKEN = ["Ada lives in Rome", "Where  does Bob rain?", " livesCarla.", "Ada or Ω"]


@pytest.mark.parametrize("family", PIECES)
def test_a_sentencepiece_model_alone_is_a_tokenizer_with_the_pieces_and_offsets_that_it_says(family, tmp_path):
    folder = with_pieces_alone(family, checkpoint_of(family, tmp_path / family))
    tokenizer = tokenizers.load(local(folder), folder, [])
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / PIECES[family][0]))
    for text in SPOKEN:
        text = text.lower() if family == "albert" else text  # as ALBERT does without a setting
        assert tokenizer.tokenize(text) == model.encode(text, out_type=str)
    assert tokenizer.convert_ids_to_tokens(tokenizer(SPOKEN[3])["input_ids"]).count(tokenizer.unk_token) == 1
    found = tokenizer("Ada lives", return_offsets_mapping=True, add_special_tokens=False)
    for piece, (start, end) in zip(found.tokens(), found["offset_mapping"], strict=True):
        assert piece == "▁" or "Ada lives"[start:end].strip().lower() == piece.strip("▁").lower()
    network = networks.load_network(local(folder), folder, len(tokenizer), 0)
    trial.try_out(network, tokenizer, "models.x")
    checkpoints.save(network, tokenizer, tmp_path / "saved")
    again = tokenizers.load(local(tmp_path / "saved"), tmp_path / "saved", [])
    assert (tmp_path / "saved" / "tokenizer.json").is_file()
    assert again(SPOKEN, SPOKEN[::-1])["input_ids"] == tokenizer(SPOKEN, SPOKEN[::-1])["input_ids"]


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1", b"\x80\x02}q\x00."])
def test_a_file_that_is_not_a_sentencepiece_model_is_refused_by_name(tmp_path, content):
    folder = with_pieces_alone("albert", checkpoint_of("albert", tmp_path))
    (folder / "spiece.model").write_bytes(content)
    with pytest.raises(StudyError) as error:
        tokenizers.load(local(folder), folder, [])
    assert sentence(error).startswith(f"{folder}/spiece.model: ")


@pytest.mark.parametrize("table", [b"rubbish", b"\x08\0\0\0" + 8 * b"\xff" + b"abc"], ids=["unread", "panic"])
def test_a_sentencepiece_model_with_a_hostile_table_of_characters_is_refused(tmp_path, table):
    folder = with_pieces_alone("albert", checkpoint_of("albert", tmp_path))
    model = ModelProto.FromString((folder / "spiece.model").read_bytes())
    model.normalizer_spec.precompiled_charsmap = table
    (folder / "spiece.model").write_bytes(model.SerializeToString())
    with pytest.raises(StudyError) as error:
        tokenizers.load(local(folder), folder, [])
    assert sentence(error).startswith(f"{folder}: its tokenizer cannot be loaded (")


def test_a_sentencepiece_model_under_the_name_of_another_family_s_is_refused(tmp_path):
    folder = with_pieces_alone("albert", checkpoint_of("albert", tmp_path))
    (folder / "spiece.model").rename(folder / "spm.model")
    with pytest.raises(StudyError) as error:
        tokenizers.load(local(folder), folder, [])
    assert sentence(error) == (
        f"{folder}: has no vocabulary for its AlbertTokenizer; expected tokenizer.json or spiece.model"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_auto_is_fp32_for_the_one_family_that_cannot_compute_in_bf16(family, read, monkeypatch):
    monkeypatch.setattr(precisions, "native_bf16", lambda device_type: True)
    network, tokenizer = read(family)
    found = precisions.chosen("auto", torch.device("cpu"), network)
    assert found == ("fp32" if family == "deberta" else "bf16")
    assert not network.training
    trial.try_out(network, tokenizer, "models.m", found)


def test_asking_whether_a_network_computes_in_bf16_draws_no_random_numbers_and_leaves_it_in_training(read):
    network = read("bert")[0].train()
    state = torch.get_rng_state()
    assert precisions.computes_in_bf16(network)
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)


def test_requested_bf16_is_refused_with_advice_for_a_network_that_cannot_run_in_it(read):
    network, tokenizer = read("deberta")
    trial.try_out(network, tokenizer, "models.m")
    with pytest.raises(
        StudyError, match=r"cannot answer a question in bf16 .*; give it `training: \{precision: fp32\}`"
    ):
        trial.try_out(network, tokenizer, "models.m", "bf16")
