"""What a stage's result depends on, as one digest: its part of the study, its data files, and its code."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from qa_tradeoffs import config
from qa_tradeoffs.paths import read_bytes

Stage = Literal["train", "evaluate", "profile"]

_SHARED = ("schema", "config", "hub", "data", "synthetic", "example", "features", "models", "grouped", "device")
# The modules that a stage's numbers come from: editing figures.py trains nothing. make learns them from here.
CODE: dict[Stage, tuple[str, ...]] = {
    "train": (*_SHARED, "dropout", "flops", "collation", "training", "workers"),
    "evaluate": (*_SHARED, "predictions", "metrics", "no_answer", "evaluation", "baseline", "intervals"),
    "profile": (
        *(*_SHARED, "clock", "workloads", "durations", "profiling", "scenarios", "memory"),
        *("predictions", "metrics", "no_answer", "evaluation", "intervals"),
    ),
}


def digest(study: config.Study, stage: Stage, slug: str, seed: int | None) -> str:
    """SHA-256 of all that this stage's result depends on; an evaluation depends on what its training depends on, too.

    A result that was made from other inputs than there are now is a stale one.
    """
    content: dict[str, Any] = config.stage_inputs(study, stage, slug) | {"seed": seed}
    content["code"] = [_of_file(file) for file in code(stage)]
    content["files"] = [_of_file(file) for file in data_files(study.data).values()]
    if stage == "evaluate" and not study.model(slug).fine_tuned:
        content["training"] = digest(study, "train", slug, seed)
    return config.digest(content)


def code(stage: Stage) -> list[Path]:
    """The source files of this stage."""
    return [Path(__file__).with_name(f"{module}.py") for module in CODE[stage]]


def data_files(data: config.Data) -> dict[str, Path]:
    """The files that a study's data come from, by their key."""
    if not isinstance(data, config.FileData):
        return {}
    files = {"train": data.train, "validation": data.validation, "file": data.file}
    return {key: path for key, path in files.items() if path is not None}


def _of_file(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()
