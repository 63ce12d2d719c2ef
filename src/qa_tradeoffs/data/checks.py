"""Whether questions can be asked and scored: answers that are there and where they say, unique ids."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.example import Example

Row = tuple[str, Example]  # where a question is, as in 'dev.json: data[0].paragraphs[2].qas[1]', and the question


def checked(
    rows: Iterable[Row], source: str, *, v2: bool = False, misplaced: str = "repair"
) -> tuple[list[Example], tuple[str, ...]]:
    """The examples in order, every answer at its offset, and a note on those that were moved there.

    Without ``v2`` every question needs an answer. An answer that is not at its ``answer_start`` is moved to the nearest
    place where its text occurs (``misplaced='repair'``) or refused ('refuse'). Raises StudyError.
    """
    examples, moved = [], []
    for place, example in rows:
        if not example.answers and not v2:
            name = f"question '{example.id}'"
            raise StudyError(f"{place}: {name} has no answer; SQuAD v1.1 needs one, v2.0 needs `v2: true`")
        answers = zip(example.answers, example.answer_starts, strict=True)
        starts = tuple(_nearest(example.context, text, start) for text, start in answers)
        if -1 in starts:
            text = one_line(repr(example.answers[starts.index(-1)]), 60)
            problem = f"the answer {text} of question '{example.id}' does not occur in its context"
            raise StudyError(f"{place}: {problem}; correct the text or remove the question")
        if starts != example.answer_starts:
            moved.append(example.id)
            example = replace(example, answer_starts=starts)
        examples.append(example)
    if not examples:
        raise StudyError(f"{source}: has no question; expected at least one")
    repeated, count = Counter(example.id for example in examples).most_common(1)[0]
    if count > 1:
        raise StudyError(f"{source}: the id '{repeated}' is there {count} times; ids must be unique")
    if not moved:
        return examples, ()
    problem = (
        f"{len(moved)} of {len(examples)} questions have an answer that is not at its answer_start, first '{moved[0]}'"
    )
    if misplaced == "refuse":
        raise StudyError(f"{source}: {problem}; correct them, or set data.misplaced_answers to repair")
    return examples, (f"{source}: {problem}; each was moved to the nearest place where its text occurs",)


def _nearest(context: str, text: str, start: int) -> int:
    """The offset of ``text`` nearest to ``start``; −1 where it does not occur."""
    if start >= 0 and context.startswith(text, start):
        return start
    offsets = (match.start() for match in re.finditer(f"(?={re.escape(text)})", context))
    return min(offsets, key=lambda offset: abs(offset - start), default=-1)
