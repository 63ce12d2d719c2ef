"""Which questions are trained on, which are scored, and which choose a threshold: whole articles, seeded draws."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.data.example import Example


def by_article(examples: Sequence[Example], validation_share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(train, validation) with every article wholly on one side, so that no passage is on both."""
    titles = list(dict.fromkeys(example.title for example in examples))
    if len(titles) < 2:
        raise StudyError(f"data.file: has {len(titles)} article, but a split by article needs at least 2")
    shuffled = np.random.default_rng(seed).permutation(len(titles))
    n_validation = min(max(round(len(titles) * validation_share), 1), len(titles) - 1)
    return _parted(examples, {titles[i] for i in shuffled[:n_validation]})


def hold_out(train: Sequence[Example], n: int, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """(train, held out) with ``n`` questions or up to an article more held out, both kinds of question among them.

    Whole articles, since none of the validation split's articles is trained on either: what is chosen on the held-out
    questions is chosen under the conditions under which it will be used.
    """
    sizes = Counter(example.title for example in train)
    titles = list(sizes)
    shuffled = [titles[i] for i in np.random.default_rng(seed).permutation(len(titles))]
    before = np.cumsum([0, *(sizes[title] for title in shuffled)])[:-1]
    chosen = {title for title, count in zip(shuffled, before, strict=True) if count < n}
    if len(chosen) == len(titles):
        raise StudyError(
            f"data.threshold_questions: is {n}, but the training split has {len(train)} questions of "
            f"{counted(len(titles), 'article')}; whole articles are held out, and some must be left to train on"
        )
    rest, held_out = _parted(train, chosen)
    if len({bool(example.answers) for example in held_out}) < 2:
        raise StudyError(
            f"data.threshold_questions: the {len(held_out)} held-out questions are not of both kinds, with and without "
            "an answer; hold out more"
        )
    return rest, held_out


def sample(examples: list[Example], limit: int | None, seed: int) -> list[Example]:
    """At most ``limit`` questions, drawn at random without replacement, in their old order."""
    if limit is None or limit >= len(examples):
        return examples
    rows = np.sort(np.random.default_rng(seed).choice(len(examples), limit, replace=False))
    return [examples[row] for row in rows]


def _parted(examples: Sequence[Example], titles: set[str]) -> tuple[list[Example], list[Example]]:
    """The questions about other articles, and those about the articles of these titles."""
    others = [example for example in examples if example.title not in titles]
    return others, [example for example in examples if example.title in titles]
