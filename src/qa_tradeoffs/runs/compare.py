"""Two runs of one study, byte for byte: all but the times must be the same.

python -m qa_tradeoffs.runs.compare runs/demo runs/demo/.again
"""

import argparse
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import read_bytes
from qa_tradeoffs.runs import results

_EXACT = (
    "*/seed-*/checkpoint/*",
    "*/seed-*/history.parquet",
    "*/seed-*/predictions.parquet",
)
_RESULTS = ("*/seed-*/training.json", "*/seed-*/evaluation.json")
# Code is compared by the digest that each result holds of it: a commit of something else makes no other run.
_OF_GIT = {"git_commit": None, "git_dirty": None}


def differences(one: Path, other: Path) -> list[str]:
    """What is not the same in two runs' folders, a path each. Raises StudyError where there is nothing to compare.

    Weights, loss histories and predictions must be equal in every byte; of results, all but what is in seconds or per
    second, and git's name of the code.
    """
    pairs = [(name, kind) for kind in (*_EXACT, *_RESULTS) for name in _names(one, kind) | _names(other, kind)]
    if not any(kind in _RESULTS for _, kind in pairs):
        raise StudyError(f"{one}, {other}: there are no results in either; run make all first")
    return sorted(name for name, kind in pairs if _content(one / name, kind) != _content(other / name, kind))


def _names(run: Path, kind: str) -> set[str]:
    return {str(path.relative_to(run)) for path in run.glob(kind)}


def _content(path: Path, kind: str) -> bytes | results.Results | None:
    """What has to be equal; None for a file that is not there."""
    if not path.is_file():
        return None
    if kind not in _RESULTS:
        return read_bytes(path)
    found = results.read(path)
    untimed = tuple(record for record in found.records if record.unit != "s" and not record.unit.endswith("/s"))
    return found.model_copy(update={"records": untimed, "provenance": found.provenance.model_copy(update=_OF_GIT)})


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Compare two runs of one study byte for byte, but for times.")
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    options = parser.parse_args(arguments)
    if differing := differences(options.one, options.other):
        raise StudyError(f"{options.one} and {options.other} are not the same run: {', '.join(differing)} differ")
    print(f"the same, but for times: {options.one} and {options.other}")


if __name__ == "__main__":
    exit_cleanly(main)
