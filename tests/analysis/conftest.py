"""Profiles made of hand-made records."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.metrics.records import Record
from tests.conftest import MODELS, results_of, timed

FINE_TUNED = {"models": MODELS | {"distilbert": MODELS["distilbert"] | {"fine_tuned": True}}}
BERT, DISTILBERT = 108.9e6, 66.4e6  # parameters, as published


def record(metric: str, value: float, n: int = 10, spread: float = 0.1, **conditions: Any) -> Record:
    """A median of the study's own network in fp32, unless ``conditions`` say otherwise."""
    at = {"network": "study", "precision": "fp32", "attention": "sdpa", "eager_control": False}
    return timed(metric, value, n, spread, **at | conditions)


def sized(parameters: float, network: str = "study") -> list[Record]:
    """What makes a profile: the size of its own network; of its full-size twin too, where ``parameters`` are that's."""
    sizes = {"study": 9000} | {network: parameters}
    return [Record.of("parameters", size, "parameters", conditions={"network": name}) for name, size in sizes.items()]


def forward(seconds: float, batch_size: int = 1, length: int = 128, **conditions: Any) -> Record:
    at = {"batch_size": batch_size, "length": length, "inputs": "random tokens", "flops": 22.4e9, "share_of_peak": 0.25}
    return record("forward_seconds", seconds, **at | conditions)


def scenarios(p50: float, offline: tuple[float, ...] = (1.0,), spread: float = 0.1, **conditions: Any) -> list[Record]:
    """SingleStream with p90 twice and p99 three times its median, and Offline at batch 8, 16, …"""
    names = zip(("", "_p90", "_p99"), (1, 2, 3), strict=True)
    rows = [record(f"single_stream_seconds{p}", p50 * times, 400, spread, **conditions) for p, times in names]
    rows += [
        record("offline_questions_per_second", value, batch_size=8 * 2**i, **conditions)
        for i, value in enumerate(offline)
    ]
    return rows


def out_of_memory(work: str, batch_size: int, **conditions: Any) -> Record:
    return record("out_of_memory", 1, work=work, batch_size=batch_size, **conditions)


def models(parameters: tuple[float, ...] = (100, 50), f1: tuple[float, ...] = (80, 76), **columns: Any) -> pd.DataFrame:
    """What costs need of the table of models: an hour of training for the first, half an hour for others."""
    seconds = [3600.0] + [1800.0] * (len(f1) - 1)
    names = ["BERT", "DistilBERT", "SqueezeBERT"][: len(f1)]
    return pd.DataFrame({"model": names, "parameters": parameters, "f1": f1, "train_paid_seconds": seconds} | columns)


@pytest.fixture
def profiled(collected_of: Callable[..., Collected]) -> Callable[..., Collected]:
    """A function from the records of each model's profile to all that the analysis reads; keywords go to the study.

    As in ``collected_of``, BERT takes an hour to train and others half; F1 is 80 of BERT and 76 of others.
    """

    def build(profiles: dict[str, Sequence[Record]], **keys: Any) -> Collected:
        collected = collected_of({slug: [[0.8 if slug == "bert" else 0.76] * 4] for slug in profiles}, **keys)
        made = {slug: results_of(collected.study, "profile", slug, None, rows) for slug, rows in profiles.items()}
        return replace(collected, profiles=made)

    return build
