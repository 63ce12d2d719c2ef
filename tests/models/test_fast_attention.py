"""Attention with dropout follows the formula in both passes and drops with the given probability."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from qa_tradeoffs.models import fast_attention

HIDDEN = torch.arange(7) < 5  # True: seen
SETTINGS = {
    "nothing hidden": {},
    "hidden keys": {"attn_mask": HIDDEN.view(1, 1, 1, 7)},
    "a bias": {"attn_mask": torch.linspace(-1, 1, 49, dtype=torch.float64).view(7, 7)},
    "causal": {"is_causal": True},
    "a scale": {"scale": 0.3},
}


def inputs(heads: int = 3, seed: int = 0) -> list[torch.Tensor]:
    """Query, key and value of 2 rows, 7 tokens and 4 values a head; keys and values may have fewer heads."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (2, 3, 7, 4), (2, heads, 7, 4), (2, heads, 7, 4)
    return [torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]


def gradients(output: torch.Tensor, of: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(output.sin().sum(), of)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_without_dropout_it_is_torchs_own(settings):
    given = inputs()
    expected = scaled_dot_product_attention(*given, **settings)
    found, _ = fast_attention.attention(*given, **settings)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, given), gradients(expected, given))


def test_heads_that_share_keys_are_torchs_own():
    given = inputs(heads=1)
    expected = scaled_dot_product_attention(*given, enable_gqa=True)
    torch.testing.assert_close(fast_attention.attention(*given, enable_gqa=True)[0], expected)


def test_with_dropout_it_is_the_formula_with_the_same_choice(monkeypatch):
    kept = torch.rand(6, 7, 7, generator=torch.Generator().manual_seed(1)) < 0.75
    monkeypatch.setattr(fast_attention, "drawn", lambda shape, p: kept)
    given = inputs()
    query, key, value = given
    weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(4), -1)
    expected = (weights * kept.view(2, 3, 7, 7) / 0.75) @ value
    found, _ = fast_attention.attention(*given, dropout_p=0.25)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, given), gradients(expected, given))


def test_what_is_left_is_scaled_so_that_the_mean_is_attention_without_dropout():
    """Values of 1: the output is the sum of the weights that were kept over 0.9, of mean 1; 20,000 rows, 5 errors."""
    torch.manual_seed(0)
    query, value = torch.zeros(20_000, 1, 8, 4), torch.ones(20_000, 1, 8, 4)
    found, _ = fast_attention.attention(query, query, value, dropout_p=0.1)
    of_a_row = math.sqrt(0.1 / 0.9 / 8)  # eight weights of 1/8 each
    assert found[:, 0, 0, 0].mean().item() == pytest.approx(1, abs=5 * of_a_row / math.sqrt(20_000))
    assert found[:, 0, 0, 0].std().item() == pytest.approx(of_a_row, rel=0.03)


def test_torch_uses_it_for_attention_with_dropout_within_the_block_only():
    def computed(dropout: float) -> torch.Tensor:
        torch.manual_seed(0)
        return scaled_dot_product_attention(*inputs(), dropout_p=dropout)

    before, fused = computed(0.5), computed(0.0)
    with fast_attention.fast_attention():
        torch.manual_seed(0)
        expected, _ = fast_attention.attention(*inputs(), dropout_p=0.5)
        torch.testing.assert_close(computed(0.5), expected)
        assert torch.equal(computed(0.0), fused)
    assert not torch.equal(expected, before)
    assert torch.equal(computed(0.5), before)
    with fast_attention.fast_attention(False):
        assert torch.equal(computed(0.5), before)


def test_in_bf16_sums_are_rounded_not_wrong():
    given = inputs()
    half = [x.detach().bfloat16().requires_grad_() for x in given]
    exact, rounded = (fast_attention.attention(*x)[0] for x in (given, half))
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.double(), exact, atol=0.03, rtol=0.03)
    torch.testing.assert_close(
        [x.double() for x in gradients(rounded, half)], list(gradients(exact, given)), atol=0.06, rtol=0.06
    )
