"""A headless run ends in a finished notebook, or in one sentence with all finished files untouched."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import papermill
import pytest
from nbclient.exceptions import DeadKernelError

from qa_tradeoffs.core import locks, progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.runs import execute, outlook

PARAMETERS = "path: str = ''  # where the answer goes\nseed: int = 0"


@pytest.fixture
def earlier(tmp_path: Path) -> tuple[Path, Path]:
    """An executed notebook and a result of an earlier run, in a separate folder."""
    output, result = tmp_path / "out" / "small.ipynb", tmp_path / "out" / "answer.json"
    output.parent.mkdir()
    output.write_text("finished before")
    result.write_text("answered before")
    return output, result


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that puts ``act`` where papermill would start a kernel; it is given the file of the executed copy."""

    def replace(act: Callable[[Path], None]) -> None:
        def execute_notebook(notebook: str, output: str, parameters: dict[str, Any], **options: Any) -> None:
            Path(output).write_text("executed")
            act(Path(output))

        monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)

    return replace


def raising(error: Exception) -> Callable[[Path], None]:
    """A kernel that ends like this."""

    def act(executed: Path) -> None:
        raise error

    return act


def sentence(error: pytest.ExceptionInfo[StudyError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_run_that_succeeds_moves_its_notebook_into_place(notebook, tmp_path):
    answer = "from pathlib import Path\nPath(path).write_text(str(seed + 1))"
    output, result = tmp_path / "out" / "small.ipynb", tmp_path / "answer.json"
    execute.run(notebook(PARAMETERS, answer), output, {"path": str(result), "seed": 41}, result)
    assert result.read_text() == "42"
    assert {path.name for path in output.parent.iterdir()} == {"small.ipynb", ".small.ipynb.lock"}
    executed = json.loads(output.read_text())
    assert [cell["execution_count"] for cell in executed["cells"]] == [1, 2, 3]  # papermill adds one with parameters


def test_a_failing_cell_leaves_its_notebook_for_reading_and_what_was_finished_untouched(notebook, earlier):
    output, result = earlier
    failing = notebook(
        PARAMETERS,
        "from qa_tradeoffs.core.errors import StudyError",
        "raise StudyError('data: q1\\nis empty')",
        "1 / 0",
    )
    with pytest.raises(StudyError) as error:
        execute.run(failing, output, {"path": str(result)}, result)
    assert sentence(error) == "data: q1 is empty"
    assert (output.read_text(), result.read_text()) == ("finished before", "answered before")
    partial = json.loads((output.parent / "partial-small.ipynb").read_text())
    assert [out["ename"] for cell in partial["cells"] for out in cell.get("outputs", []) if "ename" in out] == [
        "StudyError"
    ]


def test_any_other_failure_says_where_to_read_on(notebook, earlier, kernel):
    kernel(raising(papermill.PapermillExecutionError(1, 2, "1 / 0", "ZeroDivisionError", "division\nby zero", [])))
    output, result = earlier
    with pytest.raises(StudyError) as error:
        execute.run(notebook(PARAMETERS), output, {}, result)
    assert sentence(error).startswith("small.ipynb: ZeroDivisionError: division by zero; ")
    assert sentence(error).endswith(f" {output.parent}/partial-small.ipynb")


def test_a_training_whose_kernel_died_says_which_batch_size_to_try(tmp_path, kernel):
    kernel(raising(DeadKernelError("Kernel died")))
    with pytest.raises(StudyError, match=r"a batch of 8 .*; try 4$"):
        execute.run(ROOT / "notebooks/1-train.ipynb", tmp_path / "out.ipynb", {"study": "studies/smoke.yaml"})


def test_a_kernel_that_is_killed_is_one_sentence(notebook, earlier):
    output, result = earlier
    killed = notebook(PARAMETERS, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(StudyError, match=r"^small\.ipynb: its kernel died, .*; read .*partial-"):
        execute.run(killed, output, {}, result)
    assert (output.read_text(), result.read_text()) == ("finished before", "answered before")


def test_a_second_run_into_the_same_notebook_is_refused(notebook, earlier, kernel, monkeypatch):
    monkeypatch.setattr(execute, "locked", functools.partial(locks.locked, patience=0))
    kernel(raising(AssertionError("a kernel was started")))
    output, result = earlier
    with (
        locks.locked(output.with_name(".small.ipynb.lock"), "it"),
        pytest.raises(StudyError, match=rf"^{output}: is in use by '"),
    ):
        execute.run(notebook(PARAMETERS), output, {}, result)
    assert (output.read_text(), result.read_text()) == ("finished before", "answered before")


def test_a_notebook_that_ends_without_writing_its_result_is_not_finished(notebook, earlier, kernel):
    kernel(lambda executed: None)
    output, result = earlier
    with pytest.raises(StudyError) as error:
        execute.run(notebook(PARAMETERS), output, {}, result)
    assert sentence(error) == f"small.ipynb: ended without writing {result}; read {output.parent}/partial-small.ipynb"
    assert output.read_text() == "finished before"
    result.unlink()
    with pytest.raises(StudyError, match="ended without writing"):
        execute.run(notebook(PARAMETERS), output, {}, result)


def test_a_result_written_again_with_the_same_content_counts(notebook, earlier, kernel):
    output, result = earlier

    def rewrite(executed: Path) -> None:
        (result.parent / "new").write_text(result.read_text())
        (result.parent / "new").replace(result)

    kernel(rewrite)
    execute.run(notebook(PARAMETERS), output, {}, result)
    assert output.read_text() == "executed"


def test_a_running_notebook_knows_where_to_report_progress(notebook, tmp_path, kernel, monkeypatch):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    reported = []

    def work(executed: Path) -> None:
        progress.counter("training")(1, 2)
        reported.append(json.loads(Path(execute.os.environ[progress.VARIABLE]).read_text())["done"])

    kernel(work)
    execute.run(notebook(PARAMETERS), tmp_path / "out.ipynb", {})
    assert reported == [1]
    assert progress.VARIABLE not in execute.os.environ


def test_the_terminal_shows_its_place_among_those_of_its_make(notebook, tmp_path, kernel, monkeypatch):
    shown = []

    @contextmanager
    def watched(*what: Any) -> Iterator[None]:
        shown.append(what)
        yield

    monkeypatch.setattr(progress, "shown_on_terminal", watched)
    outputs = [str(tmp_path / name) for name in ("a.ipynb", "out.ipynb", "z.ipynb")]
    (tmp_path / "expected").write_text(json.dumps({outputs[2]: 7.5}))
    monkeypatch.setenv(outlook.VARIABLE, json.dumps({"notebooks": outputs, "expected": str(tmp_path / "expected")}))
    kernel(lambda executed: None)
    execute.run(notebook(PARAMETERS), tmp_path / "out.ipynb", {"seed": 3})
    ((title, _, later),) = shown
    assert (title, later) == ("2/3 small 3", 7.5)


@pytest.mark.parametrize("text", [None, "{", "{}", "[]", "no notebook"])
def test_a_file_that_is_not_a_notebook_is_refused(tmp_path, kernel, text):
    kernel(raising(AssertionError("a kernel was started")))
    path = tmp_path / "bad.ipynb"
    said = "no such notebook"
    if text is not None:
        path.write_text(text)
        said = r"is not a notebook \("
    with pytest.raises(StudyError, match=rf"bad\.ipynb: {said}"):
        execute.run(path, tmp_path / "out" / "small.ipynb", {})
    assert not (tmp_path / "out").exists()


def test_the_command_executes_a_stage_and_records_what_it_was_made_from(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run" / "distilbert" / "seed-3"
    output, scratch, record = (folder / name for name in ("1-train.ipynb", "unfinished", ".1-train.inputs.json"))
    scratch.mkdir(parents=True)
    parameters = {"study": "studies/smoke.yaml", "run": str(tmp_path / "run"), "model": "distilbert", "seed": 3}
    words = [word for name, value in parameters.items() for word in ("-p", name, json.dumps(value))]

    def fail(*given: Any) -> None:
        assert given == (ROOT / "notebooks/1-train.ipynb", output, parameters, folder / "training.json")
        raise StudyError("it failed")

    monkeypatch.setattr(execute, "run", fail)
    with pytest.raises(StudyError, match="it failed"):
        execute.main(["train", str(output), *words])
    assert (scratch.exists(), record.exists()) == (True, False)
    monkeypatch.setattr(execute, "run", lambda *given: None)
    execute.main(["train", str(output), *words])
    assert capsys.readouterr().out == f"done: {output}\n"
    assert (scratch.exists(), record.exists()) == (False, True)
    assert json.loads(record.read_text())["stage"] == "train"


def test_papermill_is_loaded_without_the_grammar_and_the_module_is_there_again_afterwards():
    program = (
        "import sys; from qa_tradeoffs.runs import notebooks; print('rfc3987_syntax' in sys.modules); "
        "import importlib.util; print(importlib.util.find_spec('rfc3987_syntax') is not None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
