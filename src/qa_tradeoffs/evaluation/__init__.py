"""From logits to answers to scores; asking a checkpoint; the metric for the evaluate library."""
