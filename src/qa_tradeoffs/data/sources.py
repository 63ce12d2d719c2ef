"""A study's questions from the Hub, from files, or generated."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from qa_tradeoffs.core import hub
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.data import answer_offsets, folders, formats, generated, hub_sets, rows, splitting
from qa_tradeoffs.data.answer_offsets import Offsets
from qa_tradeoffs.data.checks import Row, checked
from qa_tradeoffs.data.example import Example, fingerprint
from qa_tradeoffs.data.formats import Contents
from qa_tradeoffs.study.config import Data, FileData, GeneratedData, HubData

Read = tuple[list[Example], tuple[str, ...]]  # the questions, and notes on repairs


@dataclass(frozen=True)
class Splits:
    """The study's questions, and notes on repairs made while reading them.

    ``threshold`` holds training questions held out for choosing the no-answer threshold of SQuAD v2.0.
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
    train, threshold = splitting.for_threshold(splits.train, data.threshold_questions)
    return replace(splits, train=train, threshold=threshold)


def summary(splits: Splits) -> dict[str, str]:
    """For a reader: questions, passages and words of each split, and the fingerprint."""
    sides = {"training": splits.train, "validation": splits.validation}
    if splits.threshold:
        sides["threshold"] = splits.threshold
    described = {f"{name} questions": _describe(examples) for name, examples in sides.items()}
    return described | {"fingerprint": splits.fingerprint[:16]}


def read_files(*named: Path, **rules: Any) -> Read:
    """The examples in files or folders, and notes on repairs.

    ``rules``: ``v2`` and ``misplaced`` as in ``checks.checked``, ``offsets`` as in a study file. Raises StudyError.
    """
    paths = folders.files(named)
    contents = [formats.read(path) for path in paths]
    places = [
        str(path) if found.is_official else f"{path} ({found.form})"
        for path, found in zip(paths, contents, strict=True)
    ]
    more = f" and {counted(len(paths) - 1, 'more file')}" if len(paths) > 1 else ""
    examples, notes = _checked(contents, places, places[0] + more, **rules)
    parents = {str(path.parent) for path in paths}
    for folder in sorted(parents, key=len, reverse=True):  # notes are stored with results, which may be read elsewhere
        notes = tuple(note.replace(f"{folder}/", "") for note in notes)
    return examples, notes


def _describe(examples: Sequence[Example]) -> str:
    contexts = {example.context for example in examples}
    words = np.median([len(context.split()) for context in contexts]) if contexts else 0
    return f"{len(examples):,} about {len(contexts):,} passages of {words:.0f} words (median)"


def _from_files(data: FileData) -> Splits:
    """The splits from two sets of files, or from one set divided by article."""

    def read(files: Sequence[Path] | None) -> Read:
        return read_files(*files, **_rules(data)) if files else ([], ())

    if data.file:
        return _one_split(*read(data.file), data)
    (train, notes), (validation, more) = read(data.train), read(data.validation)
    return _limited(Splits(train, validation, notes + more), data)


def _one_split(examples: list[Example], notes: tuple[str, ...], data: FileData | HubData) -> Splits:
    train, validation = splitting.by_article(examples, data.validation_share, data.split_seed)
    return _limited(Splits(train, validation, notes), data)


def _from_hub(data: HubData) -> Splits:
    """A data set of the Hub at its pinned revision."""
    # Offline, load_dataset silently takes the newest revision in its cache instead of the one it is given.
    folder = hub.fetch(data.name, data.revision, hub_sets.FILES, "dataset")
    splits = hub_sets.load(folder, data)

    def read(split: str) -> Read:
        source = f"{data.name}[{split}]"
        contents = formats.recognised(list(splits[split]), "a data set", source)
        return _checked([contents], [source], source, **_rules(data))

    if data.split:
        found = _one_split(*read(data.split), data)
    else:
        (train, notes), (validation, more) = read(data.train_split), read(data.validation_split)
        found = _limited(Splits(train, validation, notes + more), data)
    return replace(found, revision=folder.name)


def _rules(data: FileData | HubData) -> dict[str, Any]:
    return {"v2": data.v2, "misplaced": data.misplaced_answers, "offsets": data.offsets}


def _checked(
    files: Sequence[Contents], places: Sequence[str], source: str, *, offsets: Offsets = "detect", **given: Any
) -> Read:
    """The questions of all files together; the unit of offsets is decided file by file."""
    found: list[Row] = []
    notes: tuple[str, ...] = ()
    for of_file, place in zip(rows.typed(files, places), places, strict=True):
        examples, note = answer_offsets.in_characters([row.example for row in of_file], offsets)
        found += [row._replace(example=example) for row, example in zip(of_file, examples, strict=True)]
        notes += (f"{place}: {note}",) if note else ()
    made = sum(row.example.id.startswith(rows.MADE) for row in found)
    if made:
        notes += (
            f"{source}: {made:,} of {counted(len(found), 'question')} had no id; each got one derived from its text",
        )
    examples, more = checked(found, source, **given)
    return examples, notes + more


def _limited(splits: Splits, data: HubData | FileData) -> Splits:
    """The splits, cut to the study's limits, with a note on shared passages; no question may be on both sides."""
    shared = {example.id for example in splits.train} & {example.id for example in splits.validation}
    if shared := {key for key in shared if not key.startswith(rows.MADE)}:
        both = f"{len(shared)} ids are in both train and validation, first '{min(shared)}'"
        raise StudyError(f"data: {both}; each id must be in one of them")
    train = splitting.sample(splits.train, data.train_limit, data.split_seed)
    validation = splitting.sample(splits.validation, data.validation_limit, data.split_seed)
    note = splitting.on_both_sides(train, validation)
    return replace(splits, train=train, validation=validation, notes=splits.notes + ((note,) if note else ()))
