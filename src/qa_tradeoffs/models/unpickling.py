"""Convert weights in torch's pickle format to safetensors, in a separate process with bounded memory and time.

python -m qa_tradeoffs.models.unpickling pytorch_model.bin TARGET SECONDS

Only torch's restricted unpickler opens the file: it builds tensors and plain containers and runs no code. It neither
limits the memory that a small file may ask for nor checks the content; that is done here.
"""

import math
import pickle
import re
import resource
import signal
import sys
import time
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from qa_tradeoffs.core.documents import one_line, quoted
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import enough_disk_for
from qa_tradeoffs.core.locks import end_with_parent
from qa_tradeoffs.models.devices import out_of_memory

_BEFORE_ZIP = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the start of files by torch < 1.6: a pickled magic number
_NAME = re.compile(r"[\w.:/-]{1,500}", re.ASCII)
_DTYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool,
)  # fmt: skip
_MOST_UNFOLDED = 2  # times the file's bytes: tied weights are one storage under two names
_MEMORY = 5  # times the file's bytes: the file, its unfolded tensors, and a copy while writing
_MORE_MEMORY = 2**30


def convert(source: Path, target: Path, seconds: int) -> None:
    """Write the tensors of ``source`` as safetensors in their own dtypes, within bounds. Raises StudyError.

    This process ends on SIGXCPU after ``seconds`` of CPU time.
    """
    _bound(_MEMORY * source.stat().st_size + _MORE_MEMORY, seconds)
    tensors = read(source)
    with enough_disk_for(target):
        save_file(tensors, target, {"format": "pt"})


def read(source: Path) -> dict[str, torch.Tensor]:
    """The tensors of ``source`` by name, each in separate memory. Raises StudyError with the reason on failure."""
    size = source.stat().st_size
    zipped = _is_archive(source, size)
    try:
        return _checked(source, torch.load(source, map_location="cpu", weights_only=True, mmap=zipped), size)
    except StudyError:
        raise
    except Exception as error:  # a damaged or hostile file fails in many ways
        raise StudyError(f"{source}: {_reason(error, size)}") from None


def _is_archive(source: Path, size: int) -> bool:
    """Whether it is a zip archive, as written by torch since 1.6, rather than a stream of pickles.

    Raises StudyError if it is neither, is truncated, or would unpack to more than its ``size`` in bytes.
    """
    with source.open("rb") as file:
        start = file.read(len(_BEFORE_ZIP))
    if start == _BEFORE_ZIP:
        return False
    if not start.startswith(b"PK\x03\x04"):
        raise StudyError(f"{source}: is not a file written by torch.save; expected a zip archive")
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except Exception as error:  # zipfile raises several types for a damaged directory
        raise StudyError(f"{source}: is truncated or damaged ({one_line(error)}); fetch it again") from None
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise StudyError(f"{source}: is a TorchScript program; expected weights only, as written by torch.save")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise StudyError(
            f"{source}: holds {unpacked:,} bytes in {size:,}, so it is compressed or damaged; save it with torch.save"
        )
    return True


def _checked(source: Path, content: Any, size: int) -> dict[str, torch.Tensor]:
    """Copies of the named tensors in ``content``. Raises StudyError if it contains anything else."""
    if type(content) not in (dict, OrderedDict):
        raise StudyError(
            f"{source}: holds a value of type {type(content).__name__}; expected named tensors, as from state_dict()"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "__metadata__":
            raise StudyError(f"{source}: has the key {quoted(name)}, which is not a tensor's name")
        if type(value) not in (torch.Tensor, torch.nn.Parameter):
            raise StudyError(
                f"{source}: holds a value of type {type(value).__name__} under {name}; expected tensors only"
            )
        if value.layout is not torch.strided or value.device.type != "cpu" or value.dtype not in _DTYPES:
            said = ", ".join(str(part).removeprefix("torch.") for part in (value.dtype, value.layout, value.device))
            raise StudyError(f"{source}: {name} is {said}; expected a dense tensor of float16, bfloat16 or float32")
    unfolded = sum(value.numel() * value.element_size() for value in content.values())
    if unfolded > _MOST_UNFOLDED * size:
        raise StudyError(f"{source}: its tensors would take {unfolded:,} bytes, though it has only {size:,}")
    return {n: value.detach().clone(memory_format=torch.contiguous_format) for n, value in content.items()}


def _bound(more: int, seconds: int) -> None:
    """End this process if it takes this many more bytes or seconds than now, or outlives its parent."""
    end_with_parent(signal.SIGKILL)
    torch.set_num_threads(1)  # each thread would reserve memory for its stack
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for limit, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + more),
        (resource.RLIMIT_CPU, math.ceil(time.process_time()) + seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, hard))  # the soft time limit sends SIGXCPU


def _reason(error: Exception, size: int) -> str:
    """Why the file is refused: torch's message without its advice to open the file anyway."""
    text = str(error)
    if out_of_memory(error) or "Cannot allocate memory" in text:
        return f"asks for more memory than a file of {size:,} bytes needs"
    if (asked := re.search(r"GLOBAL (\S+)", text)) and asked[1].endswith("."):  # the file ends within a name
        return "is truncated or damaged; fetch it again"
    if asked:
        return f"refers to {one_line(asked[1], 80)}; expected tensors only, as code from checkpoints is never run"
    if isinstance(error, pickle.UnpicklingError):
        text = re.split(r"WeightsUnpickler error:|trusted source\.", text)[-1]
    first = re.split(r"\n|\. ", text.strip())[0] or type(error).__name__
    return f"cannot be read with torch's restricted unpickler ({one_line(first)})"


def main() -> None:
    """Command line of this module."""
    convert(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))


if __name__ == "__main__":
    exit_cleanly(main)
