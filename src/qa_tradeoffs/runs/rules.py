"""The rules of a selection as a makefile: every stage by name, of which those that are stale have to run.

No rule depends on the age of a file. What is stale is forced, what still stands has no prerequisites, and what has to
wait for another stage only waits for it.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qa_tradeoffs.core.files import REPORTS, ROOT, write_text
from qa_tradeoffs.runs import graph, inputs
from qa_tradeoffs.runs.graph import Stage
from qa_tradeoffs.runs.paths import relative
from qa_tradeoffs.runs.selection import Launch, Selection


def makefile(chosen: Selection, launch: Launch) -> str:
    """The rules of every stage, of the report, and of make's targets for a study."""
    stages = list(graph.stages(chosen))
    *measured, analysis = stages
    report, executed = report_of(chosen), [stage.notebook for stage in measured]
    by_name = {name: [s.notebook for s in measured if s.name == name] for name in ("train", "evaluate", "profile")}
    render = _python("qa_tradeoffs.report.pages", chosen.study_file, chosen.run.folder, report.parent, *executed)
    targets = [path for stage in stages for path in stage.targets]
    lines = [
        f"# What make runs for {chosen.study_file}: written anew by each make.",
        f"PY := {sys.executable}",
        "" if launch.side_by_side else ".NOTPARALLEL:",
        ".PHONY: all report train evaluate profile publish FORCE",
        f".PRECIOUS: {_names([*targets, report])}\n",
        *(_rule(stage.targets, _execute(stage, launch), stage.stale, stage.after) for stage in stages),
        _rule([report], render, report_is_stale(chosen, analysis), [analysis]),
        f"all report: {_names([report])}\n\t@echo {shlex.quote(str(report))}\n",
        *(f"{name}: {_names(notebooks)}\n" for name, notebooks in by_name.items()),
        f"publish: {_names([report])}\n\t@{_publish(chosen, executed)}\n\t@{_python('benchmarks.readme')}",
    ]
    return "\n".join(lines) + "\n"


def report_of(chosen: Selection) -> Path:
    """The report's first page; its folder is named after that of the results."""
    return ROOT / REPORTS / chosen.run.folder.name / "index.html"


def report_is_stale(chosen: Selection, analysis: Stage) -> bool:
    """Whether the report is missing, or its notebooks or the code that renders them changed."""
    return analysis.stale or not report_of(chosen).is_file() or graph.recorded(_record(chosen)) != _rendered(chosen)


def record_report(chosen: Selection) -> None:
    """Record what the finished report was rendered from."""
    write_text(_record(chosen), json.dumps(_rendered(chosen), indent=1))


def _record(chosen: Selection) -> Path:
    return chosen.run.folder / ".report.inputs.json"


def _rendered(chosen: Selection) -> dict[str, Any]:
    """SHA-256 of what the report depends on: the executed notebooks, the code that renders them, and the templates."""
    wing = inputs.SOURCE / "report"
    code = [*inputs.closure([wing / "pages.py"]), *sorted((wing / "templates").glob("*"))]
    notebooks = [stage.notebook for stage in graph.stages(chosen)]
    return {str(relative(path)): inputs.sha256(path) for path in [*notebooks, *code] if path.is_file()}


def _execute(stage: Stage, launch: Launch) -> str:
    """The command that executes a stage's notebook."""
    chosen = stage.selection
    parameters: dict[str, Any] = {"study": str(chosen.study_file), "run": str(relative(chosen.run.folder))}
    if stage.name == "analysis":
        parameters |= {"models": " ".join(chosen.models), "seeds": " ".join(map(str, chosen.seeds))}
    else:
        parameters |= {"model": stage.slug, "device": chosen.device}
    if stage.seed is not None:
        parameters["seed"] = stage.seed
    if stage.name == "train" and launch.processes:
        parameters["processes"] = int(launch.processes)
    values = [word for name, value in parameters.items() for word in ("-p", name, json.dumps(value))]
    command = _python("qa_tradeoffs.runs.execute", stage.name, stage.notebook, *values)
    return f"{launch.profile if stage.name == 'profile' else launch.every} {command}".strip()


def _publish(chosen: Selection, notebooks: Sequence[Path]) -> str:
    pages = ROOT / REPORTS / "published" / chosen.run.folder.name
    options = ["--models", " ".join(chosen.models), "--seeds", " ".join(map(str, chosen.seeds))]
    return _python("qa_tradeoffs.publish.snapshot", chosen.study_file, chosen.run.folder, pages, *notebooks, *options)


def _rule(targets: Sequence[Path], command: str, stale: bool, after: Sequence[Stage]) -> str:
    colon = " &:" if len(targets) > 1 else ":"
    waits = f" | {_names([stage.notebook for stage in after])}" if after else ""
    return f"{_names(targets)}{colon}{' FORCE' if stale else ''}{waits}\n\t@{command}\n"


def _python(module: str, *words: Any) -> str:
    """A module's command line, paths relative to the repository, that make hands to the shell unchanged."""
    texts = [str(relative(word)) if isinstance(word, Path) else str(word) for word in words]
    return f"$(PY) -m {module} " + shlex.join(texts).replace("$", "$$")


def _names(paths: Sequence[Path]) -> str:
    return " ".join(str(relative(path)) for path in paths)
