"""Kernels forked from make's server are what ordinary ones would be, and nothing of them outlives what it is for."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import pytest

from qa_tradeoffs.runs import kernel, kernel_server

# Stands in for ipykernel: says what it is, and does what it was told to in place of a connection file.
KERNEL = """
import json, os, signal, sys
def launch_new_instance():
    ours = [name for name in sys.modules if name.startswith("qa_tradeoffs")]
    said = {"arguments": sys.argv, "folder": os.getcwd(), "asked": os.environ.get("ASKED"), "ours": ours,
            "libraries": "torch" in sys.modules, "process": os.getpid(), "parent": os.getppid()}
    print(json.dumps(said), flush=True)
    if "wait" in sys.argv:
        signal.pause()
    if "fail" in sys.argv:
        raise RuntimeError("failed")
    if "die" in sys.argv:
        os.kill(os.getpid(), signal.SIGTERM)
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    """A folder of libraries that load at once."""
    folder = tmp_path / "libraries"
    for name in kernel_server._LIBRARIES:
        module = folder / f"{name.replace('.', '/')}.py"
        for package in [module.parent, *module.parent.parents]:
            if package.is_relative_to(folder):
                package.mkdir(parents=True, exist_ok=True)
                (package / "__init__.py").touch()
        module.write_text("")
    (folder / "ipykernel/kernelapp.py").write_text(KERNEL)
    (folder / "ipykernel_launcher.py").write_text("print('ordinary')")
    return folder


@pytest.fixture
def make() -> Iterator[subprocess.Popen[str]]:
    """A process to serve until the end of; it ends with its input."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def start(libraries: Path, make: subprocess.Popen[str], tmp_path: Path) -> Iterator[Start]:
    """Start a kernel as Jupyter would."""
    processes = []

    def started(*arguments: str, pid: int = make.pid, **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(libraries), **variables}
        command = [sys.executable, "-m", "qa_tradeoffs.runs.kernel", str(pid), *arguments]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the kernel says as it begins."""
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def folder_of(make: subprocess.Popen[str]) -> Path:
    """Where the server of this make has its socket."""
    return Path(f"/tmp/qa-tradeoffs-kernels-{os.geteuid()}-{make.pid}")


def watch(process: int) -> int:
    """A descriptor that can be read when the process has ended."""
    return os.pidfd_open(process)


def has_ended(watched: int) -> bool:
    """Whether the process ends by itself within half a minute."""
    return bool(select.select([watched], [], [], 30)[0])


def test_a_forked_kernel_has_all_of_the_one_that_asks_and_the_libraries_besides(start, make, tmp_path):
    first, second = start("-f", "a.json", ASKED="a"), start("-f", "b.json", ASKED="b \udcff")
    kernels = [said(first), said(second)]
    assert kernels[0]["arguments"] == ["ipykernel_launcher", "-f", "a.json"]
    assert kernels[1]["arguments"] == ["ipykernel_launcher", "-f", "b.json"]
    assert [found["asked"] for found in kernels] == ["a", "b \udcff"]
    for found in kernels:
        assert found["folder"] == str(tmp_path)
        assert found["libraries"]
        assert found["ours"] == []  # the study's code is read by each kernel anew
    assert kernels[0]["parent"] == kernels[1]["parent"] != make.pid
    assert kernels[0]["process"] != kernels[1]["process"]
    assert [first.wait(30), second.wait(30)] == [0, 0]


def test_the_one_that_asked_ends_as_the_kernel_does(start):
    failed, killed = start("fail"), start("die")
    assert failed.wait(30) == 1
    assert "RuntimeError: failed" in failed.communicate()[1]
    assert killed.wait(30) == 128 + signal.SIGTERM


def test_an_interrupt_is_not_for_the_one_that_asked(start):
    asked = start("wait")
    said(asked)
    asked.send_signal(signal.SIGINT)
    asked.terminate()
    assert asked.wait(30) == -signal.SIGTERM
    assert asked.communicate()[1] == ""


def ask(make: subprocess.Popen[str], request: kernel.Request) -> tuple[socket.socket, IO[str]]:
    """Ask the server for a kernel; the connection, and what the kernel says."""
    content = json.dumps(asdict(request)).encode()
    reading, writing = os.pipe()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(folder_of(make) / "socket"))
    socket.send_fds(connection, [kernel.LENGTH.pack(len(content))], [writing] * 3)
    os.close(writing)
    connection.sendall(content)
    return connection, os.fdopen(reading)


def test_a_kernel_that_cannot_begin_says_why_and_the_server_goes_on(start, make):
    server = said(start())["parent"]
    connection, told = ask(make, kernel.Request([], "/nowhere", {}))
    with connection, told:
        assert [connection.recv(1), connection.recv(1)] == [b"1", b"\x01"]
        assert "No such file or directory: '/nowhere'" in told.read()
    assert said(start())["parent"] == server


def test_a_kernel_whose_asker_is_gone_before_it_begins_ends(start, make, tmp_path):
    server = said(start())["parent"]
    connection, told = ask(make, kernel.Request(["wait"], str(tmp_path), {}))
    connection.close()
    with told:
        told.readline()
        assert select.select([told], [], [], 30)[0]
        assert told.read() == ""  # the end of what the kernel says, and of the kernel
    assert said(start())["parent"] == server


def test_a_kernel_ends_with_the_one_that_asked_and_the_server_goes_on(start):
    asked, other = start("wait"), start("wait")
    found, same_server = said(asked), said(other)["parent"]
    watched = watch(found["process"])
    asked.kill()
    assert has_ended(watched)
    assert other.poll() is None
    assert said(start())["parent"] == found["parent"] == same_server


def test_kernels_end_with_the_server(start):
    asked = start("wait")
    found = said(asked)
    watched = watch(found["process"])
    os.kill(found["parent"], signal.SIGKILL)
    assert has_ended(watched)
    assert asked.wait(30) == 1
    assert said(start())["parent"] != found["parent"]  # the next kernel has a new one


def test_the_server_and_its_kernels_end_with_make(start, make):
    asked = start("wait")
    found = said(asked)
    watched = watch(found["process"]), watch(found["parent"])
    make.communicate("\n")
    assert all(map(has_ended, watched))
    assert asked.wait(30) == 1
    assert not folder_of(make).exists()


def test_without_a_server_the_kernel_is_an_ordinary_one(start):
    no_process = 2**22 + 1  # the most that Linux gives is 2**22
    process = start("-f", "a.json", pid=no_process)
    assert process.communicate()[0] == "ordinary\n"
    assert process.returncode == 0


def test_where_the_libraries_cannot_be_loaded_the_kernel_is_an_ordinary_one(start, libraries):
    (libraries / "torch.py").write_text("raise ImportError('no torch')")
    assert start().communicate()[0] == "ordinary\n"


@pytest.mark.parametrize(
    "junk", [b"", b"\0\0", kernel.LENGTH.pack(4) + b"junk", kernel.LENGTH.pack(2) + b"[]"],
    ids=["nothing", "half a length", "no JSON", "no request"],
)  # fmt: skip
def test_what_is_no_request_gets_no_kernel_and_leaves_the_server_as_it_was(start, make, junk):
    server = said(start())["parent"]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder_of(make) / "socket"))
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(30)
        assert connection.recv(1) == b""
    assert said(start())["parent"] == server


@pytest.mark.parametrize("what", ["open to others", "a link"])
def test_a_folder_that_others_can_reach_is_not_used(start, make, tmp_path, what):
    folder = folder_of(make)
    folder.mkdir(mode=0o755) if what == "open to others" else folder.symlink_to(tmp_path)
    try:
        assert start().communicate()[0] == "ordinary\n"
    finally:
        folder.rmdir() if what == "open to others" else folder.unlink()


def test_jupyter_finds_the_kernel_under_the_name_that_notebooks_have(tmp_path, monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setenv("JUPYTER_PATH", str(kernel.specification(tmp_path, 12)))
    found = KernelSpecManager().get_kernel_spec("python3")
    assert found.argv == [sys.executable, "-m", "qa_tradeoffs.runs.kernel", "12", "-f", "{connection_file}"]
    for notebook in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb"):
        assert json.loads(notebook.read_text())["metadata"]["kernelspec"]["name"] == "python3"
