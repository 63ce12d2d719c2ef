"""How large a study's networks and texts are, from files and a table of assumptions: nothing is fetched or built."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from qa_tradeoffs.core.documents import Section, read_json, read_yaml, shown
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.study.config import Data, GeneratedData, HubData, Model, Training, first_problem

Architecture = Literal["bert", "distilbert", "squeezebert"]


class Texts(Section):
    """Questions of a data set of the Hub, and the windows of at most ``max_length`` tokens that they make."""

    train_questions: int = Field(gt=0)
    validation_questions: int = Field(gt=0)
    windows_per_question: float = Field(ge=1)
    tokens_per_window: float = Field(gt=0)
    max_length: int = Field(gt=0)
    source: str


class Figure(Section):
    """One figure and where it is from."""

    value: float = Field(gt=0)
    source: str


class Assumptions(Section):
    """What is taken to be so where nothing was measured yet."""

    datasets: dict[str, Texts]
    checkpoints: dict[str, Architecture]
    tokens_per_word: Figure
    seconds_per_notebook: Figure


@dataclass(frozen=True)
class Network:
    """A network's matrix products, attention heads and number of parameters, by formula."""

    architecture: str
    shape: flops.Shape
    heads: int
    parameters: int


@dataclass(frozen=True)
class Split:
    """The windows of one split and their mean length in tokens."""

    windows: int
    tokens: float


def assumptions(path: Path) -> Assumptions:
    """The table of assumptions. Raises StudyError."""
    try:
        return Assumptions.model_validate(read_yaml(path))
    except ValidationError as error:
        raise StudyError(f"{path}: {first_problem(error, Assumptions)}") from None


def network(spec: Model, known: Assumptions) -> Network:
    """The size of a study's model. Raises StudyError where only fetching the checkpoint could tell it."""
    if spec.architecture:
        return from_config({"model_type": spec.architecture, **spec.config})
    if spec.path:
        return from_config(_json(spec.path / "config.json"))
    if spec.hub in known.checkpoints:
        return from_config({"model_type": known.checkpoints[spec.hub]})
    import huggingface_hub

    cached = huggingface_hub.try_to_load_from_cache(str(spec.hub), "config.json", revision=spec.revision)
    if not isinstance(cached, str):
        raise StudyError(
            f"models: how large {spec.hub} is cannot be told before it is fetched; add it to `checkpoints` of "
            "studies/assumptions.yaml, or fetch it with `hf download`"
        )
    return from_config(_json(Path(cached)))


def is_here(spec: Model) -> bool:
    """Whether the model's weights need not be fetched from the Hub any more."""
    if spec.hub is None:
        return True
    import huggingface_hub

    return isinstance(
        huggingface_hub.try_to_load_from_cache(spec.hub, "model.safetensors", revision=spec.revision), str
    )


def from_config(config: Mapping[str, Any]) -> Network:
    """The size that a checkpoint's config describes; what it does not say is as in the published BERT-like networks.

    Networks of other kinds than the three are counted as BERT's layers. Raises StudyError where they have none.
    """
    kind = str(config["model_type"])
    names, default = _KEYS.get(kind, _KEYS["bert"]), _DEFAULTS.get(kind)
    if default is None and not set(names.values()) <= config.keys():
        raise StudyError(f"models: the size of a network of type '{kind}' is not known here; it is none of BERT's kind")
    parts = {part: key for part, key in names.items() if part != "heads"} | _GROUPS
    given = {part: _size(config, key, 1) for part, key in parts.items() if key in config}
    shape = replace(default or flops.BERT_BASE, **given)  # type: ignore[arg-type]  # none of the keys is the pooler's
    types = 0 if kind == "distilbert" else _size(config, "type_vocab_size", 2)
    rows = _size(config, "vocab_size", 30_522) + _size(config, "max_position_embeddings", 512) + types
    return Network(kind, shape, _size(config, names["heads"], 12), flops.parameters(shape, rows))


def splits(source: Data, recipe: Training, known: Assumptions) -> tuple[Split, Split, str]:
    """Windows of training and validation, and how they are known. Raises StudyError for a data set that is not."""
    if isinstance(source, HubData):
        return _of_hub(source, recipe, known)
    found = sources.load(source)
    per_word = 1.0 if isinstance(source, GeneratedData) else known.tokens_per_word.value
    train, validation = (windows(part, recipe, per_word) for part in (found.train, found.validation))
    return train, validation, f"the study's texts, at {per_word:g} tokens a word"


def windows(examples: Sequence[Example], recipe: Training, tokens_per_word: float) -> Split:
    """The windows that ``features.build`` would make, from counts of words instead of tokens."""
    if not examples:
        return Split(0, 0.0)
    context, question = (
        np.array([_words(text) for text in texts]) * tokens_per_word
        for texts in ([e.context for e in examples], [e.question for e in examples])
    )
    beside = question + 3  # [CLS] question [SEP] context [SEP]
    room = recipe.max_length - beside
    step = np.maximum(room - recipe.stride, 1)
    count = 1 + np.maximum(0, np.ceil((context - room) / step))
    tokens = context + count * beside + (count - 1) * recipe.stride
    return Split(int(count.sum()), float(tokens.sum() / count.sum()))


def _size(config: Mapping[str, Any], key: str, default: int) -> int:
    """The size that the config gives, or the default. Raises StudyError for what can be none."""
    value = config.get(key, default)
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise StudyError(f"models: config.{key} is {shown(value)}; a size is a whole number from 1 to {_LARGEST:,}")
    return value


def _of_hub(source: HubData, recipe: Training, known: Assumptions) -> tuple[Split, Split, str]:
    if source.name not in known.datasets:
        raise StudyError(
            f"data.name: how large {source.name} is cannot be told before it is fetched; add it to `datasets` of "
            "studies/assumptions.yaml"
        )
    texts = known.datasets[source.name]
    sides = (
        (texts.train_questions, source.train_limit),
        (texts.validation_questions, source.validation_limit),
    )
    tokens, longest = texts.tokens_per_window, recipe.max_length
    # Shorter windows are full ones, and as many as it takes to move over the text by all but the stride.
    more = (tokens - recipe.stride) / (longest - recipe.stride) if longest < texts.max_length else 1
    per_question = texts.windows_per_question * max(1, more)
    train, validation = (
        Split(math.ceil(min(count, limit or count) * per_question), min(tokens, longest)) for count, limit in sides
    )
    return train, validation, f"{source.name} as in studies/assumptions.yaml"


@cache
def _words(text: str) -> int:
    """Words and punctuation marks, the units that BERT's tokenizer splits further."""
    return len(_WORD.findall(text))


def _json(path: Path) -> Any:
    content = read_json(path)
    if not isinstance(content, dict) or "model_type" not in content:
        raise StudyError(f"{path}: is no config of a checkpoint; expected a mapping with the key model_type")
    return content


_LARGEST = 10**9
_WORD = re.compile(r"\w+|[^\w\s]")
_BERT_KEYS = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "intermediate": "intermediate_size",
    "heads": "num_attention_heads",
}
_GROUPS = {
    "attention_groups": "q_groups",
    "post_attention_groups": "post_attention_groups",
    "intermediate_groups": "intermediate_groups",
    "output_groups": "output_groups",
}
_KEYS = {
    "bert": _BERT_KEYS,
    "squeezebert": _BERT_KEYS,
    "distilbert": {"layers": "n_layers", "hidden": "dim", "intermediate": "hidden_dim", "heads": "n_heads"},
}
_DEFAULTS = {"bert": flops.BERT_BASE, "distilbert": flops.DISTILBERT_BASE, "squeezebert": flops.SQUEEZEBERT}
