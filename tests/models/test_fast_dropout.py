"""Fast masks have the right probability, follow torch's seed, apply to every dropout, and leave torch unchanged."""

import math

import pytest
import torch
from torch.nn import functional

from qa_tradeoffs.models import fast_dropout

N = 4_000_000


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1 / 3])
def test_the_probability_is_right_to_five_standard_errors_and_rounded_by_less_than_1e_5(p):
    torch.manual_seed(0)
    share = fast_dropout.draw(torch.empty(N), p).mean(dtype=torch.float64).item()
    assert share == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / N))
    assert abs(round(p * 65536) / 65536 - p) < 1e-5


def test_the_threshold_gives_exactly_the_rounded_probability_over_all_16_bits(monkeypatch):
    """With every 16-bit number drawn once, 0.9 keeps 58,982 of 65,536 values: round(0.9 * 65536)."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).numpy().view("uint64")

    class Counting:
        def __init__(self, seed):
            pass

        def random_raw(self, n):
            assert n == 2**14
            return every

    monkeypatch.setattr(fast_dropout.np.random, "SFC64", Counting)
    assert fast_dropout.draw(torch.empty(2**16), 0.9).sum() == 58_982


@pytest.mark.parametrize(("p", "expected"), [(0.0, 0.0), (1.0, 1.0), (1e-9, 0.0), (1 - 1e-9, 1.0)])
def test_probabilities_that_round_to_0_or_1_are_exact(p, expected):
    assert fast_dropout.draw(torch.empty(1000), p).unique().tolist() == [expected]


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 3, 5)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.bool])
def test_any_shape_and_type_is_filled_in_place(shape, kind):
    mask = torch.full(shape, 1, dtype=kind)
    assert fast_dropout.draw(mask, 0.5) is mask
    assert set(mask.double().unique().tolist()) <= {0.0, 1.0}
    transposed = torch.full((4, 500), 7.0).T
    assert set(fast_dropout.draw(transposed, 0.5).unique().tolist()) == {0.0, 1.0}


def test_values_next_to_each_other_are_independent():
    """Correlations at the distances at which bits of one drawn number lie, each within five standard errors of 0."""
    torch.manual_seed(0)
    values = fast_dropout.draw(torch.empty(N), 0.5).double() * 2 - 1
    for distance in (1, 2, 3, 4, 8):
        assert abs((values[:-distance] * values[distance:]).mean()) < 5 / math.sqrt(N)


def test_masks_follow_from_torchs_seed_and_generator():
    def drawn(seed, **settings):
        torch.manual_seed(seed)
        return fast_dropout.draw(torch.empty(100), 0.5, **settings), fast_dropout.draw(
            torch.empty(100), 0.5, **settings
        )

    first, second = drawn(0)
    assert not torch.equal(first, second)
    assert torch.equal(first, drawn(0)[0])
    assert not torch.equal(first, drawn(1)[0])
    own = drawn(0, generator=torch.Generator().manual_seed(5))
    assert torch.equal(own[0], drawn(1, generator=torch.Generator().manual_seed(5))[0])


def masks_of(call):
    torch.manual_seed(0)
    return call()


FUSED = torch.randn(1, 2, 16, 8, generator=torch.Generator().manual_seed(0))
DROPOUTS = {
    "functional": lambda: functional.dropout(torch.ones(1000), 0.1),
    "module": lambda: torch.nn.Dropout(0.1)(torch.ones(1000)),
    "fused attention": lambda: functional.scaled_dot_product_attention(FUSED, FUSED, FUSED, dropout_p=0.5),
}


@pytest.mark.parametrize("call", DROPOUTS.values(), ids=DROPOUTS)
def test_every_dropout_draws_fast_masks_within_the_block_only(call):
    before = masks_of(call)
    with fast_dropout.fast_masks():
        inside = masks_of(call)
        assert torch.equal(inside, masks_of(call))
    assert not torch.equal(inside, before)
    assert torch.equal(masks_of(call), before)
    with fast_dropout.fast_masks(False):
        assert torch.equal(masks_of(call), before)


def test_torch_is_as_it_was_after_an_error_in_the_block():
    before = masks_of(DROPOUTS["functional"])
    with pytest.raises(ZeroDivisionError), fast_dropout.fast_masks():
        raise ZeroDivisionError
    assert torch.equal(masks_of(DROPOUTS["functional"]), before)


def test_kept_values_are_scaled_and_the_gradient_has_the_mask():
    x = torch.full((1000,), 3.0, requires_grad=True)
    with fast_dropout.fast_masks():
        y = functional.dropout(x, 0.25)
        y.sum().backward()
    assert y.unique().tolist() == [0, 4]
    assert torch.equal(x.grad, y.detach() / 3)
