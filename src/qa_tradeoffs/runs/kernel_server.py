"""The process that forks the kernels of a make's notebooks: it has loaded the libraries that they all need.

It loads nothing of this package that a notebook uses, and ends with make; its kernels end with it, and each with the
process that stands for it (kernel.py).

python -m qa_tradeoffs.runs.kernel_server PID LISTENER FOLDER   (until process PID has ended, LISTENER being an
    inherited socket, and FOLDER what it is in, to be removed at the end)
"""

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

from qa_tradeoffs.core.locks import end_with_parent
from qa_tradeoffs.runs.kernel import LENGTH, Request

_LIBRARIES = (
    "ipykernel.kernelapp", "torch", "pandas", "transformers.trainer", "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert", "transformers.models.distilbert.modeling_distilbert",
    "transformers.models.squeezebert.modeling_squeezebert",
)  # fmt: skip
_SECONDS_TO_ASK = 10.0


@dataclass(frozen=True)
class _Kernel:
    """A forked kernel: its process, a descriptor that can be read once that has ended, and who stands for it."""

    pid: int
    ended: int
    asker: socket.socket


def serve(listener: socket.socket, until: int) -> None:
    """Fork a kernel for each connection, until the process of the descriptor ``until`` has ended."""
    kernels: list[_Kernel] = []
    while True:
        watched: list[Any] = [until, listener, *(k.ended for k in kernels), *(k.asker for k in kernels)]
        ready = select.select(watched, [], [])[0]
        if until in ready:
            return
        for kernel in list(kernels):
            if kernel.ended in ready:
                kernels.remove(kernel)
                _tell_end(kernel)
            elif kernel.asker in ready:  # it never says more: it has ended
                os.kill(kernel.pid, signal.SIGKILL)
        if listener in ready:
            kernels += _kernel_for(listener.accept()[0])


def load() -> None:
    """Load the libraries. None of the objects that they make is garbage, so nobody has to look for it, now or later."""
    gc.disable()
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()


def _kernel_for(asker: socket.socket) -> list[_Kernel]:
    """The kernel that was asked for; where none can be made, the one that asked is hung up on."""
    asker.settimeout(_SECONDS_TO_ASK)
    streams: list[int] = []
    try:
        length, streams, _, _ = socket.recv_fds(asker, LENGTH.size, 3)
        with asker.makefile("rb") as told:
            request = Request(**json.loads(told.read(*LENGTH.unpack(length))))
        pid = os.fork()
        if pid == 0:
            _become(request, streams)
        with contextlib.suppress(OSError):  # if the one that asked has ended, so will the kernel
            asker.sendall(b"1")
        return [_Kernel(pid, os.pidfd_open(pid), asker)]
    except (OSError, ValueError, TypeError, struct.error):
        asker.close()
        return []
    finally:
        for stream in streams:
            os.close(stream)


def _become(request: Request, streams: list[int]) -> NoReturn:
    """In the forked process: be the kernel, as if the one that asked had started it."""
    try:
        end_with_parent(signal.SIGKILL)
        os.setsid()
        for own, stream in enumerate(streams):
            os.dup2(stream, own)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the server's own, and those of other kernels
        for name in [name for name in sys.modules if name.partition(".")[0] == "qa_tradeoffs"]:
            del sys.modules[name]  # to be read as it is by then
        os.environ.clear()
        os.environ.update(request.environment)
        os.chdir(request.folder)
        sys.argv = ["ipykernel_launcher", *request.arguments]
        from ipykernel.kernelapp import launch_new_instance

        launch_new_instance()
        os._exit(0)
    except BaseException:  # whatever it is, this process must not go on as a second server
        traceback.print_exc()
        os._exit(1)


def _tell_end(kernel: _Kernel) -> None:
    """Give the one that asked the kernel's exit status; a signal's number counts from 128, as in a shell."""
    status = os.waitstatus_to_exitcode(os.waitpid(kernel.pid, 0)[1])
    os.close(kernel.ended)
    with kernel.asker, contextlib.suppress(OSError):  # it may have ended before
        kernel.asker.sendall(bytes([status if status >= 0 else 128 - status]))


def main() -> None:
    """Command line of this module."""
    process, listener, folder = sys.argv[1:]
    try:
        until = os.pidfd_open(int(process))
        load()
        with socket.socket(fileno=int(listener)) as inherited:
            serve(inherited, until)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
