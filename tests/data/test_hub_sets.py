"""Configs and splits of data sets that are laid out as on the Hub, fetched over HTTP from a Hub on loopback."""

import io
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.study.config import HubData
from tests import hub_server


def rows(name: str, count: int = 1) -> list[dict[str, Any]]:
    """Questions ``<name>-0`` and so on, each about a separate article."""
    return [
        {
            "id": f"{name}-{n}", "title": f"{name} {n}", "context": f"Ada met {n} of {name}.", "question": "Who?",
            "answers": {"text": ["Ada"], "answer_start": [0]},
        }
        for n in range(count)
    ]  # fmt: skip


def parquet(name: str, count: int = 1) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows(name, count)), buffer)
    return buffer.getvalue()


# As XQuAD and its like: each config names its files, and one of the configs has a split alone.
CARD = """---
configs:
- config_name: of.en
  data_files:
  - {split: train, path: of.en/train-*}
  - {split: test, path: of.en/test-*}
- config_name: of.de
  data_files:
  - {split: train, path: german.parquet}
  - {split: test, path: german-held-out.parquet}
- config_name: of.zh
  data_files:
  - {split: validation, path: of.zh/validation-*}
---
"""
LANGUAGES = {
    "README.md": CARD.encode(),
    "of.en/train-00000-of-00001.parquet": parquet("en-train"),
    "of.en/test-00000-of-00001.parquet": parquet("en-test"),
    "german.parquet": parquet("de-train"),
    "german-held-out.parquet": parquet("de-test"),
    "of.zh/validation-00000-of-00002.parquet": parquet("zh-a", 4),
    "of.zh/validation-00001-of-00002.parquet": parquet("zh-b", 4),
    "load.py": b"raise SystemExit('code of a data set was run')",
}


@pytest.fixture
def load(server: hub_server.Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A function that reads ``some/languages`` at its only commit, with further keys of a study file."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "prepared")
    sha = server.add("datasets/some/languages", LANGUAGES)

    def read(**keys: Any) -> sources.Splits:
        found = sources.load(HubData(source="hub", name="some/languages", revision=sha, **keys))
        assert found.revision == sha
        return found

    return read


def ids(splits: sources.Splits) -> list[list[str]]:
    return [sorted(example.id for example in side) for side in (splits.train, splits.validation)]


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_config_is_read_from_the_files_that_the_card_names_and_a_test_split_may_validate(load, language):
    found = load(config=f"of.{language}", validation_split="test")
    assert ids(found) == [[f"{language}-train-0"], [f"{language}-test-0"]]
    assert found.notes == ()


def test_a_config_with_one_split_alone_is_split_by_article(load):
    found = load(config="of.zh", split="validation", validation_share=0.25)
    train, validation = ids(found)
    assert (len(train), len(validation)) == (6, 2)
    assert sorted(train + validation) == [f"zh-{part}-{n}" for part in "ab" for n in range(4)]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "data: some/languages has the configs of.en, of.de, of.zh; name one as `data.config`"),
        ({"config": "de"}, "data.config: some/languages has no config 'de'; it has of.en, of.de, of.zh"),
        (
            {"config": "of.en"},
            "data: some/languages has no split 'validation', only train, test; name one of these as "
            "`data.validation_split`, or as `data.split` to have it split by article",
        ),
        (
            {"config": "of.zh"},
            "data: some/languages has no split 'train', only validation; name one of these as `data.train_split`, or "
            "as `data.split` to have it split by article",
        ),
    ],
)
def test_a_missing_config_or_split_is_reported_with_the_available_ones(load, keys, message):
    with pytest.raises(StudyError) as error:
        load(**keys)
    assert str(error.value) == message
