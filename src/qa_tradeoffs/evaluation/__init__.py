"""From logits to answers to scores; the metric for the evaluate library."""
