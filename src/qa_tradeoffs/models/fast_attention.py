"""Attention with dropout on a CPU, in fewer passes over its weights.

On CPUs, torch's fused attention does not support dropout: torch then computes each step of the formula separately and
stores weights and mask for the backward pass, which can take a third of a training step. Here the sign of a weight says
whether it was dropped, and the softmax's backward pass takes its row sums from the output, as flash attention does (Dao
et al. 2022, arXiv 2205.14135, appendix B.2). It applies to every network that calls torch's attention.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from qa_tradeoffs.models.fast_dropout import drawn, overridden


@contextmanager
def fast_attention(enabled: bool = True) -> Iterator[None]:
    """Within the block, attention that torch does not fuse on a CPU is computed here; other devices are unaffected.

    For the same seed it drops other weights than torch, with the same probability.
    """
    if not enabled:
        yield
        return
    with overridden("_scaled_dot_product_attention_math", attention, "CPU", "AutogradCPU"):
        yield


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, dropout_mask: Tensor | None = None, *, scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """dropout(softmax(scale · query · keyᵀ + attn_mask)) · value, with torch's arguments.

    ``query`` (..., L, d), ``key`` (..., S, d), ``value`` (..., S, d). The second result, the weights in torch, is
    empty: ``scaled_dot_product_attention`` returns only the first.
    """
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3) for x in (key, value))
    shape = (*query.shape[:-1], key.shape[-2])
    bias = _bias(attn_mask, is_causal, shape, query)
    flat = (x.reshape(-1, *x.shape[-2:]) for x in (query, key, value))
    scaling = query.shape[-1] ** -0.5 if scale is None else scale
    output: Tensor = _Attention.apply(*flat, bias, dropout_p, scaling)  # type: ignore[no-untyped-call]
    return output.view(*query.shape[:-1], value.shape[-1]), query.new_empty(0)


def _bias(mask: Tensor | None, is_causal: bool, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """What is added to the scores (n, L, S), by torch's conventions for its arguments; None if nothing."""
    if is_causal:
        mask = torch.ones(shape[-2:], dtype=torch.bool).tril()
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=like.dtype).masked_fill(~mask, float("-inf"))
    return mask.expand(shape).reshape(-1, *shape[-2:])


class _Attention(torch.autograd.Function):
    """Attention over (n, L, d), where n is rows times heads."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, dropout: float, scale: float
    ) -> Tensor:
        if bias is None:
            scores = torch.bmm(query * scale, key.transpose(1, 2))
        else:
            scores = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=scale)
        weights = torch.softmax(scores, -1, dtype=torch.promote_types(scores.dtype, torch.float32))
        kept = drawn(weights.shape, 1 - dropout)
        signed = torch.where(kept, weights, -weights)
        output = torch.bmm(signed.relu().to(value.dtype), value).div_(1 - dropout)
        ctx.save_for_backward(query, key, value, signed, output)
        ctx.dropout, ctx.scale = dropout, scale
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, signed, output = ctx.saved_tensors
        of_kept, dropped = gradient / (1 - ctx.dropout), signed.relu()
        of_value = torch.bmm(dropped.to(value.dtype).transpose(1, 2), of_kept)
        # weights · (gradient of the weights - their weighted mean), where the mean follows from the outputs
        of_scores = torch.bmm(of_kept, value.transpose(1, 2)).to(signed.dtype) * dropped
        mean = (gradient * output).sum(-1, keepdim=True, dtype=signed.dtype)
        of_scores = of_scores.sub_(signed.abs().mul_(mean)).mul_(ctx.scale).to(query.dtype)
        return torch.bmm(of_scores, key), torch.bmm(of_scores.transpose(1, 2), query), of_value, None, None, None
