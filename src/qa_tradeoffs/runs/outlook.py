"""The notebooks that a make still has to execute, and their expected times, for the progress line on its terminal."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from qa_tradeoffs.core.files import write_text
from qa_tradeoffs.runs import inputs
from qa_tradeoffs.runs.graph import Step
from qa_tradeoffs.runs.paths import RunPaths, relative

VARIABLE = "QA_TRADEOFFS_NOTEBOOKS"
# The stages that a target of make runs; any other target runs all.
_OF_TARGETS = {
    "train": {"train"},
    "evaluate": {"train", "evaluate"},
    "profile": {"profile"},
    "compare": {"train", "compare"},
}


def write_expected(run: RunPaths, seconds: Mapping[Path, float]) -> None:
    """Save the forecast ``seconds`` of each notebook, for ``of``."""
    write_text(_file(run), json.dumps({str(relative(path)): value for path, value in seconds.items()}))


def announced(run: RunPaths, stages: Sequence[Step], goals: Sequence[str]) -> dict[str, str]:
    """The environment that tells each notebook its place among those that make executes for these goals."""
    every = {stage.name for stage in stages}
    wanted = set[str]().union(*(_OF_TARGETS.get(goal, every) for goal in goals))
    notebooks = [str(relative(stage.notebook)) for stage in stages if stage.name in wanted and stage.stale]
    return {VARIABLE: json.dumps({"notebooks": notebooks, "expected": str(_file(run))})}


def of(notebook: Path) -> tuple[str, float]:
    """'3/11 ' for the third of the 11 notebooks of its make, and the expected seconds of those after it.

    '' if no make has announced it; NaN if a time is unknown.
    """
    plan = json.loads(os.environ.get(VARIABLE, "{}"))
    names, name = plan.get("notebooks", []), str(relative(notebook.absolute()))
    if name not in names:
        return "", math.nan
    place = names.index(name)
    expected = inputs.recorded(Path(plan["expected"]))
    return f"{place + 1}/{len(names)} ", float(sum(expected.get(later, math.nan) for later in names[place + 1 :]))


def _file(run: RunPaths) -> Path:
    return run.folder / ".expected.json"
