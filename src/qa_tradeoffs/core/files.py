"""How files are read and written, so that none is ever half there, and where the repository keeps them."""

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_tradeoffs.core.errors import FULL, StudyError

# Libraries that are not written in Python raise errors of their own; torch's tell only where it was in the file.
_FULL_DISK = re.compile(r"No space left|Disk quota|File too large|PytorchStreamWriter failed writing|unexpected pos \d")

ROOT = Path(__file__).resolve().parents[3]
RUNS, REPORTS = Path("runs"), Path("reports")
# Why SqueezeBERT is slow: as measured on this machine, and as measured for this program.
OWN_ANOMALY = ROOT / RUNS / "anomaly.json"
ANOMALY = ROOT / "benchmarks" / "results" / "anomaly.json"
# The published sizes in every engine, as measured for this program (make bench ROWS=engines).
IN_ENGINES = ROOT / "benchmarks" / "results" / "speed" / "engines.json"


def without_machine(text: str) -> str:
    """The text without what names this machine or its user: folders of people, of temporary files, of the packages."""
    for pattern, general in _MACHINE:
        text = pattern.sub(general, text)
    return text


# Each only at the beginning of a path: other texts may hold the same letters.
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
    """The file's content. Raises StudyError where it cannot be had, with ``missing`` where it is not there."""
    try:
        if stat.S_ISCHR(path.stat().st_mode):
            raise StudyError(f"{path}: is a device, which may never end; give a file")
        return path.read_bytes()
    except FileNotFoundError:
        raise StudyError(f"{path}: {missing}") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a NUL in the path
        raise StudyError(f"{str(path)!a}: cannot be read ({error})") from None


def is_file(path: Path) -> bool:
    """Whether there is such a file; a path that cannot be one, such as a too long one, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a path that cannot be one is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def make_folder(folder: Path) -> None:
    """Make the folder, and those it is in, where they are not there. Raises StudyError where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"{str(folder)!a}: this folder of results cannot be made ({reason})") from None
    if not os.access(folder, os.W_OK):
        raise StudyError(f"{folder}: nothing can be written into this folder of results; allow it, or give another")


@contextmanager
def enough_disk_for(target: Path) -> Iterator[None]:
    """A disk that runs full inside the block is a StudyError naming ``target``."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        if getattr(error, "errno", None) not in FULL and not _FULL_DISK.search(str(error)):
            raise
        raise StudyError(
            f"{getattr(error, 'filename', None) or target}: cannot be written, the disk (or its quota) is full; make "
            "room and run the command again: what is finished stays"
        ) from None


@contextmanager
def written_atomically(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; move it into place only if the block succeeds.

    The data reach the disk before the name does, so a crash leaves the old file or the new one, never a half.
    Raises StudyError when the disk is full.
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
