"""Checkpoints: where one is, whether it is safe to open, loading and saving it; safetensors only, never a pickle."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForQuestionAnswering

from qa_tradeoffs.core import hub
from qa_tradeoffs.core.documents import one_line, quoted, read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import enough_disk_for, is_file
from qa_tradeoffs.models import squeezebert
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.study.config import Model

# Everything a checkpoint needs, and nothing that could hold code or pickles.
FILES = ["*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*.json", "vocab.*",
         "special_tokens_map.json", "added_tokens.json", "merges.txt"]  # fmt: skip
_MOST_LAYERS = 1000  # to build more takes for ever, before anything could notice that they do not fit the weights


def locate(spec: Model) -> Path | None:
    """The folder of the model's checkpoint, fetched from the Hub where needed; None for an ``architecture``."""
    if spec.architecture is not None:
        return None
    folder = spec.path or hub.fetch(str(spec.hub), str(spec.revision), FILES)
    if spec.hub and not any(folder.glob("*.safetensors")):
        raise StudyError(
            f"models: {spec.hub} at {spec.revision} has no weights as safetensors, and pickles are never opened; the "
            "Hub's own conversion may be among its pull requests: give `revision: refs/pr/1`, or the number it has"
        )
    check(folder)
    return folder


def revision(spec: Model, folder: Path | None) -> str | None:
    """The commit hash that was really fetched: the Hub's cache names the snapshot's folder after it."""
    return folder.name if spec.hub is not None and folder is not None else None


@quiet()
def load(folder: Path, *, needs_head: bool = True, grouped_matmul: bool = False) -> Any:
    """A question-answering network from a checked folder. Raises StudyError when weights are missing.

    ``needs_head``: the checkpoint must bring the answer head; otherwise a missing head is drawn at random.
    ``grouped_matmul``: a SqueezeBERT computes its convolutions as batched matrix products.
    """
    check(folder)
    try:
        network, loading = AutoModelForQuestionAnswering.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # from_pretrained raises many types for a broken folder
        raise StudyError(f"{folder}: cannot be loaded for question answering ({one_line(error)})") from None
    missing = loading["missing_keys"]
    if encoder := sorted(key for key in missing if not key.startswith("qa_outputs.")):
        raise StudyError(
            f"{folder}: its weights lack {encoder[0]} and {len(encoder) - 1} more; is config.json another's?"
        )
    if missing and needs_head:
        raise StudyError(f"{folder}: has no answer head (qa_outputs); fine-tune it first, without `fine_tuned: true`")
    return squeezebert.to_matmul(network) if grouped_matmul else network


def check_vocabulary(network: Any, vocabulary_size: int, folder: Path) -> None:
    """Refuse a tokenizer that has tokens which the network does not know."""
    if network.config.vocab_size < vocabulary_size:
        raise StudyError(
            f"{folder}: its tokenizer has {vocabulary_size} tokens, but its network only {network.config.vocab_size}; "
            "they do not belong together"
        )


def check(folder: Path) -> None:
    """Refuse a folder that is no checkpoint, or one whose weights are only there as a pickle."""
    if not is_file(folder / "config.json"):
        raise StudyError(f"{folder}: is no checkpoint folder; expected config.json, tokenizer.json, model.safetensors")
    _check_settings(folder / "config.json")
    if is_file(folder / "tokenizer_config.json"):
        _check_settings(folder / "tokenizer_config.json")
    if is_file(folder / "adapter_config.json"):
        raise StudyError(f"{folder}: is an adapter, without the weights it is for; merge it into them and save both")
    if not any(folder.glob("*.safetensors")):
        raise StudyError(
            f"{folder}: has no weights as safetensors, and pickles are never opened; convert it where it comes from: "
            "AutoModel.from_pretrained(...).save_pretrained(...) of transformers 5 writes safetensors"
        )


def _check_settings(path: Path) -> None:
    """Refuse settings that would have code fetched and run, or weights opened that are no safetensors."""
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise StudyError(f"{path}: must be a mapping of keys, not {type(settings).__name__}")
    if "auto_map" in settings:
        raise StudyError(f"{path}: needs code of its own (auto_map), and code from checkpoints is never run")
    check_layers(settings, f"{path}: ")
    for key in ("attn_implementation", "_attn_implementation", "transformers_weights"):
        # An attention named after a repository is compiled code; the weights' name could be that of a pickle.
        if settings.get(key) not in (None, "eager", "sdpa"):
            raise StudyError(
                f"{path}: {key}: is {quoted(settings[key])}, but nothing is loaded that a file names; remove it"
            )


def check_layers(settings: Mapping[str, Any], where: str) -> None:
    """Refuse more layers than could ever be built; ``where`` they are asked for begins the sentence."""
    for key in ("num_hidden_layers", "n_layers"):
        layers = settings.get(key)
        if isinstance(layers, (int, float)) and not layers <= _MOST_LAYERS:
            raise StudyError(f"{where}{key}: is {quoted(layers)}; networks here have at most {_MOST_LAYERS} layers")


@quiet()
def save(network: Any, tokenizer: Any, folder: Path) -> None:
    """Write weights, config and tokenizer; what was in the folder goes only when all is written. Raises StudyError."""
    unfinished, replaced = (folder.with_name(f".{folder.name}.{state}") for state in ("unfinished", "replaced"))
    for left_over in (unfinished, replaced):
        shutil.rmtree(left_over, ignore_errors=True)
    with enough_disk_for(folder):
        network.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    if folder.exists():
        folder.rename(replaced)  # at no moment is half a folder there
    unfinished.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
