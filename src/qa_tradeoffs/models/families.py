"""What each family of networks needs in order to predict the start and end of an answer."""

from typing import Any

from torch.nn import Module

# Special tokens of vocabularies learnt here (tokenizers.train_wordpiece), under the keys of transformers' configs. In
# these vocabularies, ids in a family's defaults are words. RoBERTa, for example, counts positions from pad_token_id.
_PAD, _CLS, _SEP = 0, 2, 3
_TOKENS = {
    "pad_token_id": _PAD, "bos_token_id": _CLS, "cls_token_id": _CLS, "eos_token_id": _SEP, "sep_token_id": _SEP,
    "decoder_start_token_id": _SEP, "forced_eos_token_id": _SEP, "question_token_id": _SEP,
}  # fmt: skip

# Keys that a family's networks read although its config class does not list them; DeBERTa-v3 consists of these.
_MORE_KEYS = {
    "deberta-v2": {"position_buckets", "norm_rel_ebd", "share_att_key", "attention_head_size", "conv_kernel_size",
                   "conv_act", "conv_groups"},
    "modernbert": {"global_attn_every_n_layers"},
}  # fmt: skip


def keys(defaults: dict[str, Any], of_every: Any) -> set[str]:
    """The keys that a family's config accepts, without the keys ``of_every`` config, which say how a model is run."""
    return {*defaults, *_MORE_KEYS.get(defaults["model_type"], ())} - set(of_every)


def settle(config: Any) -> Any:
    """Turn any config into one of a question-answering network; returns ``config``, modified.

    Two outputs per token, for start and end. BigBird gets full attention: its sparse attention switches to full for
    good at the first row that is too short, so that answers would depend on the order of batches.
    """
    if config.num_labels != 2:
        config.num_labels = 2
    if getattr(config, "attention_type", None) == "block_sparse":
        config.attention_type = "original_full"
    return config


def special_tokens(defaults: dict[str, Any]) -> dict[str, int]:
    """The ids in our vocabulary of the special tokens that a family's config names."""
    return {key: value for key, value in _TOKENS.items() if defaults.get(key) is not None}


def head(network: Module) -> set[str]:
    """Names of the parameters above the encoder."""
    encoder = f"{network.base_model_prefix}."
    return {name for name, _ in network.named_parameters() if not name.startswith(encoder)}


def one_at_a_time(network: Any) -> bool:
    """Whether the network is not thread-safe: Funnel stores the length of the rows between its layers."""
    return getattr(getattr(network, "config", None), "model_type", None) == "funnel"
