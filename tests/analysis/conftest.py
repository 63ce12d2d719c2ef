"""Profiles made of hand-made records."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.metrics.passes import SideBySide
from qa_tradeoffs.metrics.records import Record
from tests.conftest import MODELS, comparison_of, results_of, timed

FINE_TUNED = {"models": MODELS | {"distilbert": MODELS["distilbert"] | {"fine_tuned": True}}}
BERT, DISTILBERT = 108.9e6, 66.4e6  # parameters, as published


def record(metric: str, value: float, n: int = 10, spread: float = 0.1, **conditions: Any) -> Record:
    """A median of the study's own network in fp32, unless ``conditions`` say otherwise."""
    at = {"network": "study", "precision": "fp32", "attention": "sdpa", "eager_control": False}
    return timed(metric, value, n, spread, **at | conditions)


def sized(parameters: float, network: str = "study") -> list[Record]:
    """The sizes of a profile: 9000 or ``parameters`` for the study's network, ``parameters`` for a full-size twin."""
    sizes = {"study": 9000} | {network: parameters}
    return [Record.of("parameters", size, "parameters", conditions={"network": name}) for name, size in sizes.items()]


def out_of_memory(work: str, batch_size: int, **conditions: Any) -> Record:
    return record("out_of_memory", 1, work=work, batch_size=batch_size, **conditions)


def compared(collected: Collected, *works: SideBySide, records: Sequence[Record] = ()) -> Collected:
    """The same with another comparison."""
    return replace(collected, comparison=comparison_of(collected.study, collected.slugs, *works, records=records))


def models(parameters: tuple[float, ...] = (100, 50), f1: tuple[float, ...] = (80, 76), **columns: Any) -> pd.DataFrame:
    """The columns of the table of models for costs: an hour of training and 0.36 s per question, half for others."""
    share = [1.0] + [0.5] * (len(f1) - 1)
    names = ["BERT", "DistilBERT", "SqueezeBERT"][: len(f1)]
    question = [0.36 * of_first for of_first in share]
    return pd.DataFrame(
        {
            "model": names, "parameters": parameters, "f1": f1,
            "train_paid_seconds": [3600 * of_first for of_first in share],
            "question": question, "question_low": [0.9 * value for value in question],
            "question_high": [1.1 * value for value in question],
        }
        | columns
    )  # fmt: skip


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
