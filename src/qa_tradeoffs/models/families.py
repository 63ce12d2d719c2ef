"""What the families of networks need so that each can be asked for the two ends of an answer."""

from typing import Any

from torch.nn import Module

# The tokens of a vocabulary that is learnt here (tokenizers.train_wordpiece), under the keys of transformers' configs.
# Those of a family's own vocabulary would be words: a pad_token_id, for one, decides which position a token is given.
_PAD, _CLS, _SEP = 0, 2, 3
_TOKENS = {
    "pad_token_id": _PAD, "bos_token_id": _CLS, "cls_token_id": _CLS, "eos_token_id": _SEP, "sep_token_id": _SEP,
    "decoder_start_token_id": _SEP, "forced_eos_token_id": _SEP, "question_token_id": _SEP,
}  # fmt: skip

# Keys that a family's networks read, though its config class does not list them: DeBERTa-v3 is made of such.
_MORE_KEYS = {
    "deberta-v2": {"position_buckets", "norm_rel_ebd", "share_att_key", "attention_head_size", "conv_kernel_size",
                   "conv_act", "conv_groups"},
    "modernbert": {"global_attn_every_n_layers"},
}  # fmt: skip


def keys(defaults: dict[str, Any], of_every: Any) -> set[str]:
    """What a family's config may be given; not the keys ``of_every`` one, which say how a model is run."""
    return {*defaults, *_MORE_KEYS.get(defaults["model_type"], ())} - set(of_every)


def settle(config: Any) -> Any:
    """The config of a network that answers questions, whatever it was for before; returns ``config``, changed.

    Two values a token: where an answer begins and ends. BigBird with full attention: its sparse one turns into that for
    good at the first row that is too short for it, so that answers would depend on the order of batches.
    """
    if config.num_labels != 2:
        config.num_labels = 2
    if getattr(config, "attention_type", None) == "block_sparse":
        config.attention_type = "original_full"
    return config


def special_tokens(defaults: dict[str, Any]) -> dict[str, int]:
    """The ids of our vocabulary's special tokens, for those that a family's config names."""
    return {key: value for key, value in _TOKENS.items() if defaults.get(key) is not None}


def head(network: Module) -> set[str]:
    """Names of the parameters above the encoder."""
    encoder = f"{network.base_model_prefix}."
    return {name for name, _ in network.named_parameters() if not name.startswith(encoder)}


def one_at_a_time(network: Any) -> bool:
    """Whether two threads must not run the network at once: Funnel keeps the length of the rows between its layers."""
    return getattr(getattr(network, "config", None), "model_type", None) == "funnel"
