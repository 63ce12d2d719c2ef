"""Execute one notebook headless, as make does; parameters are checked first, and a partial output has another name.

python -m qa_tradeoffs.runs.execute train OUT.ipynb -p study '"studies/demo.yaml"' -p model '"bert"' -p seed 0
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from traitlets.config import Config

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.documents import one_line, parse_yaml, quoted
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT, enough_disk_for
from qa_tradeoffs.core.locks import end_with_parent, locked
from qa_tradeoffs.runs import graph, inputs, outlook
from qa_tradeoffs.runs.notebooks import DeadKernelError, papermill
from qa_tradeoffs.runs.selection import load_study, selected
from qa_tradeoffs.study import config


def run(notebook: Path, output: Path, parameters: Mapping[str, Any], result: Path | None = None) -> None:
    """Execute ``notebook`` with ``parameters`` into ``output``; ``result`` is the file that it must write.

    While it runs, and if it fails, the executed copy is called ``partial-<name>``, which can be read but is not taken
    for the finished one. Raises StudyError on failure, and if another process executes a notebook into ``output``.
    """
    _check_parameters(notebook, parameters)
    partial = output.with_name(f"partial-{output.name}")
    with locked(output.with_name(f".{output.name}.lock"), str(output)), enough_disk_for(partial):
        before = _signature(result)
        _execute(notebook, partial, parameters)
        if result is not None and _signature(result) in (None, before):
            raise StudyError(f"{notebook.name}: ended without writing {result}; read {partial}")
        partial.replace(output)


def _execute(notebook: Path, partial: Path, parameters: Mapping[str, Any]) -> None:
    """Run papermill with progress on the terminal; StudyError if it fails."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path must be short; TMPDIR may be long
        report = f"{folder}/progress"
        # Sockets that only this user can open; by default they may be created in the current folder.
        sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}
        # Results are on disk by the end, and a kernel that is interrupted at work complains about its sockets.
        settings = Config({"KernelManager": sockets, "NotebookClient": {"shutdown_kernel": "immediate"}})
        variables = {progress.VARIABLE: report, "JUPYTER_RUNTIME_DIR": folder}
        place, later = outlook.of(partial.with_name(partial.name.removeprefix("partial-")))
        title = " ".join([notebook.stem, *(str(parameters[key]) for key in ("model", "seed") if key in parameters)])
        try:
            with mock.patch.dict(os.environ, variables), progress.shown_on_terminal(place + title, Path(report), later):
                papermill.execute_notebook(
                    str(notebook), str(partial), dict(parameters), cwd=str(ROOT), progress_bar=False, log_output=False,
                    config=settings,
                )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            if error.ename == "StudyError":
                raise StudyError(str(error.evalue)) from None
            said, name = one_line(error.evalue), partial.name.removeprefix("partial-")
            raise StudyError(f"{name}: {error.ename}: {said}; the partial notebook is {partial}") from None
        except DeadKernelError:
            training = notebook.stem == "1-train" and "study" in parameters
            advice = f"; {_recipe(parameters).too_large}" if training else ""
            raise StudyError(
                f"{notebook.name}: its kernel died, probably because memory ran out; read {partial}{advice}"
            ) from None


def _recipe(parameters: Mapping[str, Any]) -> config.Training:
    """The recipe of the model to be trained."""
    study = config.load(ROOT / parameters["study"])
    return study.recipe(parameters["model"]) if "model" in parameters else study.training


_KINDS: dict[str, tuple[type, str]] = {"str": (str, "text"), "int": (int, "a whole number")}


def _check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse unknown parameters, of which papermill only warns, and values of the wrong type."""
    if not notebook.is_file():
        raise StudyError(f"{notebook}: no such notebook")
    try:
        known = papermill.inspect_notebook(str(notebook))
    except Exception as error:  # notebook libraries raise various types
        raise StudyError(f"{notebook}: is not a notebook ({one_line(error)})") from None
    for name, value in parameters.items():
        if name not in known:
            raise StudyError(f"{notebook.name}: has no parameter '{name}'; it has {', '.join(known)}")
        kind, said = _KINDS.get(known[name]["inferred_type_name"], (object, ""))
        if type(value) is not kind and kind is not object:
            raise StudyError(f"{notebook.name}: {name}: must be {said}, not {quoted(value)}")


def _signature(path: Path | None) -> tuple[int, int] | None:
    """Identity of a file's current content, or None without a file; an atomic write changes it."""
    if path is None or not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _value(name: str, text: str) -> Any:
    """A parameter parsed as YAML: 0 is a number."""
    try:
        return parse_yaml(text)
    except ValueError:
        raise StudyError(f"{name}: '{text}' is not valid YAML; put text with special characters in quotes") from None


def stage_of(name: str, output: Path, parameters: Mapping[str, Any]) -> graph.Step:
    """The stage that a notebook's parameters refer to. Raises StudyError."""
    if name in graph.EXCURSIONS:
        return graph.Excursion(name, (output,))
    for needed in ("study",) if name in ("compare", "analysis") else ("study", "model"):
        if needed not in parameters:
            raise StudyError(f"{needed}: is missing; give -p {needed} VALUE")
    variables = {
        "STUDY": parameters["study"],
        "MODELS": parameters.get("models") or parameters.get("model", ""),
        "SEEDS": parameters.get("seeds", "") if name == "analysis" else _seeds(parameters),
        "DEVICE": parameters.get("device", ""),
        "RUN": parameters.get("run", ""),
    }
    chosen = selected(variables)
    for stage in graph.stages(chosen):
        if (stage.name, stage.notebook) == (name, output):
            return stage
    raise StudyError(f"{output}: is not the output of {name} for {chosen.study_file}")


def _seeds(parameters: Mapping[str, Any]) -> str:
    """The run's seed, after the seeds of the teachers' runs that it depends on. Raises StudyError."""
    _, study = load_study(parameters["study"])
    slug, seed = parameters.get("model", ""), parameters.get("seed", 0)
    before = study.teacher_seeds(slug, seed) if slug in study.models else []
    return " ".join(dict.fromkeys(map(str, [*reversed(before), seed])))


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Execute the notebook of one stage headless.")
    parser.add_argument("stage", choices=list(inputs.NOTEBOOKS))
    parser.add_argument("output", type=Path, help="the executed notebook")
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="a parameter of the notebook, as YAML; repeat it for each",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    parameters = {name: _value(name, text) for name, text in options.parameters}
    _check_parameters(inputs.NOTEBOOKS[options.stage], parameters)
    stage = stage_of(options.stage, options.output.absolute(), parameters)
    made_from = stage.inputs()  # before execution: a later edit makes the result stale
    result = stage.targets[0] if len(stage.targets) > 1 else None
    run(inputs.NOTEBOOKS[stage.name], options.output, parameters, result)
    stage.write_record(made_from)
    if isinstance(stage, graph.Stage) and stage.seed is not None:  # nothing can fail now
        shutil.rmtree(stage.selection.run.unfinished(stage.slug, stage.seed), ignore_errors=True)
        stage.selection.run.targets(stage.slug, stage.seed).unlink(missing_ok=True)
    print(f"done: {options.output}")


if __name__ == "__main__":
    # The kernel is shut down on exit, as after an interrupt.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if "MAKELEVEL" in os.environ:  # a command started by make must not outlive it
        end_with_parent(signal.SIGTERM)
    exit_cleanly(main)
