"""Question-answering networks: building them from a config or a checkpoint, and describing them."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForQuestionAnswering, PretrainedConfig

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import checkpoints, families, shallower, squeezebert
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.study.config import Model

# For these, the defaults of transformers' config classes are the published base models.
PUBLISHED = ("bert", "distilbert", "squeezebert")


def load_network(spec: Model, folder: Path | None, vocabulary_size: int, seed: int) -> Any:
    """The network in fp32 on the CPU; weights that no checkpoint provides are drawn with ``seed``.

    ``folder``: of the checkpoint that it starts from; with ``init_from``, from some of its layers. Raises StudyError.
    """
    torch.manual_seed(seed)
    if spec.init_from and folder is not None:
        source = checkpoints.load(folder, needs_head=False)
        network = from_config(shallower.configure(spec, source.config))
        shallower.fill(network, source, spec)
        checkpoints.check_vocabulary(network, vocabulary_size, folder)
        return squeezebert.to_matmul(network) if spec.grouped_matmul else network
    if folder is None:
        return from_config(configure(spec, vocabulary_size), spec.grouped_matmul)
    network = checkpoints.load(folder, needs_head=spec.fine_tuned, grouped_matmul=spec.grouped_matmul)
    checkpoints.check_vocabulary(network, vocabulary_size, folder)
    return network


@quiet()
def configure(spec: Model, vocabulary_size: int | None = None) -> Any:
    """The transformers config of an ``architecture``; unknown keys are refused.

    ``vocabulary_size`` replaces the config's ``vocab_size``, which is a limit, by the tokenizer's actual size.
    """
    defaults = AutoConfig.for_model(spec.architecture).to_dict()
    known = families.keys(defaults, PretrainedConfig().to_dict())
    if unknown := spec.config.keys() - known:
        raise StudyError(
            f"models: config.{min(unknown)} is not a key of {spec.architecture}; "
            f"its keys are {', '.join(sorted(known))}"
        )
    checkpoints.check_layers(spec.config, "models: config.")
    settings = spec.config | families.special_tokens(defaults)
    settings |= {} if vocabulary_size is None else {"vocab_size": vocabulary_size}
    try:
        return AutoConfig.for_model(spec.architecture, **settings)
    except Exception as error:  # config classes raise various types for a wrong value
        raise StudyError(f"models: the config of this {spec.architecture} is not valid ({one_line(error)})") from None


@quiet()
def from_config(config: Any, grouped_matmul: bool = False) -> Any:
    """A question-answering network with random weights. Raises StudyError for incompatible sizes."""
    try:
        network = AutoModelForQuestionAnswering.from_config(families.settle(config))
    except Exception as error:  # layers raise various types
        raise StudyError(f"models: no {config.model_type} can be built from this config ({one_line(error)})") from None
    return squeezebert.to_matmul(network) if grouped_matmul else network


def attention(network: Any) -> str:
    """The attention in use: 'sdpa' is fused, 'eager' is not; SqueezeBERT as published has only 'eager'."""
    return "sdpa" if squeezebert.is_matmul(network) else str(network.config._attn_implementation)


def summary(network: Any) -> dict[str, str]:
    """The network's key figures, for a reader."""
    config = network.config
    return {
        "architecture": type(network).__name__,
        "layers × width": f"{config.num_hidden_layers} × {config.hidden_size}",
        "parameters": f"{network.num_parameters():,}",
        "vocabulary": f"{config.vocab_size:,}",
        "attention": attention(network),
    }
