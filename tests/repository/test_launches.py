"""Operations that launch kernels are distinguished from views, and counted as in torch 1.10."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from benchmarks import launches
from qa_tradeoffs.study import published


class Flipped(nn.Module):
    """Token ids as floats (a kernel), flipped and flattened (two views), then the layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.layer(tokens.float().t().view(-1, 2))


@pytest.mark.parametrize(
    ("layer", "kernels", "launched"),
    [
        (nn.Identity(), 1, 1),
        (nn.ReLU(), 2, 2),
        (nn.Linear(2, 3), 2, 3),  # the bias is copied before the product
        (nn.Linear(2, 3, bias=False), 2, 2),
    ],
)
def test_views_launch_nothing_and_a_bias_is_a_separate_launch(layer, kernels, launched):
    counted = launches.count(Flipped(layer))
    assert (counted.kernels, counted.launches) == (kernels, launched)
    assert counted.operations >= kernels + 2


def test_every_layer_adds_the_same_number_of_launches():
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 10}
    one, two, three = (
        launches.count(BertModel(BertConfig(num_hidden_layers=n, attn_implementation="eager", **sizes)).eval()).launches
        for n in (1, 2, 3)
    )
    assert three - two == two - one
    # At least six dense layers of two launches, two products, softmax, scaling, activation, two sums and two norms.
    assert two - one >= 6 * 2 + 2 + 1 + 1 + 1 + 2 + 2


def test_half_of_the_layers_have_about_half_of_the_launches():
    bert, distilbert = (published.load().original.queue.launches.of(model) for model in ("bert", "distilbert"))
    assert all(1.8 < b / d < 2 for b, d in zip(bert, distilbert, strict=True))
