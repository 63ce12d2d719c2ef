"""SqueezeBERT with its grouped convolutions as batched matrix products: same weights, same outputs, less time.

SqueezeBERT's layers are convolutions of kernel size 1, most of them grouped, over (batch, channels, length). Such a
convolution is a matrix product per group, but libraries run it as a convolution, whose backward pass is the costliest
operation of a training step. Here the same parameters are used in (batch, length, channels) layout, as one batched
matrix product over the groups, and attention is fused where possible.

``to_matmul`` changes how the encoder computes, not its parameters: their names and shapes stay, so published
checkpoints load, and saving gives a plain SqueezeBERT checkpoint.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Conv1d, Linear, Module, ModuleList, Parameter, functional
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.squeezebert.modeling_squeezebert import SqueezeBertEncoder

from qa_tradeoffs.core.errors import StudyError


def convert(network: Module, classes: Mapping[type[Module], type[Module]]) -> Module:
    """Replace each module whose class is a key of ``classes`` by a module of the class that the key maps to.

    The new module has the parameters, buffers, submodules and settings of the old one: the classes may differ in how
    they compute, not in what they contain. Returns ``network``, or its replacement if it is itself replaced.
    """
    new = {old: _rebuilt(old, classes[type(old)]) for old in network.modules() if type(old) in classes}
    converted = new.get(network, network)
    for path, old in list(network.named_modules(remove_duplicate=False)):  # parents before children
        if path and old in new:
            converted.set_submodule(path, new[old])
    return converted


def _rebuilt(old: Module, kind: type[Module]) -> Module:
    """A module of another class around the same parts; building one from its settings would draw random weights."""
    module = kind.__new__(kind)
    vars(module).update(vars(old) | {"_modules": old._modules.copy()})
    return module


def to_matmul(model: Any) -> Any:
    """``convert`` every SqueezeBERT encoder in ``model`` to matrix products. Raises StudyError if there is none."""
    if not any(isinstance(module, SqueezeBertEncoder) for module in model.modules()):
        raise StudyError(f"grouped_matmul: {type(model).__name__} has no SqueezeBERT encoder; remove the key")
    return convert(model, {SqueezeBertEncoder: MatmulEncoder})


def to_separate_products(model: Any) -> Any:
    """``convert`` SqueezeBERT encoders, rewritten or not, to one product per group; others are left unchanged.

    For export: the parameters are copies under different names.
    """
    converted: Any = convert(model, {SqueezeBertEncoder: SeparateEncoder, MatmulEncoder: SeparateEncoder})
    for encoder in [module for module in converted.modules() if isinstance(module, SeparateEncoder)]:
        for path, conv in [found for found in encoder.named_modules() if isinstance(found[1], Conv1d)]:
            encoder.set_submodule(path, Products(conv))
    return converted


def is_matmul(model: Any) -> bool:
    """Whether ``to_matmul`` was applied."""
    return any(isinstance(module, MatmulEncoder) for module in model.modules())


class MatmulEncoder(SqueezeBertEncoder):  # type: ignore[misc]
    """The encoder in (batch, length, channels) layout; same inputs and outputs as the stock one."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        return_dict: bool = True,
    ) -> Any:
        """hidden_states (b, L, C); attention_mask (b, 1, 1, L), added to the scores."""
        states, scores = [], []
        for layer in self.layers:
            if output_hidden_states:
                states.append(hidden_states)
            attended, score = self._attend(layer.attention, hidden_states, attention_mask, output_attentions)
            mixed = _add_and_norm(
                layer.post_attention, self._grouped(layer.post_attention.conv1d, attended), hidden_states
            )
            hidden_states = _add_and_norm(layer.output, self._feed_forward(layer, mixed), mixed)
            scores.append(score)
        output = BaseModelOutput(
            last_hidden_state=hidden_states,
            hidden_states=(*states, hidden_states) if output_hidden_states else None,
            attentions=tuple(scores) if output_attentions else None,
        )
        return output if return_dict else output.to_tuple()

    def _attend(
        self, attention: Any, x: Tensor, mask: Tensor | None, with_scores: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Self-attention over x (b, L, C); the scores (b, heads, L, L), mask included, only if requested."""
        rows, length, _ = x.shape
        heads = (attention.num_attention_heads, attention.attention_head_size)
        query, key, value = (
            self._grouped(conv, x).view(rows, length, *heads).transpose(1, 2)  # (b, heads, L, C / heads)
            for conv in (attention.query, attention.key, attention.value)
        )
        context = self._mix(attention, query, key, value, mask)
        return context.transpose(1, 2).flatten(2), attention_scores(query, key, mask) if with_scores else None

    def _mix(self, attention: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """The values weighted by attention; all tensors are (b, heads, L, C / heads)."""
        dropout = attention.dropout.p if attention.training else 0.0
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)

    def _feed_forward(self, layer: Any, x: Tensor) -> Tensor:
        """The two convolutions with the activation between them, x (b, L, C) → (b, L, C).

        If both have the same number of groups, the wide middle stays split: group g of the first is the input of group
        g of the second, so nothing has to be merged in between.
        """
        first, act, second = layer.intermediate.conv1d, layer.intermediate.act, layer.output.conv1d
        if first.groups != second.groups:
            return self._grouped(second, act(self._grouped(first, x)))
        return _merge(_per_group(second, act(_per_group(first, _split(x, first.groups)))), x)

    def _grouped(self, conv: Conv1d, x: Tensor) -> Tensor:
        """The convolution of kernel size 1 applied to x (b, L, C_in) → (b, L, C_out)."""
        if conv.groups == 1:
            return functional.linear(x, conv.weight.squeeze(-1), conv.bias)
        return _merge(_per_group(conv, _split(x, conv.groups)), x)


class Products(Module):
    """A convolution of kernel size 1 as one linear layer per group, each with its own two-dimensional weight.

    In torch this is slower than one batched product. But int8 quantisation can give such a weight one scale per channel
    and turn it into an integer product, which it cannot do for a weight that is sliced from another at run time.
    """

    def __init__(self, conv: Conv1d) -> None:
        super().__init__()
        assert conv.bias is not None
        cut = zip(conv.weight.squeeze(-1).chunk(conv.groups), conv.bias.chunk(conv.groups), strict=True)
        self.of_groups = ModuleList(map(_linear, *zip(*cut, strict=True)))

    def forward(self, x: Tensor) -> Tensor:
        """x (b, L, C_in) → (b, L, C_out)."""
        return torch.cat([product(part) for product, part in self.parts(x)], dim=-1)

    def parts(self, x: Tensor) -> Iterator[tuple[Module, Tensor]]:
        """Each group's linear layer, and its part of x."""
        return zip(self.of_groups, x.chunk(len(self.of_groups), dim=-1), strict=True)


class SeparateEncoder(MatmulEncoder):
    """Each group as a separate matrix product; the convolutions are ``Products``."""

    def _feed_forward(self, layer: Any, x: Tensor) -> Tensor:
        first, act, second = layer.intermediate.conv1d, layer.intermediate.act, layer.output.conv1d
        if len(first.of_groups) != len(second.of_groups):
            return self._grouped(second, act(self._grouped(first, x)))
        inner = (act(product(part)) for product, part in first.parts(x))
        return torch.cat([product(part) for product, part in zip(second.of_groups, inner, strict=True)], dim=-1)

    def _grouped(self, conv: Module, x: Tensor) -> Tensor:
        products: Tensor = conv(x)
        return products


def attention_scores(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled products (b, heads, L, L) of query and key, both (b, heads, L, C / heads), with the mask added."""
    scores: Tensor = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    return scores if mask is None else scores + mask


def _linear(weight: Tensor, bias: Tensor) -> Linear:
    with torch.device("meta"):  # no random initialisation
        layer = Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = Parameter(weight.detach().clone()), Parameter(bias.detach().clone())
    return layer


def _add_and_norm(block: Any, x: Tensor, residual: Tensor) -> Tensor:
    """Dropout, residual and normalisation over the last dimension, which holds the channels here."""
    norm = block.layernorm
    return functional.layer_norm(block.dropout(x) + residual, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _per_group(conv: Conv1d, x: Tensor) -> Tensor:
    """x (groups, n, C_in / groups) → (groups, n, C_out / groups): one matrix product per group, in one call."""
    assert conv.bias is not None
    weight = conv.weight.view(
        conv.groups, -1, conv.in_channels // conv.groups
    )  # (groups, C_out / groups, C_in / groups)
    return torch.baddbmm(conv.bias.view(conv.groups, 1, -1), x, weight.transpose(1, 2))


def _split(x: Tensor, groups: int) -> Tensor:
    """(b, L, C) → (groups, b · L, C / groups), without a copy."""
    return x.reshape(-1, groups, x.shape[-1] // groups).transpose(0, 1)


def _merge(x: Tensor, like: Tensor) -> Tensor:
    """(groups, b · L, C / groups) → (b, L, C), with the b and L of ``like``."""
    return x.transpose(0, 1).reshape(*like.shape[:2], -1)
