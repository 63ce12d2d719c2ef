"""Two runs of one study, byte for byte: all but the times must be the same.

python -m qa_tradeoffs.compare runs/demo runs/demo/.again
"""

import argparse
from pathlib import Path

from qa_tradeoffs import results
from qa_tradeoffs.errors import StudyError, exit_cleanly
from qa_tradeoffs.paths import read_bytes

_EXACT = (
    "*/seed-*/checkpoint/*",
    "*/seed-*/history.parquet",
    "*/seed-*/predictions.parquet",
    "*/seed-*/evaluation.json",
)
_BUT_FOR_TIMES = "*/seed-*/training.json"


def differences(one: Path, other: Path) -> list[str]:
    """What is not the same in two runs' folders, a path each. Raises StudyError where there is nothing to compare.

    Weights, loss histories, predictions and scores must be equal in every byte; of the records of a training, all but
    those in seconds or per second.
    """
    pairs = [(name, kind) for kind in (*_EXACT, _BUT_FOR_TIMES) for name in _names(one, kind) | _names(other, kind)]
    if not any(kind == _BUT_FOR_TIMES or name.endswith("evaluation.json") for name, kind in pairs):
        raise StudyError(f"{one}, {other}: there are no results in either; run make all first")
    return sorted(name for name, kind in pairs if _content(one / name, kind) != _content(other / name, kind))


def _names(run: Path, kind: str) -> set[str]:
    return {str(path.relative_to(run)) for path in run.glob(kind)}


def _content(path: Path, kind: str) -> bytes | results.Results | None:
    """What has to be equal; None for a file that is not there."""
    if not path.is_file():
        return None
    if kind != _BUT_FOR_TIMES:
        return read_bytes(path)
    found = results.read(path)
    untimed = tuple(record for record in found.records if record.unit != "s" and not record.unit.endswith("/s"))
    return found.model_copy(update={"records": untimed})


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
