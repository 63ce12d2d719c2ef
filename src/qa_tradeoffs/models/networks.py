"""Build a question-answering model from a config, or load a checkpoint: safetensors and fast tokenizers only."""

import inspect
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoTokenizer

from qa_tradeoffs.core import hub
from qa_tradeoffs.core.documents import one_line, read_json, shown
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import enough_disk_for, is_file
from qa_tradeoffs.models import squeezebert
from qa_tradeoffs.study.config import Model

# In notebooks the library's bars and reports are floods; what is missing is checked here and said in a sentence.
transformers.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()

# Everything a checkpoint needs, and nothing that could hold code or pickles.
CHECKPOINT_FILES = ["*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*.json", "vocab.*",
                    "special_tokens_map.json", "added_tokens.json", "merges.txt"]  # fmt: skip
_MOST_LAYERS = 1000  # to build more takes for ever, before anything could notice that they do not fit the weights
_UNKNOWN = "𒀀"  # a cuneiform sign, which hardly any vocabulary has
_VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "vocab.json")


def configure(spec: Model, vocabulary_size: int | None = None) -> Any:
    """The transformers config of an ``architecture``; keys that it does not know are refused.

    ``vocabulary_size`` replaces the config's ``vocab_size`` limit by the size that the tokenizer really reached.
    """
    # Keys that every config has say how a model is run, not what it is.
    known = AutoConfig.for_model(spec.architecture).to_dict().keys() - transformers.PretrainedConfig().to_dict().keys()
    if unknown := spec.config.keys() - known:
        raise StudyError(
            f"models: config.{min(unknown)} is no key of a {spec.architecture}; they are {', '.join(sorted(known))}"
        )
    _check_layers(spec.config, "models: config.")
    settings = spec.config | ({} if vocabulary_size is None else {"vocab_size": vocabulary_size})
    try:
        return AutoConfig.for_model(spec.architecture, **settings)
    except Exception as error:  # the config classes raise types of their own for a wrong value
        raise StudyError(f"models: the config of this {spec.architecture} is not valid ({one_line(error)})") from None


def locate(spec: Model) -> Path | None:
    """The folder of the model's checkpoint, fetched from the Hub where needed; None for an ``architecture``."""
    if spec.architecture is not None:
        return None
    if spec.path is not None:
        check_checkpoint(spec.path)
        return spec.path
    folder = hub.fetch(str(spec.hub), str(spec.revision), CHECKPOINT_FILES)
    if not any(folder.glob("*.safetensors")):
        raise StudyError(
            f"models: {spec.hub} at {spec.revision} has no weights as safetensors, and pickles are never opened; the "
            "Hub's own conversion may be among its pull requests: give `revision: refs/pr/1`, or the number it has"
        )
    check_checkpoint(folder)
    return folder


def revision(spec: Model, folder: Path | None) -> str | None:
    """The commit hash that was really fetched: the Hub's cache names the snapshot's folder after it."""
    return folder.name if spec.hub is not None and folder is not None else None


def load_tokenizer(spec: Model, folder: Path | None, training_texts: Iterable[str]) -> Any:
    """The checkpoint's fast tokenizer; for an ``architecture`` a WordPiece vocabulary of ``training_texts``."""
    if folder is None:
        return train_wordpiece(training_texts, configure(spec).vocab_size)
    check_checkpoint(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer("Who?", _UNKNOWN)  # some faults show only where it is used
    except Exception as error:  # from_pretrained raises many types for a broken folder
        raise StudyError(f"{folder}: its tokenizer cannot be loaded ({one_line(error)})") from None
    if not tokenizer.is_fast:
        raise StudyError(f"{folder}: has a slow tokenizer, without character offsets; save it with a tokenizer.json")
    if tokenizer.pad_token_id is None:
        raise StudyError(f"{folder}: its tokenizer has no token to pad with; its settings must name a pad_token")
    # transformers makes do without: a vocabulary of five special tokens, in which every word is unknown.
    if not any((folder / name).is_file() for name in _VOCABULARY_FILES):
        raise StudyError(f"{folder}: has no tokenizer; expected one of {', '.join(_VOCABULARY_FILES)}")
    return tokenizer


def load_network(spec: Model, folder: Path | None, vocabulary_size: int, seed: int) -> Any:
    """The network in fp32 on the CPU; weights that no checkpoint brings are drawn with ``seed``."""
    torch.manual_seed(seed)
    if folder is None:
        network = from_config(configure(spec, vocabulary_size))
        return squeezebert.to_matmul(network) if spec.grouped_matmul else network
    network = from_checkpoint(folder, needs_head=spec.fine_tuned, grouped_matmul=spec.grouped_matmul)
    check_vocabulary(network, vocabulary_size, folder)
    return network


def check_vocabulary(network: Any, vocabulary_size: int, folder: Path) -> None:
    """Refuse a tokenizer that has tokens which the network does not know."""
    if network.config.vocab_size < vocabulary_size:
        raise StudyError(
            f"{folder}: its tokenizer has {vocabulary_size} tokens, but its network only {network.config.vocab_size}; "
            "they do not belong together"
        )


def from_config(config: Any) -> Any:
    """A question-answering network with random weights. Raises StudyError for sizes that do not go together."""
    try:
        return AutoModelForQuestionAnswering.from_config(config)
    except Exception as error:  # each layer raises its own types
        raise StudyError(f"models: no {config.model_type} can be built from this config ({one_line(error)})") from None


def from_checkpoint(folder: Path, *, needs_head: bool = True, grouped_matmul: bool = False) -> Any:
    """A question-answering network from a checked folder. Raises StudyError when weights are missing.

    ``needs_head``: the checkpoint must bring the answer head; otherwise a missing head is drawn at random.
    ``grouped_matmul``: a SqueezeBERT computes its convolutions as batched matrix products.
    """
    check_checkpoint(folder)
    try:
        network, loading = AutoModelForQuestionAnswering.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # from_pretrained raises many types for a broken folder
        raise StudyError(f"{folder}: cannot be loaded for question answering ({one_line(error)})") from None
    missing = sorted(loading["missing_keys"])
    encoder = [key for key in missing if not key.startswith("qa_outputs.")]
    if encoder:
        raise StudyError(
            f"{folder}: its weights lack {encoder[0]} and {len(encoder) - 1} more; is config.json another's?"
        )
    if missing and needs_head:
        raise StudyError(f"{folder}: has no answer head (qa_outputs); fine-tune it first, without `fine_tuned: true`")
    return squeezebert.to_matmul(network) if grouped_matmul else network


def check_checkpoint(folder: Path) -> None:
    """Refuse a folder that is no checkpoint, or one whose weights are only there as a pickle."""
    if not is_file(folder / "config.json"):
        raise StudyError(f"{folder}: is no checkpoint folder; expected config.json, tokenizer.json, model.safetensors")
    for name in ("config.json", "tokenizer_config.json"):
        if is_file(folder / name):
            _check_settings(folder / name)
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
    _check_layers(settings, f"{path}: ")
    for key in ("attn_implementation", "_attn_implementation", "transformers_weights"):
        # An attention named after a repository is compiled code; the weights' name could be that of a pickle.
        if settings.get(key) not in (None, "eager", "sdpa"):
            raise StudyError(
                f"{path}: {key}: is {shown(settings[key])}, but nothing is loaded that a file names; remove it"
            )


def _check_layers(settings: Mapping[str, Any], where: str) -> None:
    for key in ("num_hidden_layers", "n_layers"):
        layers = settings.get(key)
        if isinstance(layers, (int, float)) and not layers <= _MOST_LAYERS:
            raise StudyError(f"{where}{key}: is {shown(layers)}; networks here have at most {_MOST_LAYERS} layers")


def train_wordpiece(texts: Iterable[str], vocabulary_size: int) -> Any:
    """An uncased BERT tokenizer whose WordPiece vocabulary, of at most ``vocabulary_size``, comes from ``texts``.

    Equal texts give equal vocabularies. Raises StudyError when there is not even room for the single characters.
    """
    texts = list(texts)
    core = tokenizers.BertWordPieceTokenizer(lowercase=True)
    alphabet, continuations = _characters(core, set(texts))
    # The trainer numbers continuations in the order of a hash table and breaks ties between merges by these numbers:
    # each process would learn another vocabulary. Given as special tokens, they are numbered in our order.
    first = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *continuations]
    if (needed := len(first) + len(alphabet)) > vocabulary_size:
        raise StudyError(
            f"models: config.vocab_size is {vocabulary_size}, but the characters of these texts take {needed}; "
            "give it some times more"
        )
    core.train_from_iterator(
        texts, vocabulary_size, min_frequency=2, limit_alphabet=len(alphabet), initial_alphabet=alphabet,
        special_tokens=first, show_progress=False,
    )  # fmt: skip
    return transformers.BertTokenizerFast(vocab=core.get_vocab(), do_lower_case=True)


def _characters(core: Any, texts: set[str]) -> tuple[list[str], list[str]]:
    """The most frequent characters, at most a thousand, and as ##c those of them that stand inside a word."""
    words = Counter(
        word for text in texts for word, _ in core.pre_tokenizer.pre_tokenize_str(core.normalizer.normalize_str(text))
    )
    counts: Counter[str] = Counter()
    for word, count in words.items():
        counts.update({character: count * word.count(character) for character in set(word)})
    alphabet = sorted(counts, key=lambda character: (-counts[character], character))[:1000]
    inside = {character for word in words for character in word[1:]}
    return sorted(alphabet), [f"##{character}" for character in sorted(inside.intersection(alphabet))]


def accepted_inputs(network: Any) -> set[str]:
    """Names that the network's forward takes: DistilBERT, for one, knows no token types."""
    return set(inspect.signature(network.forward).parameters)


def set_dropout(network: Any, probability: float | None) -> None:
    """Every dropout of the network to one probability; None leaves what its config says."""
    for module in network.modules():
        if probability is not None and isinstance(module, torch.nn.Dropout):
            module.p = probability


def parameters(network: Any) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters())


def summary(network: Any) -> dict[str, str]:
    """What the network is, for a reader."""
    config = network.config
    return {
        "architecture": type(network).__name__,
        "layers × width": f"{config.num_hidden_layers} × {config.hidden_size}",
        "parameters": f"{parameters(network):,}",
        "vocabulary": f"{config.vocab_size:,}",
        "attention": attention(network),
    }


def attention(network: Any) -> str:
    """Which attention runs: 'sdpa' is fused, 'eager' is not; SqueezeBERT as published has only the latter."""
    return "sdpa" if squeezebert.is_matmul(network) else str(network.config._attn_implementation)


def save(network: Any, tokenizer: Any, folder: Path) -> None:
    """Write weights (safetensors), config and tokenizer; what was in the folder goes only when all is written.

    Raises StudyError when the disk is full.
    """
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
