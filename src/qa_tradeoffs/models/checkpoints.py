"""Locating, checking, loading and saving checkpoints; weights are loaded from safetensors only."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForQuestionAnswering

from qa_tradeoffs.core import hub
from qa_tradeoffs.core.documents import one_line, quoted, read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import enough_disk_for, is_file
from qa_tradeoffs.models import families, squeezebert, weights
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.study.config import Model

# All files that a checkpoint needs, and none that could contain code or pickles.
FILES = ["*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*.json", "vocab.*",
         "special_tokens_map.json", "added_tokens.json", "merges.txt",
         "spm.model", "spiece.model", "sentencepiece*.model"]  # fmt: skip
_REAL = ("F16", "BF16", "F32", "F64")  # dtypes of weights, as safetensors names them
_LAYERS = (
    "num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers", "num_decoder_layers",
    "block_sizes",
)  # fmt: skip
_MOST_LAYERS = 1000  # building more would take forever before the weights could be compared


def locate(spec: Model) -> Path | None:
    """The folder of the model's checkpoint, fetched from the Hub if needed; None for an ``architecture``.

    Weights that exist as pickles only are converted now, before anything else is done. Raises StudyError.
    """
    if spec.architecture is not None:
        return None
    folder = spec.path or _fetch(str(spec.hub), str(spec.revision))
    check(folder)
    weights.conversions(folder)
    return folder


def _fetch(name: str, revision: str) -> Path:
    """The checkpoint from the Hub; its pickles are fetched only if it has no safetensors."""
    folder = hub.fetch(name, revision, FILES)
    if not weights.are_safetensors(folder):
        folder = hub.fetch(name, folder.name, [*FILES, *weights.PICKLES])
    if is_file(folder / "config.json") and not weights.are_there(folder):
        raise StudyError(f"models: {name} at {revision} has no weights for torch; expected {weights.EXPECTED}")
    return folder


def revision(spec: Model, folder: Path | None) -> str | None:
    """The commit hash that was fetched: the Hub's cache names the snapshot's folder after it."""
    return folder.name if spec.hub is not None and folder is not None else None


@quiet()
def load(folder: Path, *, needs_head: bool = True, grouped_matmul: bool = False) -> Any:
    """A question-answering network from a checked folder. Raises StudyError if weights are missing.

    ``needs_head``: the checkpoint must include the answer head; otherwise a head that is missing or was trained for
    another task is initialised at random.
    ``grouped_matmul``: a SqueezeBERT computes its convolutions as batched matrix products.
    """
    check(folder)
    try:
        with weights.as_safetensors(folder) as readable:
            config = families.settle(AutoConfig.from_pretrained(readable, trust_remote_code=False))
            network, loading = AutoModelForQuestionAnswering.from_pretrained(
                readable, config=config, use_safetensors=True, trust_remote_code=False, dtype=torch.float32,
                output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
            _check_dtypes(folder, readable, network)
    except StudyError:
        raise
    except Exception as error:  # from_pretrained raises many types for a broken folder
        raise StudyError(f"{folder}: cannot be loaded for question answering ({one_line(error)})") from None
    _check_weights(folder, network, loading, needs_head)
    return squeezebert.to_matmul(network) if grouped_matmul else network


def _check_weights(folder: Path, network: Any, loading: dict[str, Any], needs_head: bool) -> None:
    """Refuse missing weights and shapes that differ from the config's; the head is exempt unless it is needed."""
    head = families.head(network)
    drawn = head.intersection(loading["missing_keys"])
    for name, there, expected in sorted(loading["mismatched_keys"]):
        if name not in head:
            raise StudyError(
                f"{folder}: {name} is {tuple(there)} in its weights, but {tuple(expected)} by its config.json"
            )
        drawn.add(name)
    # The pooler of the first token does not contribute to answers.
    encoder = sorted(key for key in loading["missing_keys"] if key not in head and ".pooler." not in key)
    if encoder:
        others = f" and {len(encoder) - 1} more" if len(encoder) > 1 else ""
        raise StudyError(f"{folder}: its weights lack {encoder[0]}{others}; use the config.json they belong to")
    if needs_head and (drawn or _is_for_another_purpose(network.config)):
        names = sorted({name.partition(".")[0] for name in drawn or head})
        raise StudyError(
            f"{folder}: has no answer head ({', '.join(names)}); fine-tune it first, without `fine_tuned: true`"
        )


def _is_for_another_purpose(config: Any) -> bool:
    """Whether the config names a class that is not for question answering."""
    names = config.architectures or []
    return bool(names) and not any("QuestionAnswering" in str(name) for name in names)


def _check_dtypes(folder: Path, readable: Path, network: Any) -> None:
    """Refuse weights that are not floating-point numbers, which transformers would convert silently.

    ``readable``: the folder that has the weights of ``folder`` as safetensors.
    """
    prefix = f"{network.base_model_prefix}."
    names = {name.removeprefix(prefix) for name, _ in network.named_parameters()}
    for path in sorted(readable.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                dtype = file.get_slice(name).get_dtype()
                if name.removeprefix(prefix) in names and dtype not in _REAL:
                    raise StudyError(f"{folder}: {name} is {dtype} in its weights; expected one of {', '.join(_REAL)}")


def check_vocabulary(network: Any, vocabulary_size: int, folder: Path) -> None:
    """Refuse a tokenizer with more tokens than the network."""
    if network.config.vocab_size < vocabulary_size:
        raise StudyError(
            f"{folder}: its tokenizer has {vocabulary_size} tokens, but its network only {network.config.vocab_size}; "
            "they do not belong together"
        )


def check(folder: Path) -> None:
    """Refuse a folder that is not a checkpoint or has no weights that can be opened."""
    check_settings(folder)
    if not weights.are_there(folder):
        raise StudyError(f"{folder}: has no weights; expected {weights.EXPECTED}")


def check_settings(folder: Path) -> None:
    """Refuse a folder without a config and settings that would run code; the weights may still be missing."""
    if not folder.exists():
        raise StudyError(f"{folder}: there is no such folder; a model's `path` is relative to the study file")
    if not is_file(folder / "config.json"):
        raise StudyError(f"{folder}: is not a checkpoint; expected config.json, a tokenizer's files, and weights")
    for name in ("config.json", "tokenizer_config.json"):
        if is_file(folder / name):
            _check_file(folder / name)
    if is_file(folder / "adapter_config.json"):
        raise StudyError(f"{folder}: is an adapter without its base weights; merge it into them and save the result")


def _check_file(path: Path) -> None:
    """Refuse settings that would fetch and run code, or open weights that are not safetensors."""
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise StudyError(f"{path}: must be a mapping of keys, not {type(settings).__name__}")
    if "auto_map" in settings:
        raise StudyError(f"{path}: needs custom code (auto_map), but code from checkpoints is never run")
    check_layers(settings, f"{path}: ")
    for key in ("attn_implementation", "_attn_implementation", "transformers_weights"):
        # An attention implementation named after a repository is compiled code; a weights file could be a pickle.
        if settings.get(key) not in (None, "eager", "sdpa"):
            raise StudyError(
                f"{path}: {key}: is {quoted(settings[key])}, but settings must not name what to load; remove it"
            )


def check_layers(settings: Mapping[str, Any], where: str) -> None:
    """Refuse more layers than can reasonably be built; ``where`` begins the error message."""
    for key in _LAYERS:
        layers = settings.get(key)
        if isinstance(layers, list) and all(isinstance(part, int) for part in layers):
            layers = sum(layers)  # Funnel's, block by block
        if isinstance(layers, (int, float)) and not layers <= _MOST_LAYERS:
            raise StudyError(f"{where}{key}: is {quoted(layers)}; networks here have at most {_MOST_LAYERS} layers")


@quiet()
def save(network: Any, tokenizer: Any, folder: Path) -> None:
    """Write weights, config and tokenizer; the old content is removed once all is written. Raises StudyError."""
    unfinished, replaced = (folder.with_name(f".{folder.name}.{state}") for state in ("unfinished", "replaced"))
    for left_over in (unfinished, replaced):
        shutil.rmtree(left_over, ignore_errors=True)
    with enough_disk_for(folder):
        network.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    if folder.exists():
        folder.rename(replaced)  # the folder is never half written
    unfinished.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
