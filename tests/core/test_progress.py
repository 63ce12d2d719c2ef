"""Progress is a line that can be worked out by hand, shown on a terminal only."""

import io
import json
from typing import ClassVar

import pytest

from qa_tradeoffs.core import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (240, 900, 30.0, "training 240/900, 1:22 left"),  # 660 more at 8 a second: 82.5 s, to even
        (1, 3, 3600.0, "training 1/3, 2:00:00 left"),
        (1, 2, 61.0, "training 1/2, 1:01 left"),
        (0, 900, 5.0, "training 0/900"),
        (900, 900, 50.0, "training 900/900"),
    ],
)
def test_the_line_says_what_is_done_and_how_long_the_rest_will_take(done, total, seconds, line):
    state = {"label": "training", "done": done, "total": total, "seconds": seconds}
    assert progress.line(state) == line


def test_a_counter_reports_into_the_file_that_the_variable_names(tmp_path, monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress"))
    tell = progress.counter("evaluated window")
    tell(1, 40)
    state = json.loads((tmp_path / "progress").read_text())
    assert (state["label"], state["done"], state["total"]) == ("evaluated window", 1, 40)
    assert state["seconds"] >= 0
    assert [path.name for path in tmp_path.iterdir()] == ["progress"]


def test_the_last_step_is_reported_however_soon_it_comes(tmp_path, monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress"))
    tell = progress.counter("window")
    for done in range(1, 41):
        tell(done, 40)
    assert json.loads((tmp_path / "progress").read_text())["done"] == 40


def test_without_the_variable_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    progress.counter("window")(1, 1)
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_nothing_is_printed(tmp_path, monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    with progress.shown_on_terminal("1-train", tmp_path / "progress"):
        pass
    assert stderr.getvalue() == ""


def test_a_terminal_is_left_with_a_clean_line_even_after_an_error(tmp_path, monkeypatch):
    stderr = Terminal()
    monkeypatch.setattr("sys.stderr", stderr)
    with pytest.raises(ValueError, match="broken"), progress.shown_on_terminal("1-train", tmp_path / "progress"):
        raise ValueError("broken")
    assert stderr.getvalue().endswith("\r\x1b[K")


def test_somebody_at_another_terminal_is_told_in_whole_lines(tmp_path, monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setenv(progress.LINES, "1")
    (tmp_path / "progress").write_text(json.dumps({"label": "training step", "done": 3, "total": 4, "seconds": 30.0}))

    class Finished:
        """Not finished when first asked, then finished."""

        waits: ClassVar[list[float]] = []

        def wait(self, seconds: float) -> bool:
            self.waits.append(seconds)
            return len(self.waits) > 2

    progress._print("1-train bert 0", tmp_path / "progress", Finished())
    assert stderr.getvalue() == "1-train bert 0  0:00  training step 3/4, 0:10 left\n" * 2
    assert Finished.waits == [0, 60, 60]
    with progress.shown_on_terminal("2-evaluate", tmp_path / "absent"):
        pass
    assert "\r" not in stderr.getvalue()
