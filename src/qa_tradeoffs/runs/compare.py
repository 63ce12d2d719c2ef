"""Byte-for-byte comparison of two runs of one study: everything but times must be equal."""

from pathlib import Path

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.runs import inputs, results

_EXACT = ("*/seed-*/checkpoint/*", "*/seed-*/history.parquet", "*/seed-*/predictions*.parquet")
_RESULTS = ("*/seed-*/training.json", "*/seed-*/evaluation*.json")
# Code is compared by the digest in each result: commits of unrelated files do not matter.
_OF_GIT = {"git_commit": None, "git_dirty": None}


def check(one: Path, other: Path) -> None:
    """Print that the runs are equal. Raises StudyError naming what differs."""
    if differing := differences(one, other):
        raise StudyError(f"{one} and {other} are not equal: {', '.join(differing)} differ")
    print(f"the same except for times: {one} and {other}")


def differences(one: Path, other: Path) -> list[str]:
    """The paths that differ between two runs' folders. Raises StudyError if there is nothing to compare.

    Weights, loss histories and predictions must be equal in every byte; results in everything but values in seconds or
    per second and the git commit.
    """
    left, right = _contents(one), _contents(other)
    if not any(isinstance(content, results.Results) for content in (*left.values(), *right.values())):
        raise StudyError(f"{one}, {other}: there are no results in either; run make all first")
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def _contents(run: Path) -> dict[str, str | results.Results]:
    """What must be equal in another run, by path."""
    exact = {path: inputs.sha256(path) for kind in _EXACT for path in run.glob(kind)}
    untimed = {path: _untimed(results.read(path)) for kind in _RESULTS for path in run.glob(kind)}
    return {str(path.relative_to(run)): content for path, content in (exact | untimed).items()}


def _untimed(found: results.Results) -> results.Results:
    records = tuple(record for record in found.records if record.unit != "s" and not record.unit.endswith("/s"))
    return found.model_copy(update={"records": records, "provenance": found.provenance.model_copy(update=_OF_GIT)})
