"""A checkpoint's weights on disk: safetensors, or files in torch's pickle format, which are converted once.

No pickle is ever opened in the process that trains: ``unpickling`` reads it in a separate one, and its output is cached
in ``runs/.converted/<SHA-256 of the pickle>/<SHA-256 of the safetensors>.safetensors`` for all studies.
"""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_tradeoffs.core.documents import Strict, one_line, quoted, read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, RUNS, is_file, make_folder, sha256_of

PICKLES = ["pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin"]
EXPECTED = "model.safetensors, or pytorch_model.bin"
CACHE = ROOT / RUNS / ".converted"
_SECONDS = 300  # CPU time for converting a pickle
_SHARD = re.compile(r"pytorch_model-\d+-of-\d+\.bin")


class Conversion(Strict):
    """A ``file`` of a checkpoint, the SHA-256 of its bytes, and the SHA-256 of its safetensors version."""

    file: str
    sha256: str
    safetensors_sha256: str

    @property
    def path(self) -> Path:
        """The cached safetensors file."""
        return CACHE / self.sha256 / f"{self.safetensors_sha256}.safetensors"


def are_safetensors(folder: Path) -> bool:
    """Whether the folder has safetensors; if so, all other weights are ignored."""
    return any(folder.glob("*.safetensors"))


def are_there(folder: Path) -> bool:
    """Whether the folder has weights in a supported format. Raises StudyError if some of them are missing."""
    return are_safetensors(folder) or bool(pickles(folder))


def pickles(folder: Path) -> list[Path]:
    """The pickles that hold the folder's weights; none if it has safetensors. Raises StudyError."""
    if are_safetensors(folder):
        return []
    whole = folder / PICKLES[0]
    return [whole] if is_file(whole) else [folder / name for name in sorted(set(_shards(folder).values()))]


def is_converted(sha256: str) -> bool:
    """Whether the cache has the safetensors of a pickle with this SHA-256."""
    return any((CACHE / sha256).glob("*.safetensors"))


def conversions(folder: Path) -> list[Conversion]:
    """Each pickle of the folder's weights as safetensors, converted unless the cache has it.

    Raises StudyError with the reason if one contains anything but named tensors or exceeds its bounds.
    """
    return [_convert(path) for path in pickles(folder)]


@contextmanager
def as_safetensors(folder: Path) -> Iterator[Path]:
    """The folder itself if it has safetensors, else a temporary one with its config and links to converted weights."""
    converted = conversions(folder)
    if not converted:
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        view = Path(name)
        (view / "config.json").symlink_to((folder / "config.json").absolute())
        for conversion in converted:
            (view / _renamed(conversion.file)).symlink_to(conversion.path)
        if shards := {key: _renamed(shard) for key, shard in _shards(folder).items()}:
            (view / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))
        yield view


def _shards(folder: Path) -> dict[str, str]:
    """Tensor → file for weights in several pickles; empty if they are in one."""
    index = folder / PICKLES[1]
    if is_file(folder / PICKLES[0]) or not is_file(index):
        return {}
    content = read_json(index)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise StudyError(f"{index}: must have a weight_map from tensor names to files")
    for name in shards.values():
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise StudyError(f"{index}: names {quoted(name)}; expected a file like pytorch_model-00001-of-00002.bin")
        if not is_file(folder / name):
            raise StudyError(f"{folder / name}: is missing, though {index.name} names it")
    return shards


def _renamed(pickle: str) -> str:
    """The name under which transformers looks for a pickle's safetensors version."""
    return pickle.removeprefix("pytorch_").removesuffix(".bin") + ".safetensors"


def _convert(path: Path) -> Conversion:
    sha256 = _sha256(path)
    folder = CACHE / sha256
    for known in sorted(folder.glob("*.safetensors")):
        if known.stem == _sha256(known):
            return Conversion(file=path.name, sha256=sha256, safetensors_sha256=known.stem)
        known.unlink(missing_ok=True)  # it has been damaged
    make_folder(CACHE)
    with tempfile.TemporaryDirectory(dir=CACHE) as unfinished:
        written = Path(unfinished) / "model"
        _unpickle(path, written)
        found = Conversion(file=path.name, sha256=sha256, safetensors_sha256=_sha256(written))
        make_folder(folder)
        written.replace(found.path)
    return found


def _unpickle(path: Path, target: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", f"{__package__}.unpickling", str(path), str(target), str(_SECONDS)]
    environment = {key: value for key, value in os.environ.items() if "TOKEN" not in key}  # it needs no secrets
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode == 2:
        raise StudyError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    if done.returncode != 0:
        raise StudyError(f"{path}: {_why_it_ended(done.returncode, done.stderr)}")


def _why_it_ended(code: int, stderr: str) -> str:
    """Why the process that read the file failed, to follow the file's name in a sentence."""
    if code == -signal.SIGXCPU:
        return f"took more than {_SECONDS} s of CPU time to read; fetch it again, or use another checkpoint"
    if code == -signal.SIGKILL:
        return (
            "the process that read it was killed, most likely because the machine ran out of memory; free some and run "
            "the command again"
        )
    if code < 0:
        what = signal.strsignal(-code)
        return f"crashed the process that read it ({what}); it is damaged or asks for too much memory, fetch it again"
    said = one_line(stderr.strip().rpartition("\n")[2])
    return f"the process that read it ended with code {code} ({said or 'no message'})"


def _sha256(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns, status.st_ino)


@functools.cache  # hundreds of megabytes, hashed once per process
def _digest(path: Path, *signature: int) -> str:
    return sha256_of(path)
