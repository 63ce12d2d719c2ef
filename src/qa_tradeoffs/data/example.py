"""The unit of work of every stage: one question about one passage."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A question in SQuAD's shape.

    ``answers[i]`` is a reference text and ``answer_starts[i]`` its offset in ``context`` in Unicode code points,
    so that ``context[start : start + len(text)] == text``. Both are empty for an unanswerable question (v2.0).
    """

    id: str
    title: str
    context: str
    question: str
    answers: tuple[str, ...]
    answer_starts: tuple[int, ...]


def fingerprint(examples: Iterable[Example]) -> str:
    """SHA-256 of the examples in order."""
    sha = hashlib.sha256()
    for example in examples:
        sha.update(json.dumps(astuple(example)).encode())
    return sha.hexdigest()
