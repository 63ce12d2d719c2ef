"""The one error a user is meant to read, and how commands end on it."""

import sys
from collections.abc import Callable


class StudyError(Exception):
    """Something the user can put right. The message is one sentence: what is wrong, where, what would be right.

    Whatever names and texts are quoted in it, it is one line.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(" ".join(sentence.splitlines()))


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
