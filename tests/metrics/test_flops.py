"""The formula for floating-point operations, by hand and against the published sizes."""

import pytest

from qa_tradeoffs.metrics import flops

TINY = flops.Shape(layers=1, hidden=4, intermediate=8)


def test_one_tiny_layer_by_hand():
    # 4 layers of 4 × 4 and two of 4 × 8 are 128 weights; 3 tokens: 2 · 3 · 128 = 768.
    # Queries with keys: 2 · 3 · 3 · 4 = 72, probabilities with values the same; the head: 2 · 3 · 4 · 2 = 48.
    assert TINY.weights_per_layer == 128
    assert flops.encoder_flops(TINY, batch_size=1, length=3) == 768 + 72 + 72 + 48


def test_four_groups_leave_a_quarter_of_the_weights_except_after_attention():
    assert flops.Shape(layers=1, hidden=4, intermediate=8, groups=4).weights_per_layer == (128 - 16) / 4 + 16


def test_a_pooler_is_one_square_layer_on_one_token_per_row():
    pooled = flops.Shape(layers=1, hidden=4, intermediate=8, pooler=True)
    difference = flops.encoder_flops(pooled, 2, 3) - flops.encoder_flops(TINY, 2, 3)
    assert difference == 2 * 2 * 4 * 4


def test_bert_base_at_128_tokens_by_hand():
    weights = 12 * (4 * 768 * 768 + 2 * 768 * 3072)
    assert weights == 84_934_656
    by_hand = 2 * 128 * weights + 12 * 4 * 128 * 128 * 768 + 2 * 128 * 768 * 2
    assert flops.encoder_flops(flops.BERT_BASE, 1, 128) == by_hand == 22_347_644_928


def test_distilbert_has_half_of_bert_s_layers_and_so_half_of_its_operations():
    head = 2 * 128 * 768 * 2
    bert, distilbert = (flops.encoder_flops(s, 1, 128) - head for s in (flops.BERT_BASE, flops.DISTILBERT_BASE))
    assert bert == 2 * distilbert


def test_squeezebert_keeps_five_sixteenths_of_the_weights_of_a_layer():
    # Of 12 h²: query, key and value 3/4, post-attention 1, intermediate and output 4/4 each: 3.75 h².
    assert flops.SQUEEZEBERT.weights_per_layer == 3.75 * 768 * 768
    assert flops.SQUEEZEBERT.weights_per_layer / flops.BERT_BASE.weights_per_layer == 5 / 16


@pytest.mark.parametrize("shape", [flops.BERT_BASE, flops.DISTILBERT_BASE, flops.SQUEEZEBERT])
def test_rows_cost_the_same_each_but_longer_rows_cost_more_per_token(shape):
    assert flops.encoder_flops(shape, 6, 128) == 6 * flops.encoder_flops(shape, 1, 128)
    assert flops.encoder_flops(shape, 1, 512) > 4 * flops.encoder_flops(shape, 1, 128)
