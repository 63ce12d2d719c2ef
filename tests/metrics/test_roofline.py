"""Both parameters are recovered from exact times, and the error is the largest on a time left out."""

import numpy as np
import pytest

from qa_tradeoffs.analysis import audit
from qa_tradeoffs.metrics import flops, roofline
from qa_tradeoffs.study import published

FLOP, BYTES = np.array([1e12, 1e12, 8e12]), np.array([1e9, 5e9, 2e9])


def test_both_parameters_are_recovered_from_exact_times():
    # 2e12 FLOP/s and 1e9 bytes/s: 0.5 + 1, 0.5 + 5, 4 + 2 seconds.
    fitted = roofline.fit(FLOP, BYTES, [1.5, 5.5, 6.0])
    assert (1 / fitted.per_flop, 1 / fitted.per_byte) == pytest.approx((2e12, 1e9))
    assert fitted.error == pytest.approx(0, abs=1e-9)
    assert fitted.seconds(4e12, 3e9) == pytest.approx(2 + 3)


def test_the_error_is_the_largest_of_a_row_predicted_from_the_others():
    # Only bytes matter: a second each. Predicted from the other two, the doubled row is expected to take half its time.
    n_bytes = np.ones(3)
    assert roofline.fit(np.full(3, 1e-30), n_bytes, [1.0, 1.0, 2.0]).error == pytest.approx(0.5)


def test_the_fit_has_no_negative_speed():
    fitted = roofline.fit([1e12, 2e12, 3e12], [1e9, 1e9, 1e9], [1.0, 1.0, 1.0])
    assert fitted.per_flop >= 0
    assert fitted.per_byte >= 0


def test_two_timings_are_too_few():
    with pytest.raises(ValueError, match="2 timings"):
        roofline.fit([1, 2], [1, 2], [1, 2])


def test_a_fit_to_berts_times_on_a_p100_holds_for_dense_networks_only():
    figures = published.load()
    shapes = {"bert": flops.BERT_BASE, "distilbert": flops.DISTILBERT_BASE, "squeezebert": flops.SQUEEZEBERT}

    def work(model: str, batch_size: int, length: int) -> tuple[int, int]:
        """FLOP, and bytes of weights and activations in fp32 with twelve heads."""
        shape = shapes[model]
        activations = shape.layers * 2 * batch_size * length * (34 * 768 + 5 * 12 * length)
        return flops.encoder_flops(shape, batch_size, length), 4 * shape.layers * shape.weights_per_layer + activations

    times = {}
    for rate in audit.rates(figures, 0):
        if rate.machine == "p100":
            times.setdefault(rate.model, []).append((*work(rate.model, rate.batch_size, rate.length), rate.seconds))
    fitted = roofline.fit(*zip(*times["bert"], strict=True))
    off = {model: [fitted.seconds(f, b) / taken - 1 for f, b, taken in rows] for model, rows in times.items()}
    assert np.abs(off["bert"]).max() < 0.1
    assert np.abs(off["distilbert"]).max() < 0.12
    assert max(off["squeezebert"]) < -0.15
    for model in ("bert", "distilbert"):  # a training step: three times as much as a forward pass
        step = 3 * fitted.seconds(*work(model, 16, 384))
        assert step == pytest.approx(audit.training_steps(figures)[model].seconds, rel=0.1)
