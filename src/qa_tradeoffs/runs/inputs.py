"""What a stage's result depends on, as one digest: its part of the study, its data files, and its code."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Literal

from qa_tradeoffs.core.documents import read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, is_file, read_bytes
from qa_tradeoffs.study import config

Stage = Literal["train", "evaluate", "profile"]

_SHARED = (
    "core/documents",
    "study/config",
    "core/hub",
    "data/sources",
    "data/generated",
    "data/example",
    "data/features",
    "models/networks",
    "models/squeezebert",
    "models/devices",
)
# The modules that a stage's numbers come from: editing figures.py trains nothing. make learns them from here.
CODE: dict[Stage, tuple[str, ...]] = {
    "train": (
        *_SHARED,
        "models/dropout",
        "metrics/flops",
        "training/collation",
        "training/fine_tuning",
        "training/workers",
    ),
    "evaluate": (
        *_SHARED,
        "evaluation/predictions",
        "metrics/squad",
        "metrics/no_answer",
        "evaluation/scoring",
        "evaluation/baseline",
        "metrics/intervals",
    ),
    "profile": (
        *(
            *_SHARED,
            "profiling/clock",
            "profiling/workloads",
            "profiling/durations",
            "profiling/latency",
            "profiling/scenarios",
            "profiling/memory",
        ),
        *("evaluation/predictions", "metrics/squad", "metrics/no_answer", "evaluation/scoring", "metrics/intervals"),
    ),
}
NOTEBOOKS: dict[Stage, Path] = {
    "train": ROOT / "notebooks" / "1-train.ipynb",
    "evaluate": ROOT / "notebooks" / "2-evaluate.ipynb",
    "profile": ROOT / "notebooks" / "3-profile.ipynb",
}
_OF_A_CHECKPOINT = (".safetensors", ".json", ".txt")


def digest(study: config.Study, stage: Stage, slug: str, seed: int | None) -> str:
    """SHA-256 of all that this stage's result depends on; an evaluation depends on what its training depends on, too.

    A result that was made from other inputs than there are now is a stale one.
    """
    content: dict[str, Any] = config.stage_inputs(study, stage, slug) | {"seed": seed}
    content["code"] = [_of_file(file) for file in code(stage)]
    content["notebook"] = _code_cells(NOTEBOOKS[stage])
    files = [*data_files(study.data).values(), *model_files(study.model(slug))]
    content["files"] = [_of_file(file) for file in files]
    if stage == "evaluate" and not study.model(slug).fine_tuned:
        content["training"] = digest(study, "train", slug, seed)
    return config.digest(content)


def code(stage: Stage) -> list[Path]:
    """The source files of this stage."""
    return [Path(__file__).parents[1] / f"{module}.py" for module in CODE[stage]]


def data_files(data: config.Data) -> dict[str, Path]:
    """The files that a study's data come from, by their key."""
    if not isinstance(data, config.FileData):
        return {}
    files = {"train": data.train, "validation": data.validation, "file": data.file}
    return {key: path for key, path in files.items() if path is not None}


def model_files(model: config.Model) -> list[Path]:
    """The files of a model's checkpoint in a folder of this machine, which may come to hold others."""
    if model.path is None:
        return []
    return sorted(file for file in model.path.glob("*") if file.suffix in _OF_A_CHECKPOINT and is_file(file))


def _code_cells(notebook: Path) -> list[str]:
    """What the notebook computes: not its prose, its outputs, or the parameters that a person last ran it with."""
    try:
        cells = [cell for cell in read_json(notebook)["cells"] if cell["cell_type"] == "code"]
        return ["".join(cell["source"]) for cell in cells if "parameters" not in cell["metadata"].get("tags", ())]
    except (LookupError, TypeError, AttributeError):
        raise StudyError(f"{notebook}: is not a notebook") from None


def _of_file(path: Path) -> str:
    """SHA-256, computed again only where the file has changed: weights are large, and asked for by every stage."""
    status = path.stat() if is_file(path) else None
    return _sha256(path, (status.st_ino, status.st_size, status.st_mtime_ns) if status else None)


@cache
def _sha256(path: Path, _: tuple[int, ...] | None) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()
