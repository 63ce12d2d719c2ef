"""Floating-point operations of an encoder's forward pass, by formula.

A matrix product that uses each of n weights once per token costs 2·n FLOP per token, one multiplication and one
addition (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). Attention adds two products without weights, queries with
keys and probabilities with values: 2·L·h FLOP per token each, over all L tokens of the row, since encoders are
bidirectional. As in most counts, biases, normalisation, softmax, activations and embedding lookups are omitted.
"""

from dataclasses import dataclass

# The backward pass has as many operations for the gradients of the inputs, and as many for those of the weights.
TRAINING_OVER_FORWARD = 3
TERA = 1e12


@dataclass(frozen=True)
class Shape:
    """The sizes of an architecture that determine its matrix products.

    ``groups``: of every projection but the one after attention; g groups leave 1/g of the weights. ``pooler``: whether
    the network computes the pooled first token, which question answering does not use.
    """

    layers: int
    hidden: int
    intermediate: int
    groups: int = 1
    pooler: bool = False

    @property
    def weights_per_layer(self) -> int:
        """Weights of one layer's matrix products: (3·h² + 2·h·f) over the groups, and h² after attention."""
        h, f = self.hidden, self.intermediate
        return (3 * h * h + 2 * h * f) // self.groups + h * h


# The published configurations, with the heads of transformers' ...ForQuestionAnswering.
BERT_BASE = Shape(layers=12, hidden=768, intermediate=3072)
DISTILBERT_BASE = Shape(layers=6, hidden=768, intermediate=3072)
SQUEEZEBERT = Shape(layers=12, hidden=768, intermediate=3072, groups=4, pooler=True)


def encoder_flops(shape: Shape, batch_size: int, length: int) -> int:
    """FLOP of one forward pass of (batch_size, length) tokens, including the head for start and end logits."""
    tokens, h = batch_size * length, shape.hidden
    weights = 2 * tokens * shape.weights_per_layer
    attention = 2 * (2 * tokens * length * h)
    head = 2 * tokens * h * 2
    pooler = 2 * batch_size * h * h if shape.pooler else 0
    return shape.layers * (weights + attention) + head + pooler
