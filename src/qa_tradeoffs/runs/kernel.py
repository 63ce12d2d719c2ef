"""What Jupyter starts as a notebook's kernel when make runs it: it stands for one that make's kernel server forks.

Every notebook needs a kernel of its own, and each would take seconds to load torch and transformers. So the first one
starts a server (kernel_server.py), which loads them once and goes on until make has ended. Where that fails, this
process becomes an ordinary kernel.

python -m qa_tradeoffs.runs.kernel PID -f CONNECTION_FILE   (PID: make)
"""

import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

LENGTH = struct.Struct("!I")  # of a request, in bytes


@dataclass(frozen=True)
class Request:
    """What a forked kernel is to have in common with the process that asks for it."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]


def specification(folder: Path, make: int) -> Path:
    """Write this module as Jupyter's 'python3' kernel into ``folder``, and return it: a folder for JUPYTER_PATH.

    Its kernels are forked from a server that ends with the process ``make``.
    """
    here = folder / "kernels" / "python3"
    here.mkdir(parents=True)
    command = [sys.executable, "-m", "qa_tradeoffs.runs.kernel", str(make), "-f", "{connection_file}"]
    content = {"argv": command, "display_name": "Python 3", "language": "python"}
    (here / "kernel.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def _connected(make: int) -> socket.socket:
    """A connection to the server of this make, which is started where there is none yet. Raises OSError."""
    address = _folder(make) / "socket"
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
        return connection
    except (FileNotFoundError, ConnectionRefusedError):  # there is none yet, or it was killed
        address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        told = [str(make), str(listener.fileno()), str(address.parent)]
        nothing = subprocess.DEVNULL
        # Not in make's session: what interrupts make's terminal must not keep it from its end.
        subprocess.Popen(
            [sys.executable, "-m", "qa_tradeoffs.runs.kernel_server", *told], pass_fds=[listener.fileno()],
            start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing,
        )  # fmt: skip
    connection.connect(str(address))
    return connection


def _folder(make: int) -> Path:
    """A folder that only this user can look into, for the socket; its path must be short. Raises OSError."""
    folder = Path(f"/tmp/qa-tradeoffs-kernels-{os.geteuid()}-{make}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError
    return folder


def _forked(make: int, arguments: list[str]) -> int | None:
    """Have the server fork a kernel, and wait for its end; its exit status, or None where there was no kernel."""
    request = json.dumps(asdict(Request(arguments, str(Path.cwd()), dict(os.environ)))).encode()
    try:
        server = _connected(make)
        socket.send_fds(server, [LENGTH.pack(len(request))], [0, 1, 2])
        server.sendall(request)
        if not server.recv(1):
            return None
    except OSError:
        return None
    try:
        return server.recv(1)[0]
    except (OSError, IndexError):  # the server was killed, and with it the kernel
        return 1


def main() -> None:
    """Stand for a forked kernel until it ends, or become one."""
    make, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter interrupts a kernel before it kills it
    status = _forked(int(make), arguments)
    if status is not None:
        sys.exit(status)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *arguments])


if __name__ == "__main__":
    main()
