"""A study's questions from the Hub, from files, or generated."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from qa_tradeoffs.core import hub
from qa_tradeoffs.core.documents import one_line, validated
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.squad_json import File, Part, Title
from qa_tradeoffs.data import generated, splitting
from qa_tradeoffs.data.checks import Row, checked
from qa_tradeoffs.data.example import Example, fingerprint
from qa_tradeoffs.study.config import Data, FileData, GeneratedData, HubData

Text = Annotated[str, Field(pattern=r"\S")]
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
    match data:
        case GeneratedData():
            each, seed, unanswerable = data.questions_per_passage, data.seed, data.unanswerable_share
            splits = Splits(
                generated.generate(data.train_passages, each, "train", seed, unanswerable),
                generated.generate(data.validation_passages, each, "validation", seed, unanswerable),
            )
        case FileData():
            splits = _from_files(data)
        case HubData():
            splits = _from_hub(data)
    if data.threshold_questions is None:
        return splits
    train, threshold = splitting.hold_out(splits.train, data.threshold_questions)
    return replace(splits, train=train, threshold=threshold)


def summary(splits: Splits) -> dict[str, str]:
    """What was read, for a reader: questions, passages and words of each split, and the fingerprint."""
    sides = {"training": splits.train, "validation": splits.validation}
    if splits.threshold:
        sides["threshold"] = splits.threshold
    described = {f"{name} questions": _describe(examples) for name, examples in sides.items()}
    return described | {"fingerprint": splits.fingerprint[:16]}


def read_squad(path: Path, **rules: Any) -> tuple[list[Example], tuple[str, ...]]:
    """Examples of a file in the official nesting, and notes on repairs; ``rules`` are those of checks.checked."""
    return checked(_rows_of_file(path), str(path), **rules)


def _describe(examples: Sequence[Example]) -> str:
    contexts = {example.context for example in examples}
    words = np.median([len(context.split()) for context in contexts]) if contexts else 0
    return f"{len(examples):,} about {len(contexts):,} passages of {words:.0f} words (median)"


def _from_files(data: FileData) -> Splits:
    """Two files, or one split by article."""

    def read(path: Path | None) -> tuple[list[Example], tuple[str, ...]]:
        return read_squad(path, v2=data.v2, misplaced=data.misplaced_answers) if path else ([], ())

    (whole, notes), (train, of_train), (validation, of_validation) = map(read, (data.file, data.train, data.validation))
    if whole:
        train, validation = splitting.by_article(whole, data.validation_share, data.split_seed)
    return _limited(Splits(train, validation, notes + of_train + of_validation), data, data.split_seed)


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
        checked(_rows_of_split(splits[name], source), source, v2=data.v2) for name, source in sources.items()
    )
    return _limited(Splits(train, validation, notes + more, revision=folder.name), data, seed=0)


def _limited(splits: Splits, data: HubData | FileData, seed: int) -> Splits:
    """The splits cut to the study's limits, once it is sure that no question is both trained on and scored."""
    if shared := {example.id for example in splits.train} & {example.id for example in splits.validation}:
        both = f"{len(shared)} ids are in both train and validation, first '{min(shared)}'"
        raise StudyError(f"data: {both}; keep them apart")
    train = splitting.sample(splits.train, data.train_limit, seed)
    return replace(splits, train=train, validation=splitting.sample(splits.validation, data.validation_limit, seed))


class _Answer(Part):
    text: Text
    answer_start: int


class _Question(Part):
    id: Text
    question: Text
    answers: list[_Answer]


class _Paragraph(Part):
    context: Text
    qas: list[_Question]


def _rows_of_file(path: Path) -> Iterator[Row]:
    """The questions of a file in SQuAD's nesting."""
    for place, title, paragraph in File[_Paragraph].read(path):
        for i, qa in enumerate(paragraph.qas):
            texts, starts = [a.text for a in qa.answers], [a.answer_start for a in qa.answers]
            example = Example(qa.id, title, paragraph.context, qa.question, tuple(texts), tuple(starts))
            yield f"{place}.qas[{i}]", example


class _Answers(Part):
    text: list[Text]
    answer_start: list[int]

    @model_validator(mode="after")
    def _pairs(self) -> "_Answers":
        texts, starts = len(self.text), len(self.answer_start)
        if texts != starts:
            raise ValueError(f"has {texts} text but {starts} answer_start; must be pairs")
        return self


class _Columns(Part):
    id: Text
    title: Title = None
    context: Text
    question: Text
    answers: _Answers


def _rows_of_split(split: Any, source: str) -> Iterator[Row]:
    """The questions of a Hub data set in SQuAD's columns."""
    for i, row in enumerate(validated(dict[str, list[_Columns]], {"rows": list(split)}, source)["rows"]):
        texts, starts = tuple(row.answers.text), tuple(row.answers.answer_start)
        yield f"{source}: rows[{i}]", Example(row.id, row.title or "", row.context, row.question, texts, starts)
