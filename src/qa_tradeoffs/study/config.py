"""Read and check a study file; every problem is one sentence that names the file and the key.

The types are those of schema.py, under the same names here.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from qa_tradeoffs.core.documents import Section, one_line, read_yaml, shown
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.study.schema import (
    Data,
    Evaluation,
    FileData,
    GeneratedData,
    Grid,
    HubData,
    Model,
    Profile,
    Study,
    Training,
)  # fmt: skip

__all__ = [
    "Data", "Evaluation", "FileData", "GeneratedData", "Grid", "HubData", "Model", "Profile", "Study", "Training",
    "check", "digest", "first_problem", "load", "seed", "stage_inputs",
]  # fmt: skip


def load(path: Path | str) -> Study:
    """Read and check a study file. Relative paths in it are relative to its folder. Raises StudyError."""
    path = Path(path)
    return check(read_yaml(path), path)


def check(content: Any, path: Path) -> Study:
    """The Study that a YAML file's content describes. Raises StudyError naming the file and the first wrong key."""
    if not isinstance(content, dict):
        raise StudyError(f"{path}: must be a mapping of keys (title, data, models, ...), not {type(content).__name__}")
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise StudyError(f"{path}: {first_problem(error, Study)}") from None
    study = _with_absolute_paths(study, path.resolve().parent)
    study._file = path
    return study


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem that pydantic names, as 'key: what is wrong; what would be right'."""
    # A misspelt key is two problems, one unknown and one missing: the first says more.
    problem = min(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    location = problem["loc"]
    tags = {1} if location[:1] == ("data",) else set()  # pydantic puts the source there: data.files.train
    path = ".".join(str(part) for i, part in enumerate(location) if i not in tags and part != "[key]")
    where = f"{one_line(path)}: " if path else ""
    if problem["type"] == "extra_forbidden":
        section = _section(model, location)
        keys = [field.alias or name for name, field in section.model_fields.items()] if section else []
        return f"{where}unknown key" + (f"; the keys here are {', '.join(keys)}" if keys else "")
    own_words = problem["msg"].removeprefix("Value error, ").replace("Input should", "must")
    message = _MESSAGES.get(problem["type"], own_words)
    given = problem["input"]
    quoted = f" (it is {shown(given)})" if isinstance(given, (str, int, float)) else ""
    return f"{where}{message}{quoted}"


def stage_inputs(study: Study, stage: str, slug: str) -> dict[str, Any]:
    """What of the study a stage's result depends on, as plain JSON: if this is unchanged, so is the result."""
    content = study.model_dump(mode="json")
    keys = {
        "train": ("data", "training"),
        "evaluate": ("data", "training", "evaluation"),
        "profile": ("data", "training", "evaluation", "profile"),
    }[stage]
    model = {key: value for key, value in content["models"][slug].items() if key != "label"}
    return {"stage": stage, "model": {slug: model}} | {key: content[key] for key in keys}


def seed(text: str) -> int:
    """A seed as people write it on a command line. Raises StudyError."""
    if not re.fullmatch("0|[1-9][0-9]{0,9}", text):
        raise StudyError(f"SEEDS: '{one_line(text)}' is no seed; give whole numbers from 0, separated by blanks")
    return int(text)


def digest(content: Any) -> str:
    """SHA-256 of plain JSON content, independent of key order and layout."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _with_absolute_paths(study: Study, base: Path) -> Study:
    """The same study with every path resolved against the study file's folder."""

    def resolve(part: Any, names: tuple[str, ...]) -> Any:
        changes = {name: base / value for name in names if (value := getattr(part, name)) is not None}
        return part.model_copy(update=changes)

    data = resolve(study.data, ("train", "validation", "file")) if isinstance(study.data, FileData) else study.data
    models = {slug: resolve(model, ("path",)) for slug, model in study.models.items()}
    return study.model_copy(update={"data": data, "models": models})


# Where pydantic speaks of its own types, what the writer of a file needs to know.
_MESSAGES = {
    "missing": "is missing",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "tuple_type": "must be a list, as in [0, 1]",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_type": "must be a text, in quotes if it looks like a number",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "path_type": "must be the path of a file",
    "union_tag_not_found": "needs `source`, one of generated, hub, files",
    "union_tag_invalid": "`source` must be one of generated, hub, files",
    "string_pattern_mismatch": "must be at most 41 of a-z 0-9 . _ - and begin with a letter or digit",
}
_SOURCES: dict[str | int, type[Section]] = {"generated": GeneratedData, "hub": HubData, "files": FileData}
_SECTIONS: dict[str | int, type[Section]] = {"training": Training, "evaluation": Evaluation, "profile": Profile}


def _section(top: type[BaseModel], location: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The part of a ``top`` whose key is at this location, where people write such parts."""
    match location:
        case (_,):
            return top
        case ("data", source, _):
            return _SOURCES[source]
        case ("models", _, _):
            return Model
        case ("profile", _, _):
            return Grid
        case (name, _):
            return _SECTIONS.get(name)
    return None
