"""Which questions are trained on, which are scored, and which choose a threshold: whole articles, seeded draws."""

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
    """(train, validation) with every article wholly on one side, and with it those that share a context with it."""
    groups = _articles(examples)
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise StudyError(
            f"data: has {counted(len(names), 'article')} (those with a context in common are one), but a split by "
            "article needs at least 2"
        )
    shuffled = np.random.default_rng(seed).permutation(len(names))
    n_validation = min(max(round(len(names) * validation_share), 1), len(names) - 1)
    return _parted(examples, groups, {names[i] for i in shuffled[:n_validation]})


def on_both_sides(train: Sequence[Example], validation: Sequence[Example]) -> str:
    """How many passages are both trained on and scored, and the first of them; '' where none is."""
    trained, scored = ({_same(example.context): example for example in side} for side in (train, validation))
    shared = [example for context, example in scored.items() if context in trained]
    if not shared:
        return ""
    stand = "stands" if len(shared) == 1 else "stand"
    named = ", ".join(f"'{one_line(example.context, 40)}' ({one_line(example.title, 40)})" for example in shared[:3])
    return (
        f"data: {len(shared):,} of {counted(len(scored), 'validation passage')} also {stand} on the training side, "
        f"first {named}; scores on these are of texts that were trained on"
    )


def for_threshold(train: Sequence[Example], n: int, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """``hold_out`` for ``data.threshold_questions``: questions with and without an answer must be among them."""
    rest, held_out = hold_out(train, n, "data.threshold_questions", seed)
    if len({bool(example.answers) for example in held_out}) < 2:
        raise StudyError(
            f"data.threshold_questions: the {len(held_out)} held-out questions are not of both kinds, with and without "
            "an answer; hold out more"
        )
    return rest, held_out


def hold_out(train: Sequence[Example], n: int, key: str, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """(train, held out) with ``n`` questions or up to an article more held out, as ``key`` of the study file asks.

    Whole articles, since none of the validation split's articles is trained on either: what is chosen on the held-out
    questions is chosen under the conditions under which it will be used.
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
            f"{counted(len(names), 'article')}; whole articles are held out, and some must be left to train on"
        )
    return _parted(train, groups, chosen)


def sample(examples: list[Example], limit: int | None, seed: int) -> list[Example]:
    """At most ``limit`` questions, drawn at random without replacement, in their old order."""
    if limit is None or limit >= len(examples):
        return examples
    rows = np.sort(np.random.default_rng(seed).choice(len(examples), limit, replace=False))
    return [examples[row] for row in rows]


def _parted(
    examples: Sequence[Example], groups: Sequence[int], chosen: set[int]
) -> tuple[list[Example], list[Example]]:
    """The questions of other groups, and those of the chosen ones."""
    sides: tuple[list[Example], list[Example]] = [], []
    for example, group in zip(examples, groups, strict=True):
        sides[group in chosen].append(example)
    return sides


def _articles(examples: Sequence[Example]) -> list[int]:
    """For each example the number of its article; articles that have a context in common are one."""
    groups = DisjointSet()
    for example in examples:
        title, context = ("title", example.title), ("context", _same(example.context))
        groups.add(title)
        groups.add(context)
        groups.merge(title, context)
    numbers: dict[tuple[str, str], int] = {}
    return [numbers.setdefault(groups[("title", example.title)], len(numbers)) for example in examples]


def _same(context: str) -> str:
    """The context without what makes no difference to a reader."""
    return " ".join(unicodedata.normalize("NFC", context).split())
