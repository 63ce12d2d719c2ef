"""Tokenizers are read back unchanged, vocabularies depend on the texts only, and unusable ones are refused."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import tokenizers
from tests.models.conftest import TEXTS, VOCABULARY, local, sentence, tiny

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_saved_tokenizer_comes_back_with_the_same_ids(checkpoint):
    folder = checkpoint()
    before, after = tokenizers.train_wordpiece(TEXTS, VOCABULARY), tokenizers.load(local(folder), folder, [])
    assert before(TEXTS[0])["input_ids"] == after(TEXTS[0])["input_ids"]
    assert before.tokenize("THE CAT?") == ["the", "cat", "[UNK]"]


def test_a_slow_tokenizer_is_refused(checkpoint):
    folder = checkpoint(model_type="canine")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer"}')
    with pytest.raises(StudyError) as error:
        tokenizers.load(local(folder), folder, [])
    assert sentence(error).startswith(f"{folder}: its tokenizer is slow")


def test_a_checkpoint_without_a_vocabulary_is_refused(checkpoint):
    folder = checkpoint()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(StudyError, match=r" has no vocabulary for its \w+; expected tokenizer\.json or vocab\.txt$"):
        tokenizers.load(local(folder), folder, [])


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "The", "cat", "##s"]


@pytest.mark.parametrize(
    ("words", "settings", "pieces"),
    [
        (WORDS, None, ["The", "cat", "##s", "[UNK]"]),
        ([word for word in WORDS if word != "The"], None, ["the", "cat", "##s", "cat"]),
        (WORDS, {"do_lower_case": True}, ["the", "cat", "##s", "cat"]),
        (WORDS, {"model_max_length": 512}, ["The", "cat", "##s", "[UNK]"]),
    ],
    ids=["cased", "uncased", "uncased by its settings", "settings without a word on it"],
)
@pytest.mark.parametrize("architecture", ["bert", "squeezebert"])
def test_a_vocabulary_as_in_2020_gives_a_fast_tokenizer_with_its_capitals(
    checkpoint, architecture, words, settings, pieces
):
    folder = checkpoint(architecture)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "vocab.txt").write_text("\n".join(words))
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = tokenizers.load(local(folder), folder, [])
    found = tokenizer("The cats", "Cat", return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(found["input_ids"]) == ["[CLS]", *pieces[:3], "[SEP]", pieces[3], "[SEP]"]
    assert found["offset_mapping"] == [(0, 0), (0, 3), (4, 7), (7, 8), (0, 0), (0, 3), (0, 0)]


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
    with pytest.raises(StudyError, match=r"^models: config\.vocab_size is 23, .* 24;"):
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
