"""The error that users are meant to read, and how commands exit on it."""

import errno
import os
import re
import signal
import sys
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StudyError(Exception):
    """Something the user can fix. The message is one sentence: what is wrong, where, what would be right.

    Whatever it quotes, it is one line of bounded length, without secrets, terminal control characters or characters
    that reverse the direction of text.
    """

    def __init__(self, sentence: str) -> None:
        text = scrubbed(" ".join(sentence.splitlines()))
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"  # only a quotation can be this long
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


_LONGEST = 1000
_SECRETS = re.compile(r"(?<=://)[^/\s@]+(?=@)|\bhf_\w{4,}|(?<=Bearer )\S+")
_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def scrubbed(text: str) -> str:
    """The text without user names and passwords in URLs, and without tokens of the Hub.

    A library's error message may contain them, for example in the URL that it could not reach.
    """
    for token in filter(None, map(os.environ.get, _TOKEN_VARIABLES)):
        text = text.replace(token, "***")
    return _SECRETS.sub("***", text)


def exit_cleanly(main: Callable[[], int | None]) -> None:
    """Run a command's ``main``; on a StudyError print its sentence to stderr and exit with code 2."""
    try:
        code = main() or 0
        sys.stdout.flush()
        sys.exit(code)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        _let_go_of_stdout()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if error.errno not in FULL:
            raise
        _let_go_of_stdout()
        what = error.filename or "the output"
        print(f"error: {what}: cannot be written, since the disk (or its quota) is full; make room", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _let_go_of_stdout() -> None:
    """Discard what is still to be printed: Python would try to write it again on exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
