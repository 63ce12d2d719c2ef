"""Floating-point operations of an encoder's forward pass, by formula.

A matrix product that uses each of n weights once per token costs 2·n FLOP per token, one multiplication and one
addition (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). Attention adds two products that use no weights, queries
with keys and probabilities with values: 2·L·h FLOP per token each, over all L tokens of the row, since an encoder looks
both ways. Left out, as in most counts: biases, normalisation, softmax, activations, and looking up embeddings.
"""

from dataclasses import dataclass

# Backward, there are as many operations again for the gradients of the inputs, and once more for those of the weights.
TRAINING_OVER_FORWARD = 3
TERA = 1e12


@dataclass(frozen=True)
class Shape:
    """What of an architecture decides its matrix products. A layer in g groups has 1/g of the weights.

    ``attention_groups``: of the query, key and value layers; ``post_attention_groups``: of the layer after attention;
    ``pooler``: whether the network computes the pooled first token, although question answering does not use it.
    """

    layers: int
    hidden: int
    intermediate: int
    attention_groups: int = 1
    post_attention_groups: int = 1
    intermediate_groups: int = 1
    output_groups: int = 1
    pooler: bool = False

    @property
    def weights_per_layer(self) -> int:
        """Weights of one layer's matrix products: 4·h² + 2·h·f, each term over its groups."""
        h, f = self.hidden, self.intermediate
        attention = 3 * h * h // self.attention_groups + h * h // self.post_attention_groups
        return attention + h * f // self.intermediate_groups + f * h // self.output_groups


# The published configurations, with the heads of transformers' ...ForQuestionAnswering.
BERT_BASE = Shape(layers=12, hidden=768, intermediate=3072)
DISTILBERT_BASE = Shape(layers=6, hidden=768, intermediate=3072)
SQUEEZEBERT = Shape(
    layers=12, hidden=768, intermediate=3072, attention_groups=4, intermediate_groups=4, output_groups=4, pooler=True
)


def linear_flops(inputs: int, outputs: int, tokens: int, groups: int = 1) -> int:
    """FLOP of a linear layer, or a convolution of kernel size 1, for this many tokens."""
    return 2 * tokens * inputs * outputs // groups


def encoder_flops(shape: Shape, batch_size: int, length: int, outputs: int = 2) -> int:
    """FLOP of one forward pass of (batch_size, length) tokens, with a head of ``outputs`` values per token.

    The two outputs of extractive question answering are the logits of start and end.
    """
    tokens, h = batch_size * length, shape.hidden
    weights = 2 * tokens * shape.weights_per_layer
    attention = 2 * (2 * tokens * length * h)
    pooler = linear_flops(h, h, batch_size) if shape.pooler else 0
    return shape.layers * (weights + attention) + linear_flops(h, outputs, tokens) + pooler
