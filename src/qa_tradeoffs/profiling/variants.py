"""Variants of SqueezeBERT that differ in one respect, and BERT of the same size, to find the cause of differences.

A variant is a copy of a network that shares its parameters. So weights are equal and in memory once, and nothing is
switched while the clock runs.
"""

import copy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Conv1d, functional
from transformers import AutoConfig
from transformers.models.squeezebert.modeling_squeezebert import SqueezeBertEncoder, SqueezeBertSelfAttention

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import networks as models
from qa_tradeoffs.models import precisions, squeezebert
from qa_tradeoffs.models.dropout import set_dropout
from qa_tradeoffs.models.fast_dropout import fast_masks
from qa_tradeoffs.models.squeezebert import convert
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.workloads import switched

_SQUEEZEBERT, _UNGROUPED, _BERT, _DISTILBERT = "SqueezeBERT", "SqueezeBERT without groups", "BERT", "DistilBERT"
_GROUPS = ("q_groups", "k_groups", "v_groups", "post_attention_groups", "intermediate_groups", "output_groups")
_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
          "max_position_embeddings", "type_vocab_size", "pad_token_id", "layer_norm_eps")  # fmt: skip


class ProductConv1d(Conv1d):
    """A convolution of kernel size 1 as one matrix product per group, in the convolution's own layout."""

    def forward(self, x: Tensor) -> Tensor:
        """x (b, C_in, L) → (b, C_out, L)."""
        assert self.bias is not None
        weight = self.weight.view(self.groups, self.out_channels // self.groups, -1)
        product = torch.matmul(weight, x.view(len(x), self.groups, -1, x.shape[-1]))  # (b, groups, C_out / groups, L)
        return product.flatten(1, 2) + self.bias[:, None]


class FusedAttention(SqueezeBertSelfAttention):  # type: ignore[misc]
    """The published attention, fused if torch can, so that scores are not stored; it returns no scores."""

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None, output_attentions: bool) -> dict[str, Any]:
        """hidden_states (b, C, L); attention_mask (b, 1, 1, L), added to the scores."""
        query, key, value = (
            # torch fuses attention only for contiguous rows, which takes a copy in this layout.
            self.transpose_for_scores(conv(hidden_states)).contiguous()  # (b, heads, L, C / heads)
            for conv in (self.query, self.key, self.value)
        )
        dropout = self.dropout.p if self.training else 0.0
        context = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, dropout_p=dropout
        )
        return {"context_layer": self.transpose_output(context)}


class EagerMatmulEncoder(squeezebert.MatmulEncoder):
    """The rewritten encoder with the published computation of attention."""

    def _mix(self, attention: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        weights: Tensor = attention.dropout(attention.softmax(squeezebert.attention_scores(query, key, mask)))
        return weights @ value


@dataclass(frozen=True)
class Variant:
    """One way to compute one of the ``networks``.

    ``change`` is applied to a copy of ``network``; ``around`` wraps its calls; ``precision`` replaces the run's.
    ``step``: the change from the previous variant of the waterfall. ``alone``: whether it is the only change.
    """

    name: str
    change: Callable[[Any], object] = lambda network: None
    network: str = _SQUEEZEBERT
    around: Callable[[Call], Call] = lambda call: call
    precision: str | None = None
    step: str | None = None
    alone: bool = False

    def of(self, originals: Mapping[str, Any], dropout: float) -> Any:
        """A new copy that shares its parameters with the original of ``networks``, with this dropout everywhere."""
        original = originals[self.network]
        variant = copy.deepcopy(original, {id(parameter): parameter for parameter in original.parameters()})
        set_dropout(variant, dropout)
        self.change(variant)
        return variant


_in_place = partial(convert, classes={Conv1d: ProductConv1d})
_channels_last = partial(convert, classes={SqueezeBertEncoder: EagerMatmulEncoder})
PUBLISHED = Variant("as published", step="as published")
CONTROL = Variant("as published, again")
REWRITTEN = Variant("rewritten", squeezebert.to_matmul, step="attention fused")
BERT = Variant("BERT", network=_BERT, step="BERT")
DISTILBERT = Variant("DistilBERT", network=_DISTILBERT)
EAGER_BERT = Variant("BERT, eager attention", lambda network: network.set_attn_implementation("eager"), _BERT)
# Each includes the changes of those before it.
WATERFALL = (
    PUBLISHED,
    Variant("matrix products", _in_place, step="convolutions as matrix products", alone=True),
    Variant("matrix products, channels last", _channels_last, step="channels in the last dimension"),
    REWRITTEN,
    Variant("rewritten, without groups", squeezebert.to_matmul, _UNGROUPED, step="no groups"),
    BERT,
)


def others(device: torch.device, precision: str, dropout: float) -> tuple[Variant, ...]:
    """Variants beyond the waterfall: single changes of the published network that are possible on this machine."""
    cuda = device.type == "cuda"
    fused = partial(convert, classes={SqueezeBertSelfAttention: FusedAttention})
    found = [EAGER_BERT, Variant("fused attention", fused, alone=True)]
    if dropout:
        found.append(Variant("no dropout", partial(set_dropout, probability=0.0), alone=True))
    if dropout and not cuda:  # on a GPU the device draws masks
        found += [
            Variant("fast dropout masks", around=fast_masks(), alone=True),
            Variant("rewritten, fast dropout masks", squeezebert.to_matmul, around=fast_masks()),
            Variant("BERT, fast dropout masks", network=_BERT, around=fast_masks()),
        ]
    if cuda:
        cudnn = torch.backends.cudnn
        found += [
            Variant("cuDNN off", around=switched(cudnn, enabled=False), alone=True),
            Variant("cuDNN benchmark", around=switched(cudnn, benchmark=True), alone=True),
        ]
    if precision != "bf16" and precisions.chosen("auto", device) == "bf16":
        found.append(Variant("bf16", precision="bf16", alone=True))
    if cuda and any(map(shutil.which, ("gcc", "clang"))):  # torch.compile needs a compiler
        found.append(Variant("torch.compile", lambda network: network.compile(), alone=True))
    return tuple(found)


def networks(network: Any, device: torch.device, seed: int) -> dict[str, Any]:
    """The variants' networks: ``network`` as published, copied, and random ones: without groups, BERT and DistilBERT.

    Raises StudyError if ``network`` is not a SqueezeBERT.
    """
    config = network.config
    if config.model_type != "squeezebert":
        raise StudyError(f"anomaly: {type(network).__name__} is not a SqueezeBERT; give a network of that type")
    published, ungrouped = copy.deepcopy(network), copy.deepcopy(config)
    convert(published, {squeezebert.MatmulEncoder: SqueezeBertEncoder})
    ungrouped.update(dict.fromkeys(_GROUPS, 1))
    bert = AutoConfig.for_model("bert", **{name: getattr(config, name) for name in _SIZES})
    distilbert = AutoConfig.for_model(
        "distilbert", vocab_size=config.vocab_size, dim=config.hidden_size, n_layers=config.num_hidden_layers // 2,
        n_heads=config.num_attention_heads, hidden_dim=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
    )  # fmt: skip
    torch.manual_seed(seed)
    drawn = {_UNGROUPED: ungrouped, _BERT: bert, _DISTILBERT: distilbert}
    found = {_SQUEEZEBERT: published} | {name: models.from_config(drawn[name]) for name in drawn}
    return {name: original.to(device) for name, original in found.items()}
