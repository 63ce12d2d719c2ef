"""The files of questions that a study names, one by one or as folders."""

from collections.abc import Sequence
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import is_folder
from qa_tradeoffs.core.words import listed

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")  # also before .gz


def files(named: Sequence[Path]) -> list[Path]:
    """The named files, and the files in named folders sorted by name. Raises StudyError."""
    found = []
    for path in named:
        if not is_folder(path):
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.is_file() and _is_data(file.name))
        if not inside:
            raise StudyError(f"{path}: has no file that ends in {listed(SUFFIXES)}, or in one of these followed by .gz")
        found += inside
    return found


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name.lower().removesuffix(".gz").endswith(SUFFIXES)
