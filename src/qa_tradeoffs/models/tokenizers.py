"""Fast tokenizers: a checkpoint's own, or one with a WordPiece vocabulary learnt from texts."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers import BertWordPieceTokenizer
from transformers import AutoTokenizer, BertTokenizerFast

from qa_tradeoffs.core.documents import one_line, read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import is_file, read_bytes
from qa_tradeoffs.data import features
from qa_tradeoffs.models import checkpoints, networks
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.study.config import Model

_UNKNOWN = "𒀀"  # a cuneiform sign, which hardly any vocabulary has
_CAPITALISED = re.compile(rb"^(##)?[A-Z][a-z]+\r?$", re.MULTILINE)


@quiet()
def load(spec: Model, folder: Path | None, training_texts: Iterable[str]) -> Any:
    """The checkpoint's tokenizer; for an ``architecture``, one with a vocabulary of the texts. Raises StudyError."""
    if folder is None:
        return train_wordpiece(training_texts, networks.configure(spec).vocab_size)
    checkpoints.check(folder)
    _check_pieces(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **_case(folder))
        tokenizer("Who?", _UNKNOWN)  # some faults only show in use
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a broken folder raises many types; a panic in tokenizers is not even an Exception
        raise StudyError(f"{folder}: its tokenizer cannot be loaded ({one_line(error)})") from None
    if not tokenizer.is_fast:
        raise StudyError(f"{folder}: its tokenizer is slow, without character offsets; save it with a tokenizer.json")
    features.check_pair(tokenizer)
    if tokenizer.pad_token_id is None:
        raise StudyError(f"{folder}: its tokenizer has no padding token; its settings must name a pad_token")
    # If the file is missing, transformers makes a vocabulary of five special tokens, in which every word is unknown.
    names = ["tokenizer.json", *(name for key, name in tokenizer.vocab_files_names.items() if key == "vocab_file")]
    if not any(is_file(folder / name) for name in names):
        kind = type(tokenizer).__name__
        raise StudyError(f"{folder}: has no vocabulary for its {kind}; expected {' or '.join(names)}")
    return tokenizer


def _check_pieces(folder: Path) -> None:
    """Refuse a file that is not a SentencePiece model if transformers would build the tokenizer from it.

    transformers would mistake it for another kind of model and report what is missing for that.
    """
    for path in () if is_file(folder / "tokenizer.json") else folder.glob("*.model"):
        try:
            pieces = ModelProto.FromString(read_bytes(path)).pieces
        except DecodeError:
            pieces = []
        if not pieces:
            raise StudyError(f"{path}: is not a SentencePiece model; fetch it again")


def _case(folder: Path) -> dict[str, bool]:
    """Keep capitals if vocab.txt has capitalised words and no setting says otherwise; transformers would lower them.

    Checkpoints from before tokenizer.json often have the vocabulary only.
    """
    vocabulary, settings = folder / "vocab.txt", folder / "tokenizer_config.json"
    if is_file(folder / "tokenizer.json") or not is_file(vocabulary):
        return {}
    said = "do_lower_case" in read_json(settings) if is_file(settings) else False
    return {} if said or not _CAPITALISED.search(read_bytes(vocabulary)) else {"do_lower_case": False}


def train_wordpiece(texts: Iterable[str], vocabulary_size: int) -> Any:
    """An uncased BERT tokenizer whose WordPiece vocabulary, of at most ``vocabulary_size``, comes from ``texts``.

    Equal texts give equal vocabularies. Raises StudyError if the single characters alone do not fit.
    """
    texts = list(texts)
    core = BertWordPieceTokenizer(lowercase=True)
    alphabet, continuations = _characters(core, set(texts))
    # The trainer numbers continuations in hash-table order and breaks ties between merges by number, so that each
    # process would learn another vocabulary. Passed as special tokens, they are numbered in our order.
    first = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *continuations]
    if (needed := len(first) + len(alphabet)) > vocabulary_size:
        raise StudyError(
            f"models: config.vocab_size is {vocabulary_size}, but the characters of these texts alone need {needed}; "
            "give several times that"
        )
    core.train_from_iterator(
        texts, vocabulary_size, min_frequency=2, limit_alphabet=len(alphabet), initial_alphabet=alphabet,
        special_tokens=first, show_progress=False,
    )  # fmt: skip
    return BertTokenizerFast(vocab=core.get_vocab(), do_lower_case=True)


def _characters(core: Any, texts: set[str]) -> tuple[list[str], list[str]]:
    """The most frequent characters, at most a thousand, and, as ##c, those of them that occur inside a word."""
    words = [
        word for text in texts for word, _ in core.pre_tokenizer.pre_tokenize_str(core.normalizer.normalize_str(text))
    ]
    counts = Counter("".join(words))
    alphabet = sorted(counts, key=lambda character: (-counts[character], character))[:1000]
    inside = set("".join(word[1:] for word in words))
    return sorted(alphabet), [f"##{character}" for character in sorted(inside.intersection(alphabet))]
