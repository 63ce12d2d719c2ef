"""Execute one notebook headless, as make does: parameters checked first, nothing half-finished under a finished name.

python -m qa_tradeoffs.runs.execute train OUT.ipynb -p study '"studies/demo.yaml"' -p model '"bert"' -p seed 0
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traitlets.config import Config

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.documents import one_line, parse_yaml, quoted
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT, enough_disk_for
from qa_tradeoffs.core.locks import end_with_parent, locked
from qa_tradeoffs.runs import graph, inputs
from qa_tradeoffs.runs.notebooks import nbclient, papermill
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.selection import Selection
from qa_tradeoffs.study import config


def run(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    result: Path | None = None,
    scratch: Path | None = None,
    stage: graph.Stage | None = None,
) -> None:
    """Execute ``notebook`` with ``parameters`` into ``output``; ``result`` is the file it must have written by then.

    While it runs, and when it fails, the executed copy is called ``partial-<name>``: it is there for reading, and make
    does not take it for the finished one. ``scratch`` is a folder that is removed after that, when nothing that it was
    for can fail any more. What the ``stage``'s result was made from is recorded beside it. Raises StudyError, too,
    where another process runs a notebook into ``output``.
    """
    _check_parameters(notebook, parameters)
    partial = output.with_name(f"partial-{output.name}")
    with locked(output.with_name(f".{output.name}.lock"), str(output)), enough_disk_for(partial):
        made_from = stage.inputs() if stage else {}  # as they are now: an edit made meanwhile makes the result stale
        before = _signature(result)
        _execute(notebook, partial, parameters)
        if result is not None and _signature(result) in (None, before):
            raise StudyError(f"{notebook.name}: ended without writing {result}; read {partial}")
        partial.replace(output)
        if stage:
            stage.write_record(made_from)
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)


def _execute(notebook: Path, partial: Path, parameters: Mapping[str, Any]) -> None:
    """Papermill, with progress on the terminal, and a sentence where it fails."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path must be short, which TMPDIR may not be
        report = Path(folder) / "progress"
        # Sockets that only this user can open. Left to itself, the kernel's manager may make them where we stand.
        sockets = {"transport": "ipc", "ip": str(Path(folder) / "kernel")}
        # What counts is on disk by the end, and a kernel that is asked to end while it works complains of its sockets.
        settings = Config({"KernelManager": sockets, "NotebookClient": {"shutdown_kernel": "immediate"}})
        variables = {progress.VARIABLE: str(report), "JUPYTER_RUNTIME_DIR": folder}
        title = " ".join([notebook.stem, *(str(parameters[key]) for key in ("model", "seed") if key in parameters)])
        try:
            with _environment(variables), progress.shown_on_terminal(title, report):
                papermill.execute_notebook(
                    str(notebook), str(partial), dict(parameters), cwd=str(ROOT), progress_bar=False, log_output=False,
                    config=settings,
                )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            raise StudyError(_failure(error, partial)) from None
        except nbclient.exceptions.DeadKernelError:
            raise StudyError(_death(notebook, partial, parameters)) from None


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the length of the block."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ |= variables
    try:
        yield
    finally:
        for name in variables.keys() - before.keys():
            del os.environ[name]
        os.environ |= before


_KINDS: dict[str, tuple[type, str]] = {"str": (str, "a text"), "int": (int, "a whole number")}


def _check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse a parameter that the notebook does not have, which papermill only warns of, or of another type."""
    if not notebook.is_file():
        raise StudyError(f"{notebook}: no such notebook")
    try:
        known = papermill.inspect_notebook(str(notebook))
    except Exception as error:  # the notebook format's libraries raise types of their own
        raise StudyError(f"{notebook}: is not a notebook ({one_line(error)})") from None
    for name, value in parameters.items():
        if name not in known:
            raise StudyError(f"{notebook.name}: has no parameter '{name}'; it has {', '.join(known)}")
        kind, said = _KINDS.get(known[name]["inferred_type_name"], (object, ""))
        if type(value) is not kind and kind is not object:
            raise StudyError(f"{notebook.name}: {name}: must be {said}, not {quoted(value)}")


def _signature(path: Path | None) -> tuple[int, int] | None:
    """Identity of a file's present content, or None where there is no file; an atomic write changes it."""
    if path is None or not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _failure(error: Any, partial: Path) -> str:
    """The sentence of a StudyError raised in the notebook; for anything else also where to read on."""
    if error.ename == "StudyError":
        return str(error.evalue)
    name = partial.name.removeprefix("partial-")
    return f"{name}: {error.ename}: {one_line(error.evalue)}; the notebook as far as it came is {partial}"


def _death(notebook: Path, partial: Path, parameters: Mapping[str, Any]) -> str:
    """The sentence on a kernel that died, with what to try where it was training."""
    said = f"{notebook.name}: its kernel died, mostly for want of memory; read {partial}"
    if notebook.stem != "1-train" or "study" not in parameters:
        return said
    return f"{said}; {config.load(ROOT / parameters['study']).training.too_large}"


def _terminated(*_: Any) -> None:
    """On SIGTERM: end the kernel on the way out, as after an interrupt."""
    sys.exit(128 + signal.SIGTERM)


def _value(name: str, text: str) -> Any:
    """A parameter as YAML reads it: 0 is a number."""
    try:
        return parse_yaml(text)
    except ValueError:
        raise StudyError(f"{name}: '{text}' is not valid YAML; put texts with special characters in quotes") from None


def stage_of(name: str, output: Path, parameters: Mapping[str, Any]) -> graph.Stage:
    """The stage of a study that these parameters of its notebook mean. Raises StudyError."""
    for needed in ("study",) if name == "analysis" else ("study", "model"):
        if needed not in parameters:
            raise StudyError(f"{needed}: is missing; give -p {needed} VALUE")
    study_file = Path(parameters["study"])
    study = config.load(ROOT / study_file)
    models, seeds = (str(parameters.get(key, "")).split() for key in ("models", "seeds"))
    chosen = Selection(
        study_file, study, RunPaths.of(ROOT / study_file, parameters.get("run", "")),
        tuple(models) or (parameters["model"],), tuple(map(int, seeds)) or (int(parameters.get("seed", 0)),),
        parameters.get("device", "auto"),
    )  # fmt: skip
    return graph.find(chosen, name, output)


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Execute the notebook of one stage headless.")
    parser.add_argument("stage", choices=list(inputs.NOTEBOOKS))
    parser.add_argument("output", type=Path, help="the executed notebook")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters")
    options = parser.parse_args(arguments)
    parameters = {name: _value(name, text) for name, text in options.parameters}
    _check_parameters(inputs.NOTEBOOKS[options.stage], parameters)
    stage = stage_of(options.stage, options.output.absolute(), parameters)
    result = stage.targets[0] if len(stage.targets) > 1 else None
    scratch = stage.selection.run.unfinished(stage.slug, stage.seed) if stage.seed is not None else None
    run(inputs.NOTEBOOKS[stage.name], options.output, parameters, result, scratch, stage)
    print(f"done: {options.output}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    if "MAKELEVEL" in os.environ:  # what make started nobody would know of when make is gone
        end_with_parent(signal.SIGTERM)
    exit_cleanly(main)
