"""The FLOP/s that a network will reach in a training step, from measurements, and their uncertainty."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from qa_tradeoffs.core.files import ANOMALY, OWN_ANOMALY
from qa_tradeoffs.core.words import listed, percent
from qa_tradeoffs.metrics import flops, roofline
from qa_tradeoffs.metrics.flops import TERA, TRAINING_OVER_FORWARD
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import counting
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config

BYTES_PER_WEIGHT = 4  # fp32, also with mixed precision
# The factor by which times may be longer on hardware without a timed training step. By the published times, a K80 has
# 1 / 1.8 of the speed that its data sheet and a P100's efficiency suggest.
NEVER_MEASURED = 2.0
_COUNTED: dict[tuple[type, str, int], int] = {}  # counting takes up to half a second


class Rate(NamedTuple):
    """FLOP/s, NaN if unknown; their source; and the factor by which a step may take longer."""

    flops_per_second: float
    source: str
    factor: float = 1.0


class Steps(NamedTuple):
    """A network and its training steps as timed in this study's profile."""

    network: Any
    records: Sequence[Record]


def steps(network: Any, records: Sequence[Record]) -> Steps:
    """The records of training steps among those of a model's finished stages."""
    kept = [r for r in records if r.metric == "training_step_seconds" and r.conditions.get("network") == "study"]
    return Steps(network, [record for record in kept if record.value and record.conditions.get("flops")])


def given(tflops: float, network: Any) -> Rate:
    """The rate of other hardware as given; unknown for grouped convolutions."""
    if not dense(network):
        return Rate(math.nan, f"unknown: {tflops:g} TFLOP/s of dense layers do not apply to grouped convolutions")
    return Rate(
        tflops * TERA, f"{tflops:g} TFLOP/s as given; may take up to {NEVER_MEASURED:g} times as long", NEVER_MEASURED
    )


def measured(slug: str, spec: config.Model, batch_size: int, length: int, timed: Mapping[str, Steps]) -> Rate:
    """The rate of a training step of a model with ``batch_size`` rows of ``length`` tokens.

    From this model's own profile; else, for a dense network, fitted to the profiles of the study's other dense
    networks; else from the most similar full-size variant of the anomaly's experiment. ``timed``: by slug.
    """
    network = timed[slug].network
    if own := timed[slug].records:
        step = min(own, key=lambda record: abs(int(record.conditions["batch_size"] or 0) - batch_size))
        return _rate(float(step.conditions["flops"] or 0) / step.value, "this study's profile", step)
    others = {name: other for name, other in timed.items() if other.records and dense(other.network)}
    if dense(network) and sum(len(other.records) for other in others.values()) >= roofline.AT_LEAST:
        return _fitted(network, batch_size, length, others)
    return _of_experiment(network, spec.grouped_matmul)


def dense(network: Any) -> bool:
    """Whether the network has no grouped layers, which take longer than their operations suggest."""
    return all(getattr(module, "groups", 1) == 1 for module in network.modules())


def activation_bytes(network: Any, batch_size: int, length: int) -> int:
    """Bytes of the activations for a backward pass, in fp32 and with eager attention.

    In 16 bits a layer has batch · length · (34·h + 5·heads·length) bytes (Korthikanti et al. 2022, arXiv 2205.05198,
    equation 1); in fp32 twice that.
    """
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads")
    layers, hidden, heads = (getattr(network.config, name, 0) for name in names)
    return int(layers * 2 * batch_size * length * (34 * hidden + 5 * heads * length))


def row_flops(network: Any, length: int) -> int:
    """FLOP of a forward pass of one row of ``length`` tokens, counted once per config and length.

    If they cannot be counted (Longformer), 2 per token and weight of linear layers, without attention's products.
    """
    key = type(network), network.config.to_json_string(), length
    if key not in _COUNTED:
        _COUNTED[key] = _counted(network, length)
    return _COUNTED[key]


def _counted(network: Any, length: int) -> int:
    try:
        return counting.flops(network, 1, length, backward=False)[0]
    except counting.UncountedError:
        linear = (module for module in network.modules() if isinstance(module, (torch.nn.Linear, torch.nn.Conv1d)))
        return 2 * length * sum(module.weight.numel() for module in linear)


def parameters(network: Any) -> int:
    """The number of a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def _fitted(network: Any, batch_size: int, length: int, others: Mapping[str, Steps]) -> Rate:
    """From a roofline fitted to the other networks, with its error among them."""
    rows = [(other.network, record) for other in others.values() for record in other.records]
    calls = [(int(r.conditions["batch_size"] or 0), int(r.conditions["length"] or 0)) for _, r in rows]
    fit = roofline.fit(
        [float(record.conditions["flops"] or 0) for _, record in rows],
        [_traffic(other, *call) for (other, _), call in zip(rows, calls, strict=True)],
        [record.value for _, record in rows],
    )
    work = TRAINING_OVER_FORWARD * batch_size * row_flops(network, length)
    source = (
        f"fitted to {len(rows)} training steps of {listed(list(others))}, off by up to {percent(fit.error)} in "
        "cross-validation"
    )
    return _rate(work / fit.seconds(work, _traffic(network, batch_size, length)), source, rows[0][1])


def _traffic(network: Any, batch_size: int, length: int) -> int:
    """Bytes that a forward pass moves, up to a factor: weights and activations."""
    return BYTES_PER_WEIGHT * parameters(network) + activation_bytes(network, batch_size, length)


def _of_experiment(network: Any, grouped_matmul: bool) -> Rate:
    """The rate of the experiment's most similar variant, measured on this machine or another one."""
    variant, what, shape = "BERT", "BERT", flops.BERT_BASE
    if network.config.model_type == "squeezebert":
        variant, shape = "rewritten" if grouped_matmul else "as published", flops.SQUEEZEBERT
        what = f"SqueezeBERT {variant}"
    own = OWN_ANOMALY.is_file()
    experiment = results.read_experiment(OWN_ANOMALY if own else ANOMALY)
    found = [r for r in experiment.all("variant_training_step_seconds") if r.conditions["variant"] == variant]
    step = max(found, key=lambda r: (int(r.conditions["length"] or 0), float(r.conditions["dropout"] or 0)))
    batch_size, length = (int(step.conditions[key] or 0) for key in ("batch_size", "length"))
    work = TRAINING_OVER_FORWARD * flops.encoder_flops(shape, batch_size, length)
    rate = _rate(work / step.value, f"{what} at full size, {batch_size} × {length} tokens", step)
    elsewhere = f"{rate.source}; elsewhere it may take up to {NEVER_MEASURED:g} times as long"
    return rate if own else Rate(rate.flops_per_second, elsewhere, NEVER_MEASURED)


def _rate(flops_per_second: float, source: str, step: Record) -> Rate:
    """A measured rate, with the machine in words."""
    at = step.conditions
    machine = f"{at['device']}, {at['threads']} threads"
    return Rate(flops_per_second, f"{flops_per_second / TERA:.3g} TFLOP/s, {source} on {machine}")
