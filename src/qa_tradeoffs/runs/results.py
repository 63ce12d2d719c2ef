"""Result files: records (value, unit, n, interval, conditions) and their provenance."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from qa_tradeoffs.core.documents import Strict, first_problem, read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, sha256_of, write_text
from qa_tradeoffs.metrics.passes import SideBySide
from qa_tradeoffs.metrics.records import Condition, Record
from qa_tradeoffs.models.weights import Conversion
from qa_tradeoffs.runs import inputs
from qa_tradeoffs.study.config import digest

Kind = TypeVar("Kind", "Results", "Comparison", "Experiment")
Stated = TypeVar("Stated", "Results", "Comparison")  # of a study


class Origin(Strict):
    """The code, the software and the machine."""

    git_commit: str | None = Field(description="None outside a git checkout")
    git_dirty: bool | None = Field(description="whether tracked files differed from the commit")
    seed: int | None
    device: dict[str, Condition]
    python: str
    versions: dict[str, str]


class OfStudy(Origin):
    """The provenance of a result file of a study."""

    study: str = Field(description="name of the study file")
    study_sha256: str = Field(description="of the study file's bytes")
    inputs_sha256: str = Field(
        description="of the part of the study, the data files and the code that this stage depends on"
    )
    data_sha256: str
    data_revision: str | None = Field(default=None, description="commit hash of a data set of the Hub")


class Provenance(OfStudy):
    """The provenance of a stage's result file: enough to reproduce it."""

    checkpoint: str
    revision: str | None = Field(description="commit hash of a Hub checkpoint")
    weights: dict[str, str] = Field(
        default_factory=dict, exclude_if=lambda value: not value, description="SHA-256 of its safetensors, by file"
    )
    converted: tuple[Conversion, ...] = Field(
        default=(), exclude_if=lambda value: not value, description="its files that are pickles, read as safetensors"
    )


class Results(Strict):
    """The measurements of one stage of one model."""

    format: Literal[1] = 1
    stage: Literal["train", "evaluate", "profile"]
    model: str
    provenance: Provenance
    records: tuple[Record, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()
    beside: dict[str, str] = Field(
        default_factory=dict, description="SHA-256 of each file that was written with it, by path from its folder"
    )

    def find(self, metric: str, **conditions: Condition) -> Record:
        """The only record of this metric under these conditions. Raises StudyError if there is none or several."""
        found = [record for record in self.all(metric) if conditions.items() <= record.conditions.items()]
        if len(found) != 1:
            raise StudyError(
                f"results of stage {self.stage} of {self.model}: {len(found)} records of {metric} under {conditions}, "
                "expected one; run the stage again"
            )
        return found[0]

    def all(self, metric: str) -> list[Record]:
        """Every record of this metric, in the order in which it was measured."""
        return [record for record in self.records if record.metric == metric]


class Comparison(Strict):
    """Interleaved measurements of all ``models``.

    ``records``: figures other than times of passes, such as percentiles; their conditions name the ``model``, by slug.
    """

    format: Literal[1] = 1
    stage: Literal["compare"] = "compare"
    models: tuple[str, ...] = Field(min_length=1)
    provenance: OfStudy
    works: tuple[SideBySide, ...] = Field(min_length=1)
    records: tuple[Record, ...] = ()
    notes: tuple[str, ...] = ()
    beside: dict[str, str] = Field(
        default_factory=dict, description="SHA-256 of each file that was written with it, by path from its folder"
    )

    def all(self, work: str, network: str) -> list[SideBySide]:
        """Every comparison of this kind of work on this kind of network."""
        return [one for one in self.works if (one.work, one.network) == (work, network)]

    def record(self, metric: str, model: str, work: SideBySide) -> Record | None:
        """A model's record for this work, or None."""
        wanted = work.conditions | {"work": work.work, "network": work.network, "model": model}
        found = (r for r in self.records if r.metric == metric and wanted.items() <= r.conditions.items())
        return next(found, None)


class Experiment(Strict):
    """A measurement that belongs to no study: its records and their origin."""

    format: Literal[2] = 2
    experiment: Literal["anomaly"]
    origin: Origin
    records: tuple[Record, ...] = Field(min_length=1)

    def all(self, metric: str) -> list[Record]:
        """Every record of this metric, in the order in which it was measured."""
        return [record for record in self.records if record.metric == metric]


def write(path: Path, results: Results | Comparison | Experiment) -> None:
    """Write the file atomically, with keys in a fixed order, so that equal results give equal bytes.

    The last key is a digest of all others, which reveals later changes.
    """
    content = results.model_dump(mode="json")
    write_text(path, json.dumps(content | {"sha256": digest(content)}, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> Results:
    """Read and check a stage's result file. Raises StudyError naming the file."""
    return _read(path, Results, "run the stage that writes it (make all does)")


def read_comparison(path: Path) -> Comparison:
    """Read and check the comparison's result file. Raises StudyError naming the file."""
    return _read(path, Comparison, "run the stage that writes it (make all does)")


def read_fresh(path: Path, expected: str) -> Results:
    """Read a stage's result file. Raises StudyError naming it if its digest of inputs is not ``expected``."""
    return checked_fresh(path, read(path), expected)


def checked_fresh(path: Path, found: Stated, expected: str) -> Stated:
    """The content of ``path``. Raises StudyError naming the file if its digest of inputs is not ``expected``."""
    if found.provenance.inputs_sha256 != expected:
        raise StudyError(f"{path}: is stale: settings, data, code or library versions have changed since; run make all")
    return found


def fingerprints(folder: Path, *written: Path) -> dict[str, str]:
    """SHA-256 of each of these files, and of each file in these folders, by path relative to ``folder``."""
    files = sorted(file for path in written for file in (path.iterdir() if path.is_dir() else [path]))
    return {str(file.relative_to(folder)): sha256_of(file) for file in files}


def check_beside(path: Path, found: Results, *read: Path) -> None:
    """Raise StudyError for a file to be read that was not written together with the result ``found`` in ``path``."""
    names = [str(part.relative_to(path.parent)) for part in read]
    expected = {name: sha for name, sha in found.beside.items() if name.startswith(tuple(names))}
    there = fingerprints(path.parent, *(part for part in read if part.exists())) if expected else {}
    if differing := [name for name, sha in expected.items() if there.get(name) != sha]:
        raise StudyError(f"{path.parent / differing[0]}: does not belong to {path}; run make all")


def read_experiment(path: Path) -> Experiment:
    """Read and check an experiment's result file. Raises StudyError naming the file."""
    return _read(path, Experiment, "run make anomaly")


def software() -> dict[str, Any]:
    """Versions of Python and of packages that can change a number, and the commit of this code."""
    found = inputs.versions()
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        run = subprocess.run(describe, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git or no checkout
        commit, dirty = None, None
    else:
        commit, dirty = run.stdout.strip().removesuffix("-dirty"), run.stdout.strip().endswith("-dirty")
    return {"python": found.pop("python"), "versions": found, "git_commit": commit, "git_dirty": dirty}


def records(rows: Iterable[Record | Mapping[str, Any]], **conditions: Condition) -> tuple[Record, ...]:
    """Records, some given as keyword rows; ``conditions`` apply to all of them, but a row's own take precedence."""
    return tuple((row if isinstance(row, Record) else Record(**row)).under(conditions) for row in rows)


def _read(path: Path, kind: type[Kind], advice: str) -> Kind:
    content = read_json(path, f"is missing; {advice}")
    written = content.pop("sha256", None) if isinstance(content, dict) else None
    if written is not None and written != digest(content):
        raise StudyError(f"{path}: was changed after it was written; {advice}")
    try:
        return kind.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise StudyError(f"{path}: is not a result file of this program ({first_problem(error)})") from None
