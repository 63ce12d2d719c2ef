"""A trained model in a folder for deployment: exported network, tokenizer and settings. Needs no torch."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from transformers import AutoTokenizer

from qa_tradeoffs.core.documents import Strict, one_line, read_json, validated
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import is_file, sha256_of, write_text
from qa_tradeoffs.engines.onnx_session import Engine
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.models.rows import Rows

NETWORK = "network.onnx"
_SETTINGS = "serving.json"


class Serving(Strict):
    """Settings of the folder's network: fields of Reading in ``reading``, of Rows in ``names`` and ``rows``."""

    format: Literal[1] = 1
    engine: str
    sha256: str = Field(description="of the network's file")
    conditions: dict[str, str] = Field(description="such as its precision")
    pad_token_id: int
    reading: dict[str, int | bool | None]
    names: list[str]
    rows: dict[str, int | str | None]


def is_shipped(folder: Path) -> bool:
    """Whether the folder holds a model for deployment rather than a checkpoint."""
    return is_file(folder / _SETTINGS)


def load(folder: Path, device: str = "cpu") -> tuple[Engine, Any, int | None, Reading]:
    """The engine of a shipped folder, its tokenizer, the longest row that it supports, and its study's reading.

    Raises StudyError naming what is missing, broken or changed since it was shipped, and for any ``device`` but the
    CPU.
    """
    if device not in ("cpu", "auto"):
        raise StudyError(f"DEVICE: {folder} runs on the CPU; choose cpu or auto, not {device}")
    settings = validated(Serving, read_json(folder / _SETTINGS), folder / _SETTINGS)
    file = folder / NETWORK
    if sha256_of(file) != settings.sha256:
        raise StudyError(f"{file}: does not match its {_SETTINGS}; export it again")
    try:
        rows = Rows(frozenset(settings.names), **settings.rows)  # type: ignore[arg-type]
        reading = Reading(**settings.reading)  # type: ignore[arg-type]
    except TypeError as error:
        path = folder / _SETTINGS
        raise StudyError(f"{path}: was written by another version ({one_line(error)}); export it again") from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a broken folder raises many types
        raise StudyError(f"{folder}: its tokenizer cannot be loaded ({one_line(error)}); export it again") from None
    engine = Engine(file, rows, settings.pad_token_id, "cpu", _cores(), settings.conditions)
    return engine, tokenizer, rows.longest, reading


def write(
    folder: Path, engine: str, rows: Rows, pad_token_id: int, reading: Reading, conditions: dict[str, str]
) -> None:
    """Write the settings of a folder that has its network and tokenizer."""
    settings = Serving(
        engine=engine,
        sha256=sha256_of(folder / NETWORK),
        conditions=conditions,
        pad_token_id=pad_token_id,
        reading=asdict(reading),
        names=sorted(rows.names),
        rows={key: value for key, value in asdict(rows).items() if key != "names"},
    )
    write_text(folder / _SETTINGS, settings.model_dump_json(indent=1) + "\n")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
