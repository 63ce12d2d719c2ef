"""Progress is a line whose time left can be worked out by hand, shown on a terminal only."""

import io
import json
import os
from pathlib import Path

import pytest

from qa_tradeoffs.core import progress

HALF = {"label": "training step", "done": 3, "total": 4, "seconds": 30.0}


class Finished:
    """An event that is set when it is asked for the ``rounds + 1``-th time; notes how long it would have waited."""

    def __init__(self, rounds: int) -> None:
        self.rounds, self.waits = rounds, []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return len(self.waits) > self.rounds


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the variable names."""
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress"))
    return tmp_path / "progress"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> int:
    """The width that every terminal has."""
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((40, 24)))
    return 40


def test_a_counter_reports_into_the_file_that_the_variable_names(file):
    count = progress.counter("evaluated window")
    for done in range(1, 41):  # all within a moment: the last step is reported however soon it comes
        count(done, 40)
    state = json.loads(file.read_text())
    assert (state["label"], state["done"], state["total"]) == ("evaluated window", 40, 40)
    assert state["seconds"] >= 0
    assert list(file.parent.iterdir()) == [file]


def test_without_the_variable_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    progress.counter("window")(1, 1)
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_nothing_is_printed(file, monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.delenv(progress.LINES, raising=False)
    with progress.shown_on_terminal("1-train", file):
        pass
    assert stderr.getvalue() == ""


def test_a_terminal_shows_one_line_no_wider_than_it_is_and_is_left_clean(file, columns, monkeypatch):
    stderr, finished = Terminal(), Finished(rounds=2)
    monkeypatch.setattr("sys.stderr", stderr)
    file.write_text(json.dumps(HALF))
    progress._show("1-train", file, finished)
    _, first, second, *cleared = stderr.getvalue().split("\r")
    assert first == second
    assert first.startswith("1-train  00:00  training step 3/4, 00:1")
    assert len(first) == columns - 1
    assert "".join(cleared) == " " * len(first)
    assert finished.waits == [0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("done", "total", "seconds", "left"),
    [
        (240, 900, 30.0, "01:22"),  # 660 more at 8 a second: 82.5 s
        (1, 3, 3600.0, "2:00:00"),
        (0, 900, 5.0, "?"),
        (900, 900, 50.0, "00:00"),
    ],
)
def test_a_line_has_what_is_done_and_how_long_the_rest_will_take(file, capsys, done, total, seconds, left):
    file.write_text(json.dumps({"label": "training", "done": done, "total": total, "seconds": seconds}))
    progress._show("1-train", file, Finished(rounds=1))
    assert capsys.readouterr().err.startswith(f"1-train  00:00  training {done}/{total}, {left} left |")


@pytest.mark.parametrize(
    ("done", "later", "shown"),
    [
        (240, 100.0, "240/900, 01:22 left, 03:02 for all |"),  # 82.5 s of its own, 100 s of those after it
        (240, float("nan"), "240/900, 01:22 left |"),
        (0, 100.0, "0/900, ? left |"),
    ],
)
def test_the_line_says_how_long_all_that_follows_will_take_if_that_is_known(file, capsys, done, later, shown):
    file.write_text(json.dumps({"label": "training", "done": done, "total": 900, "seconds": 30.0}))
    progress._show("3/11 1-train", file, Finished(rounds=1), later)
    assert capsys.readouterr().err.startswith(f"3/11 1-train  00:00  training {shown}")


def test_a_terminal_is_left_clean_even_after_an_error(file, columns, monkeypatch):
    monkeypatch.setattr("sys.stderr", stderr := Terminal())
    with pytest.raises(ValueError, match="broken"), progress.shown_on_terminal("1-train", file):
        raise ValueError("broken")
    *_, last, nothing = stderr.getvalue().split("\r")
    assert last.strip() == nothing == ""


def test_at_another_terminal_there_is_a_whole_line_a_minute(file, monkeypatch):
    stderr, finished = io.StringIO(), Finished(rounds=2)
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setenv(progress.LINES, "1")
    progress._show("2-evaluate", file, finished)  # nothing is reported yet
    file.write_text(json.dumps(HALF))
    progress._show("1-train bert 0", file, Finished(rounds=1))
    lines = stderr.getvalue().splitlines()
    assert lines[:2] == ["2-evaluate  00:00  starting"] * 2
    assert lines[2].startswith("1-train bert 0  00:00  training step 3/4, 00:10 left |")
    assert finished.waits == [0, 60, 60]
