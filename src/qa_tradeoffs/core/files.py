"""Reading files, writing them atomically, and where the repository keeps them."""

import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from qa_tradeoffs.core.errors import FULL, StudyError

# Native libraries raise their own errors; torch's name only the position in the file.
_FULL_DISK = re.compile(r"No space left|Disk quota|File too large|PytorchStreamWriter failed writing|unexpected pos \d")

ROOT = Path(__file__).resolve().parents[3]
RUNS, REPORTS = Path("runs"), Path("reports")
# Why SqueezeBERT is slow: as measured on this machine, and as committed.
OWN_ANOMALY = ROOT / RUNS / "anomaly.json"
ANOMALY = ROOT / "benchmarks" / "results" / "anomaly.json"
# Times of networks of published size in every engine, as committed (make bench ROWS=engines).
IN_ENGINES = ROOT / "benchmarks" / "results" / "speed" / "engines.json"


def without_machine(text: str) -> str:
    """The text without paths that identify this machine or its user: home, temporary and package folders."""
    for pattern, general in _MACHINE:
        text = pattern.sub(general, text)
    return text


# Matched only at the beginning of a path, since other texts may contain the same letters.
_NAME = r"[^\s/\"'<>,;:)]+"
_MACHINE = [
    (re.compile(rf"(?<![\w+/.<-])(?:{pattern})(?![\w-])"), general)
    for pattern, general in (
        (rf"(?:/{_NAME})+/site-packages", "site-packages"),
        (re.escape(str(ROOT)), "."),
        (re.escape(str(Path.home() / "_")).removesuffix("/_"), "~"),
        (rf"/(?:home|Users)/{_NAME}|/root", "~"),
        (rf"(?:{re.escape(tempfile.gettempdir())}|/tmp)/{_NAME}", "tmp"),
    )
    if pattern
]


def read_bytes(path: Path, missing: str = "no such file") -> bytes:
    """The file's content. Raises StudyError if it cannot be read; ``missing`` is the message if it does not exist."""
    with _opened(path, missing) as file:
        return file.read()


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's content, which is never in memory as a whole. Raises StudyError as ``read_bytes`` does."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path, missing: str = "no such file") -> Iterator[BufferedReader]:
    try:
        if stat.S_ISCHR(path.stat().st_mode):
            raise StudyError(f"{path}: is a device, which may never end; give a file")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise StudyError(f"{path}: {missing}") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a NUL in the path
        raise StudyError(f"{str(path)!a}: cannot be read ({error})") from None


def is_file(path: Path) -> bool:
    """Whether the file exists; False for an invalid path, such as one that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether the folder exists; False for an invalid path."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def make_folder(folder: Path) -> None:
    """Create the folder and its parents if they are missing. Raises StudyError if it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"{str(folder)!a}: this folder for results cannot be created ({reason})") from None
    if not os.access(folder, os.W_OK):
        raise StudyError(f"{folder}: this folder for results is not writable; change its permissions, or give another")


@contextmanager
def enough_disk_for(target: Path) -> Iterator[None]:
    """Turn a full disk inside the block into a StudyError naming ``target``."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        if getattr(error, "errno", None) not in FULL and not _FULL_DISK.search(str(error)):
            raise
        raise StudyError(
            f"{getattr(error, 'filename', None) or target}: cannot be written, since the disk (or its quota) is full; "
            "make room and run the command again: finished work is kept"
        ) from None


@contextmanager
def written_atomically(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; move it into place only if the block succeeds.

    The data reach the disk before the name does, so a crash leaves either the old file or the new one, never a part.
    Raises StudyError if the disk is full.
    """
    make_folder(target.parent)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with enough_disk_for(target):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with written_atomically(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
