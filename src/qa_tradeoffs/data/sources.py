"""A study's questions from the Hub, from files, or generated."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from qa_tradeoffs.core import hub, squad_json
from qa_tradeoffs.core.documents import one_line, read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.squad_json import Part
from qa_tradeoffs.data import generated, splitting
from qa_tradeoffs.data.checks import Row, checked
from qa_tradeoffs.data.example import Example, fingerprint
from qa_tradeoffs.study.config import Data, FileData, GeneratedData, HubData

# What load_dataset can read of a repository on the Hub, after the card, which may say which file is which split.
_DATA_FILES = ["README.md", "*.parquet", "*.json", "*.jsonl", "*.csv"]


@dataclass(frozen=True)
class Splits:
    """The study's questions, and notes on what was mended while reading them.

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
    train, threshold = splitting.hold_out(splits.train, data.threshold_questions)
    return replace(splits, train=train, threshold=threshold)


def summary(splits: Splits) -> dict[str, str]:
    """What was read, for a reader: questions, passages and words of each split, and the fingerprint."""
    sides = {"training": splits.train, "validation": splits.validation}
    if splits.threshold:
        sides["threshold"] = splits.threshold
    return {f"{name} questions": _describe(examples) for name, examples in sides.items()} | {
        "fingerprint": splits.fingerprint[:16]
    }


def read_squad(path: Path, **rules: Any) -> tuple[list[Example], tuple[str, ...]]:
    """Examples of a file in the official nesting, and notes on repairs; ``rules`` are those of checks.checked."""
    return checked(_nested_rows(read_json(path), str(path)), str(path), **rules)


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
    rules: dict[str, Any] = {"v2": data.v2, "misplaced": data.misplaced_answers}
    if data.file is not None:
        examples, notes = read_squad(data.file, **rules)
        train, validation = splitting.by_article(examples, data.validation_share, data.split_seed)
    else:
        assert data.validation is not None
        train, notes = read_squad(data.train, **rules) if data.train else ([], ())
        validation, more = read_squad(data.validation, **rules)
        notes += more
    return _limited(Splits(train, validation, notes), data, data.split_seed)


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
        checked(_flat_rows(splits[name], source), source, v2=data.v2) for name, source in sources.items()
    )
    return _limited(Splits(train, validation, notes + more, revision=folder.name), data, seed=0)


def _limited(splits: Splits, data: HubData | FileData, seed: int) -> Splits:
    """The splits cut to the study's limits, once it is sure that no question is both trained on and scored."""
    if shared := {example.id for example in splits.train} & {example.id for example in splits.validation}:
        raise StudyError(
            f"data: {len(shared)} ids are in both train and validation, first '{min(shared)}'; keep them apart"
        )
    return replace(
        splits,
        train=splitting.sample(splits.train, data.train_limit, seed),
        validation=splitting.sample(splits.validation, data.validation_limit, seed),
    )


def _nested_rows(content: Any, source: str) -> Iterator[Row]:
    """The questions of SQuAD's nesting."""
    for asked in squad_json.questions(content, source):
        yield _row(asked.question, asked.title, asked.paragraph.text("context"))


def _flat_rows(split: Iterable[dict[str, Any]], source: str) -> Iterator[Row]:
    """The questions of a Hub data set in SQuAD's columns, where the answers are a list of texts and one of offsets."""
    for number, columns in enumerate(split):
        row = Part(columns, f"{source}: ", f"row {number}.")
        texts, starts = (row.part("answers").values(key) for key in ("text", "answer_start"))
        if len(texts) != len(starts):
            counts = f"{len(texts)} text but {len(starts)} answer_start"
            raise StudyError(f"{row.place}.answers has {counts}; expected pairs")
        pairs = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        nested = row._replace(content=columns | {"answers": pairs})
        yield _row(nested, str(columns.get("title") or ""), nested.text("context"))


def _row(question: Part, title: str, context: str) -> Row:
    """One question with its answers, checked for their types only."""
    answers = question.parts("answers")
    example = Example(
        id=question.text("id"),
        title=title,
        context=context,
        question=question.text("question"),
        answers=tuple(answer.text("text") for answer in answers),
        answer_starts=tuple(answer.number("answer_start") for answer in answers),
    )
    return Row(question.place, example)
