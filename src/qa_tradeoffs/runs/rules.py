"""The rules of a selection as a makefile, in which only stale stages run.

No rule depends on the age of a file. Stale stages are forced, others have no prerequisites, and dependencies between
stages are order-only.
"""

import json
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qa_tradeoffs.core.files import REPORTS, ROOT
from qa_tradeoffs.runs import graph
from qa_tradeoffs.runs.graph import Step
from qa_tradeoffs.runs.paths import relative
from qa_tradeoffs.runs.selection import Selection


def makefile(chosen: Selection) -> str:
    """The rules for every stage and for make's targets of a study."""
    stages = graph.stages(chosen)
    report = stages[-1]
    by_name = {name: [stage.notebook for stage in stages if stage.name == name] for name in graph.MEASURED}
    notebooks, page = [path for executed in by_name.values() for path in executed], _names(report.targets)
    of_pages = (chosen.study_file, chosen.run.folder, report.notebook.parent, *notebooks)
    published = (
        chosen.study_file,
        chosen.run.folder,
        ROOT / REPORTS / "published" / chosen.run.folder.name,
        *notebooks,
    )
    options = ("--models", " ".join(chosen.models), "--seeds", " ".join(map(str, chosen.seeds)))
    lines = [
        f"# Make's rules for {chosen.study_file}: rewritten by each make.",
        f"PY := {sys.executable}",
        "" if chosen.launch else ".NOTPARALLEL:",  # concurrent notebooks would disturb each other's timings
        ".PHONY: all report train evaluate profile compare publish FORCE",
        f".PRECIOUS: {_names(path for stage in stages for path in stage.targets)}\n",
        *(_rule(stage, _execute(chosen, stage)) for stage in stages[:-1]),
        _rule(report, _python("qa_tradeoffs.report.pages", *of_pages)),
        f"all report: {page}\n\t@echo {shlex.quote(str(report.notebook))}\n",
        *(f"{name}: {_names(executed)}\n" for name, executed in by_name.items()),
        f"publish: {page}\n\t@{_python('qa_tradeoffs.publish.snapshot', *published, *options)}",
        f"\t@{_python('benchmarks.readme', 'README.md')}",
    ]
    return "\n".join(lines) + "\n"


def _rule(stage: Step, command: str) -> str:
    colon = " &:" if len(stage.targets) > 1 else ":"
    waits = f" | {_names(before.notebook for before in stage.after)}" if stage.after else ""
    return f"{_names(stage.targets)}{colon}{' FORCE' if stage.stale else ''}{waits}\n\t@{command}\n"


def _execute(chosen: Selection, stage: Step) -> str:
    """The command that executes a stage's notebook."""
    values = [word for name, value in _parameters(chosen, stage).items() for word in ("-p", name, json.dumps(value))]
    command = _python("qa_tradeoffs.runs.execute", stage.name, stage.notebook, *values)
    measures = stage.name in ("profile", "compare")
    return f"{chosen.launch_profile if measures else chosen.launch} {command}".strip()


def _parameters(chosen: Selection, stage: Step) -> dict[str, Any]:
    """The parameters of a stage's notebook; none if it belongs to no study."""
    if stage.name in graph.EXCURSIONS:
        return {}
    parameters: dict[str, Any] = {"study": str(chosen.study_file), "run": str(relative(chosen.run.folder))}
    if stage.name == "analysis":
        parameters |= {"models": " ".join(chosen.models), "seeds": " ".join(map(str, chosen.seeds))}
    elif stage.name == "compare":
        parameters |= {"models": " ".join(chosen.models), "seed": chosen.seeds[0], "device": chosen.device}
    else:
        parameters |= {"model": stage.slug, "device": chosen.device}
    if stage.seed is not None:
        parameters["seed"] = stage.seed
    if stage.name == "train" and chosen.processes:
        parameters["processes"] = chosen.processes
    return parameters


def _python(module: str, *words: Any) -> str:
    """A module's command line with paths relative to the repository, escaped for make and the shell."""
    texts = [str(relative(word)) if isinstance(word, Path) else str(word) for word in words]
    return f"$(PY) -m {module} " + shlex.join(texts).replace("$", "$$")


def _names(paths: Iterable[Path]) -> str:
    return " ".join(str(relative(path)) for path in paths)
