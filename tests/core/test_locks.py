"""One process at a time holds a lock, a lock ends with its holder, and children end with their parents."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.locks import locked, others

# A parent that ends when its input does; its child says who it is.
PARENT = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
sys.stdin.read()
"""
CHILD = """
import signal, time
from qa_tradeoffs.core.locks import end_with_parent
end_with_parent(signal.SIGKILL)
print("ready", flush=True)
time.sleep(600)
"""
HOLDER = """
import sys
from pathlib import Path
from qa_tradeoffs.core.locks import locked
with locked(Path(sys.argv[1]), "runs/demo"):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts a program and waits for its first line; what it started is killed at the end."""
    processes = []

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_second_process_learns_who_holds_the_lock_since_when_and_where(started, tmp_path):
    holder = started(HOLDER, str(tmp_path / "lock"))
    with pytest.raises(StudyError) as error, locked(tmp_path / "lock", "runs/demo", patience=0, advice=", or wait"):
        pass
    assert re.fullmatch(
        rf"runs/demo: is in use by '{re.escape(Path(sys.executable).name)} -c .*' \(process {holder.pid} on "
        rf"{re.escape(socket.gethostname())}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\+\d\d:\d\d\); .*, or wait",
        str(error.value),
    )


def test_a_lock_ends_with_its_holder_even_if_that_was_killed(started, tmp_path):
    holder = started(HOLDER, str(tmp_path / "lock"))
    holder.kill()
    holder.wait()
    with locked(tmp_path / "lock", "runs/demo", patience=0):
        pass


def test_children_do_not_inherit_a_lock_and_a_process_may_lock_again_what_it_has_let_go(tmp_path):
    with locked(tmp_path / "lock", "runs/demo"):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    with locked(tmp_path / "lock", "runs/demo", patience=0):
        child.communicate()


def test_a_process_ends_with_its_parent_on_request(started):
    parent = started(PARENT, CHILD)
    (child,) = map(int, Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
    watched = os.pidfd_open(child)
    parent.send_signal(signal.SIGKILL)
    assert select.select([watched], [], [], 10)[0], "the child is still there after 10 seconds"
    os.close(watched)


def test_a_waiting_process_gets_the_lock_when_its_holder_ends(started, tmp_path):
    lock = tmp_path / "lock"
    holder = started(HOLDER, str(lock))
    program = HOLDER.replace('"runs/demo"', '"runs/demo", patience=float("inf")')
    words = [sys.executable, "-c", program, str(lock)]
    waiting = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert waiting.stderr is not None
    assert waiting.stderr.readline().startswith("runs/demo: waiting for '")
    holder.communicate()  # its input ends, and it with it
    assert waiting.communicate()[0] == "ready\n"


def test_other_locks_in_the_folder_are_known_with_their_holders(started, tmp_path):
    holder = started(HOLDER, str(tmp_path / ".demo.lock"))
    with locked(tmp_path / ".squad.lock", "runs/squad"):
        (other,) = others(tmp_path / ".squad.lock")
        assert f"(process {holder.pid} on " in other
        holder.kill()
        holder.wait()
        assert others(tmp_path / ".squad.lock") == []
