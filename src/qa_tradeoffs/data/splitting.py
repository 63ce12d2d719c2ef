"""Dividing questions into training, validation and threshold questions: whole articles, drawn with a seed."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.data.example import Example


def by_article(examples: Sequence[Example], validation_share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(train, validation): each article is on one side, with all articles that share a context. Raises StudyError."""
    groups = _articles(examples)
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise StudyError(
            f"data: has {counted(len(names), 'article')} (those that share a context count as one), but a split by "
            "article needs at least 2"
        )
    shuffled = np.random.default_rng(seed).permutation(len(names))
    n_validation = min(max(round(len(names) * validation_share), 1), len(names) - 1)
    return _parted(examples, groups, {names[i] for i in shuffled[:n_validation]})


def on_both_sides(train: Sequence[Example], validation: Sequence[Example]) -> str:
    """How many passages are on both sides, and the first three of them; '' if none."""
    trained, scored = ({_same(example.context): example for example in side} for side in (train, validation))
    shared = [example for context, example in scored.items() if context in trained]
    if not shared:
        return ""
    occur = "occurs" if len(shared) == 1 else "occur"
    named = ", ".join(f"'{one_line(example.context, 40)}' ({one_line(example.title, 40)})" for example in shared[:3])
    return (
        f"data: {len(shared):,} of {counted(len(scored), 'validation passage')} also {occur} on the training side, "
        f"such as {named}; scores on them say nothing about unseen text"
    )


def for_threshold(train: Sequence[Example], n: int, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """``hold_out`` for ``data.threshold_questions``, some with and some without an answer. Raises StudyError."""
    rest, held_out = hold_out(train, n, "data.threshold_questions", seed)
    if len({bool(example.answers) for example in held_out}) < 2:
        raise StudyError(
            f"data.threshold_questions: the {len(held_out)} held-out questions all have an answer or all have none; "
            "hold out more"
        )
    return rest, held_out


def hold_out(train: Sequence[Example], n: int, key: str, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """(train, held out) with ``n`` questions held out, or up to one article more; ``key``: the study's key for ``n``.

    Whole articles are held out, so that held-out questions are about unseen articles, as validation questions are.
    Raises StudyError if none would remain for training.
    """
    groups = _articles(train)
    sizes = Counter(groups)
    names = list(sizes)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    before = np.cumsum([0, *(sizes[name] for name in shuffled)])[:-1]
    chosen = {name for name, count in zip(shuffled, before, strict=True) if count < n}
    if len(chosen) == len(names):
        raise StudyError(
            f"{key}: is {n}, but the training split has {len(train)} questions of "
            f"{counted(len(names), 'article')}; whole articles are held out, and some must remain for training"
        )
    return _parted(train, groups, chosen)


def sample(examples: list[Example], limit: int | None, seed: int) -> list[Example]:
    """At most ``limit`` questions, drawn at random without replacement, in their original order."""
    if limit is None or limit >= len(examples):
        return examples
    rows = np.sort(np.random.default_rng(seed).choice(len(examples), limit, replace=False))
    return [examples[row] for row in rows]


def _parted(
    examples: Sequence[Example], groups: Sequence[int], chosen: set[int]
) -> tuple[list[Example], list[Example]]:
    """The questions of the other groups, and those of the chosen groups."""
    sides: tuple[list[Example], list[Example]] = [], []
    for example, group in zip(examples, groups, strict=True):
        sides[group in chosen].append(example)
    return sides


def _articles(examples: Sequence[Example]) -> list[int]:
    """For each example the number of its article; articles that share a context count as one."""
    groups = DisjointSet()
    for example in examples:
        title, context = ("title", example.title), ("context", _same(example.context))
        groups.add(title)
        groups.add(context)
        groups.merge(title, context)
    numbers: dict[tuple[str, str], int] = {}
    return [numbers.setdefault(groups[("title", example.title)], len(numbers)) for example in examples]


def _same(context: str) -> str:
    """The context without differences that a reader would not notice."""
    return " ".join(unicodedata.normalize("NFC", context).split())
