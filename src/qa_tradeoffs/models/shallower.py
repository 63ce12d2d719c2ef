"""A shallower network initialised from chosen layers of another model's checkpoint, as DistilBERT was from BERT.

Embeddings, widths and vocabulary are the checkpoint's as well. The answer head is initialised at random.
"""

import copy
import re
from typing import Any

import torch
from transformers import AutoConfig

from qa_tradeoffs.core.documents import quoted
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import families, layers
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.study.config import Model

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
# DistilBERT's names for BERT's settings and parameters. It has no token types: their embeddings are dropped, as in the
# original (Sanh et al. 2019, arXiv 1910.01108, section 3).
_SETTINGS = {
    "dim": "hidden_size", "n_heads": "num_attention_heads", "hidden_dim": "intermediate_size",
    "activation": "hidden_act", "dropout": "hidden_dropout_prob", "attention_dropout": "attention_probs_dropout_prob",
    "vocab_size": "vocab_size", "max_position_embeddings": "max_position_embeddings", "pad_token_id": "pad_token_id",
    "initializer_range": "initializer_range",
}  # fmt: skip
_PARAMETERS = {
    "bert.": "distilbert.", "encoder.": "transformer.", "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin", "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin", "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1", "output.dense": "ffn.lin2", "output.LayerNorm": "output_layer_norm",
}  # fmt: skip


@quiet()
def configure(spec: Model, source: Any) -> Any:
    """The config of the network that takes its layers from one with the config ``source``. Raises StudyError."""
    assert spec.init_from is not None
    chosen, kind, of = spec.init_from.layers, spec.architecture, source.model_type
    if kind == of:
        config = copy.deepcopy(source)
    elif (kind, of) == ("distilbert", "bert"):
        config = AutoConfig.for_model(kind, **{ours: getattr(source, theirs) for ours, theirs in _SETTINGS.items()})
    else:
        raise StudyError(f"models: init_from.model: layers of {of} do not fit {kind}; give `architecture: {of}`")
    if (last := max(chosen)) >= (there := source.num_hidden_layers):
        raise StudyError(
            f"models: init_from.layers: {spec.init_from.model} has no layer {last}, only {there}, counted from 0"
        )
    config.num_hidden_layers = len(chosen)
    for key, value in spec.config.items():
        made = getattr(config, key, None)
        if made is None or (made != value and "dropout" not in key):
            raise StudyError(f"models: config.{key}: is {quoted(value)}, but init_from makes it {made}; leave it out")
        setattr(config, key, value)
    return config


def fill(network: Any, source: Any, spec: Model) -> None:
    """Copy the chosen layers, and all but layers and head, from ``source`` to ``network``. Raises StudyError."""
    assert spec.init_from is not None
    chosen, kinds = spec.init_from.layers, (source.config.model_type, network.config.model_type)
    if [layers.levels(one)[1] for one in (source, network)] != [source.config.num_hidden_layers, len(chosen)]:
        raise StudyError(f"models: init_from.model: the layers of a {kinds[0]} cannot be chosen one by one")
    head, own = families.head(source), dict(network.named_parameters())
    copied = set[str]()
    with torch.no_grad():
        for name, weight in source.named_parameters():
            number = _NUMBER.search(name)
            if name in head or (number and int(number[0]) not in chosen):
                continue
            to = name if number is None else _NUMBER.sub(str(chosen.index(int(number[0]))), name, count=1)
            if kinds[0] != kinds[1]:
                for theirs, ours in _PARAMETERS.items():
                    to = to.replace(theirs, ours)
            if to in own:
                own[to].copy_(weight)
                copied.add(to)
    assert copied == own.keys() - families.head(network), "a parameter has no counterpart"
