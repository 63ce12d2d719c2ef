"""The one error a user is meant to read, and how commands end on it."""

import os
import re
import sys
from collections.abc import Callable


class StudyError(Exception):
    """Something the user can put right. The message is one sentence: what is wrong, where, what would be right.

    Whatever names and texts are quoted in it, it is one line that can be read at once, holds no secret, and nothing
    that a terminal would obey or that turns the direction of what follows.
    """

    def __init__(self, sentence: str) -> None:
        text = scrubbed(" ".join(sentence.splitlines()))
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"  # what is quoted is long, not what is said of it
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


_LONGEST = 1000
_SECRETS = re.compile(r"(?<=://)[^/\s@]+(?=@)|\bhf_\w{4,}|(?<=Bearer )\S+")
_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def scrubbed(text: str) -> str:
    """The text without the names and passwords of its addresses, and without tokens of the Hub.

    What a library says of a failure, such as the address that it could not reach, may hold them.
    """
    for token in filter(None, map(os.environ.get, _TOKEN_VARIABLES)):
        text = text.replace(token, "***")
    return _SECRETS.sub("***", text)


def exit_cleanly(main: Callable[[], int | None]) -> None:
    """Run a command's ``main``; on a StudyError print its sentence to stderr and exit with code 2."""
    try:
        sys.exit(main() or 0)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
