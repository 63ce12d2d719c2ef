"""SQuAD-shaped examples from the Hub, from a file, or generated; checked; with a fingerprint."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from qa_tradeoffs.core import hub
from qa_tradeoffs.core.documents import is_unicode, one_line, read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import generated
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.study.config import Data, FileData, GeneratedData, HubData

# What load_dataset can read of a repository on the Hub, after the card, which may say which file is which split.
_DATA_FILES = ["README.md", "*.parquet", "*.json", "*.jsonl", "*.csv"]


@dataclass(frozen=True)
class Splits:
    """The study's questions, and what was noticed and mended while reading them.

    ``threshold`` are held out of the training questions, to choose the no-answer threshold of SQuAD v2.0 on.
    """

    train: list[Example]
    validation: list[Example]
    notes: tuple[str, ...] = ()
    threshold: list[Example] = field(default_factory=list)
    revision: str | None = None  # commit hash of a data set of the Hub

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all splits: every id, text and offset, in order."""
        splits = [self.train, self.validation, *([self.threshold] if self.threshold else [])]
        return hashlib.sha256("".join(map(fingerprint, splits)).encode()).hexdigest()


def load(data: Data) -> Splits:
    """Read and check a study's data. Raises StudyError naming file, place and id."""
    if isinstance(data, GeneratedData):
        splits = _generate(data)
    else:
        splits = _from_hub(data) if isinstance(data, HubData) else _from_files(data)
    if data.threshold_questions is None:
        return splits
    train, threshold = hold_out(splits.train, data.threshold_questions)
    return replace(splits, train=train, threshold=threshold)


def is_v2(data: Data) -> bool:
    """Whether questions may have no answer, as in SQuAD v2.0."""
    return data.v2


def summary(splits: Splits) -> dict[str, str]:
    """What was read, for a reader: questions, passages and words of each split, and the fingerprint."""
    sides = {"training": splits.train, "validation": splits.validation}
    if splits.threshold:
        sides["threshold"] = splits.threshold
    return {f"{name} questions": _describe(examples) for name, examples in sides.items()} | {
        "fingerprint": splits.fingerprint[:16]
    }


def fingerprint(examples: Iterable[Example]) -> str:
    """SHA-256 of the examples in their order."""
    sha = hashlib.sha256()
    for example in examples:
        sha.update(json.dumps(astuple(example)).encode())
    return sha.hexdigest()


def read_squad(path: Path, *, v2: bool = False, misplaced: str = "repair") -> tuple[list[Example], tuple[str, ...]]:
    """Examples of a file in the official nesting, data[] > paragraphs[] > qas[] > answers[], and notes on repairs.

    Without ``v2`` every question needs an answer. An answer that is not at its ``answer_start`` is moved to the nearest
    place where its text occurs (``misplaced='repair'``) or refused ('refuse'). Raises StudyError.
    """
    return _checked(_nested_rows(read_json(path), str(path)), str(path), v2=v2, misplaced=misplaced)


def split_by_article(
    examples: Sequence[Example], validation_share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """(train, validation) with every article wholly on one side, so that no passage is seen in both."""
    titles = list(dict.fromkeys(example.title for example in examples))
    if len(titles) < 2:
        raise StudyError(f"data.file: has {len(titles)} article, but a split by article needs at least 2")
    shuffled = np.random.default_rng(seed).permutation(len(titles))
    n_validation = min(max(round(len(titles) * validation_share), 1), len(titles) - 1)
    held_out = {titles[i] for i in shuffled[:n_validation]}
    train = [example for example in examples if example.title not in held_out]
    return train, [example for example in examples if example.title in held_out]


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
            f"data.threshold_questions: is {n}, but the training split has {len(train)} questions of {len(titles)} "
            f"article{'s' * (len(titles) != 1)}; whole articles are held out, and some must be left to train on"
        )
    held_out = [example for example in train if example.title in chosen]
    if len({bool(example.answers) for example in held_out}) < 2:
        raise StudyError(
            f"data.threshold_questions: the {len(held_out)} held-out questions are not of both kinds, with and without "
            "an answer; hold out more"
        )
    return [example for example in train if example.title not in chosen], held_out


def sample(examples: list[Example], limit: int | None, seed: int) -> list[Example]:
    """At most ``limit`` questions, drawn at random without replacement, in their old order."""
    if limit is None or limit >= len(examples):
        return examples
    rows = np.sort(np.random.default_rng(seed).choice(len(examples), limit, replace=False))
    return [examples[row] for row in rows]


def _describe(examples: Sequence[Example]) -> str:
    contexts = {example.context for example in examples}
    words = np.median([len(context.split()) for context in contexts]) if contexts else 0
    return f"{len(examples):,} about {len(contexts):,} passages of {words:.0f} words (median)"


def _generate(data: GeneratedData) -> Splits:
    """The generated set of this study."""
    each, unanswerable = data.questions_per_passage, data.unanswerable_share
    return Splits(
        generated.generate(data.train_passages, each, "train", data.seed, unanswerable),
        generated.generate(data.validation_passages, each, "validation", data.seed, unanswerable),
    )


def _from_files(data: FileData) -> Splits:
    """Two files, or one split by article."""
    options: dict[str, Any] = {"v2": data.v2, "misplaced": data.misplaced_answers}
    if data.file is not None:
        examples, notes = read_squad(data.file, **options)
        train, validation = split_by_article(examples, data.validation_share, data.split_seed)
    else:
        assert data.validation is not None
        train, notes = read_squad(data.train, **options) if data.train else ([], ())
        validation, more = read_squad(data.validation, **options)
        notes += more
    return _limited(train, validation, notes, data, data.split_seed)


def _from_hub(data: HubData) -> Splits:
    """A data set of the Hub at its pinned revision."""
    import datasets

    datasets.disable_progress_bars()
    # Asked for a name and a revision, load_dataset takes, without a word, the newest one it has when it is offline.
    folder = hub.fetch(data.name, data.revision, _DATA_FILES, "dataset")
    try:
        splits = datasets.load_dataset(str(folder))
    except Exception as error:  # the library has some ten types for files that it cannot read
        raise StudyError(
            f"data: {data.name} at {data.revision} is no data set that can be loaded ({one_line(error)}); expected "
            f"files of SQuAD's columns named train and validation, as {', '.join(_DATA_FILES[1:])}"
        ) from None
    if missing := {"train", "validation"} - splits.keys():
        raise StudyError(f"data: {data.name} has no split '{min(missing)}'; it has {', '.join(splits)}")
    sources = {name: f"{data.name}[{name}]" for name in ("train", "validation")}
    (train, notes), (validation, more) = (
        _checked(_flat_rows(splits[name], source), source, v2=data.v2, misplaced="repair")
        for name, source in sources.items()
    )
    return replace(_limited(train, validation, notes + more, data, 0), revision=folder.name)


def _limited(
    train: list[Example], validation: list[Example], notes: tuple[str, ...], data: HubData | FileData, seed: int
) -> Splits:
    """The splits cut to the study's limits, once it is sure that no question is both trained on and scored."""
    if shared := {example.id for example in train} & {example.id for example in validation}:
        raise StudyError(
            f"data: {len(shared)} ids are in both train and validation, first '{min(shared)}'; keep them apart"
        )
    return Splits(
        sample(train, data.train_limit, seed),
        sample(validation, data.validation_limit, seed),
        notes,
    )


@dataclass(frozen=True)
class _Row:
    """One question as read, checked for its types only; ``place`` says where it stands: 'dev.json: data[0]...'."""

    place: str
    example: Example


def _nested_rows(content: Any, source: str) -> Iterator[_Row]:
    """The questions of SQuAD's nesting. Raises StudyError with the path of keys that is wrong."""
    for a, article in enumerate(_child(content, "data", list, f"{source}: ")):
        paragraphs = _child(article, "paragraphs", list, f"{source}: data[{a}].")
        title = _child(article, "title", str, f"{source}: data[{a}].") if article.get("title") else f"article {a}"
        for p, paragraph in enumerate(paragraphs):
            at = f"{source}: data[{a}].paragraphs[{p}]."
            context = _child(paragraph, "context", str, at)
            for q, qa in enumerate(_child(paragraph, "qas", list, at)):
                yield _row(qa, title, context, f"{at}qas[{q}]")


def _flat_rows(split: Iterable[dict[str, Any]], source: str) -> Iterator[_Row]:
    """The questions of a Hub data set in SQuAD's columns. Raises StudyError with the row and column that is wrong."""
    for number, columns in enumerate(split):
        place = f"{source}: row {number}"
        answers = _child(columns, "answers", dict, f"{place}.")
        texts, starts = (_child(answers, key, list, f"{place}.answers.") for key in ("text", "answer_start"))
        if len(texts) != len(starts):
            raise StudyError(f"{place}.answers has {len(texts)} text but {len(starts)} answer_start; expected pairs")
        pairs = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        context = _child(columns, "context", str, f"{place}.")
        yield _row(columns | {"answers": pairs}, str(columns.get("title") or ""), context, place)


def _row(qa: Any, title: str, context: str, place: str) -> _Row:
    """One question with its answers."""
    within = f"{place}."
    answers = list(enumerate(_child(qa, "answers", list, within)))
    example = Example(
        id=_child(qa, "id", str, within),
        title=title,
        context=context,
        question=_child(qa, "question", str, within),
        answers=tuple(_child(answer, "text", str, f"{within}answers[{i}].") for i, answer in answers),
        answer_starts=tuple(_child(answer, "answer_start", int, f"{within}answers[{i}].") for i, answer in answers),
    )
    return _Row(place, example)


def _child(parent: Any, key: str, kind: type, parent_place: str) -> Any:
    """``parent[key]``, which must be of ``kind``; ``parent_place`` and the key together say where that is."""
    value = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = {list: "a list", dict: "a mapping", str: "a text", int: "a whole number"}[kind]
        raise StudyError(f"{parent_place}{key} is missing or not {expected}; expected the format of SQuAD")
    return value


def _checked(rows: Iterable[_Row], source: str, *, v2: bool, misplaced: str) -> tuple[list[Example], tuple[str, ...]]:
    """The examples in order with their answers at their offsets, and a note on what was moved. Raises StudyError."""
    examples, moved = [], []
    for row in rows:
        example = row.example
        _check_texts(example, row.place, v2=v2)
        starts = tuple(
            _nearest(example.context, *answer) for answer in zip(example.answers, example.answer_starts, strict=True)
        )
        if -1 in starts:
            text = example.answers[starts.index(-1)]
            raise StudyError(
                f"{row.place}: the answer {one_line(repr(text), 60)} of question '{example.id}' "
                "does not occur in its context; correct the text or remove the question"
            )
        if starts != example.answer_starts:
            moved.append(example.id)
            example = Example(example.id, example.title, example.context, example.question, example.answers, starts)
        examples.append(example)
    if not examples:
        raise StudyError(f"{source}: has no question; expected at least one")
    repeated, count = Counter(example.id for example in examples).most_common(1)[0]
    if count > 1:
        raise StudyError(f"{source}: the id '{repeated}' is there {count} times; ids must be unique")
    if not moved:
        return examples, ()
    found = (
        f"{len(moved)} of {len(examples)} questions have an answer that is not at its answer_start, first '{moved[0]}'"
    )
    if misplaced == "refuse":
        raise StudyError(f"{source}: {found}; correct them, or set data.misplaced_answers to repair")
    return examples, (f"{source}: {found}; each was moved to the nearest place where its text occurs",)


def _check_texts(example: Example, place: str, *, v2: bool) -> None:
    """Refuse a question that cannot be asked or scored."""
    if not example.context.strip():
        raise StudyError(f"{place}: the context of question '{example.id}' is empty; expected a passage of text")
    if not example.question.strip():
        raise StudyError(f"{place}: question '{example.id}' is empty; expected a text")
    if not example.answers and not v2:
        raise StudyError(f"{place}: question '{example.id}' has no answer; SQuAD v1.1 needs one, v2.0 needs `v2: true`")
    if not all(answer.strip() for answer in example.answers):
        raise StudyError(f"{place}: question '{example.id}' has an empty answer text; v2.0 uses an empty list instead")
    for text in (example.id, example.title, example.context, example.question, *example.answers):
        if not is_unicode(text):
            raise StudyError(f"{place}: question {example.id!a} holds half a surrogate pair; expected valid Unicode")


def _nearest(context: str, text: str, start: int) -> int:
    """The offset of ``text`` nearest to ``start``; −1 where it does not occur."""
    if start >= 0 and context.startswith(text, start):
        return start
    here = min(max(start, 0), len(context))
    before, after = context.rfind(text, 0, here + len(text)), context.find(text, here)
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - start), default=-1)
