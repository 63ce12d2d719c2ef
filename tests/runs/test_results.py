"""The record format: files are read back byte for byte, and invalid ones are refused."""

import importlib.metadata
import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import results_of

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.records import Interval
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config

ROWS = [
    {"metric": "f1", "value": 81.5, "unit": "points", "n": 500,
     "interval": {"low": 79.0, "high": 84.0, "over": "questions"}},
    {"metric": "seconds", "value": 0.25, "unit": "s", "n": 9, "conditions": {"batch_size": 1, "length": 32}},
    {"metric": "seconds", "value": 2.5, "unit": "s", "n": 9, "conditions": {"batch_size": 8, "length": 32}},
]  # fmt: skip


@pytest.fixture
def example(study_of: Callable[..., config.Study]) -> results.Results:
    """A result file of three records."""
    return results_of(study_of(), "evaluate", "bert", 1, ROWS)


def test_what_is_written_is_read_back_and_gives_equal_bytes(example, tmp_path):
    one, other = tmp_path / "new" / "folder" / "evaluation.json", tmp_path / "other.json"
    results.write(one, example)
    assert results.read(one) == example
    results.write(other, results.read(one))
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes().endswith(b"}\n")


@pytest.fixture
def together(example: results.Results, tmp_path: Path) -> tuple[Path, results.Results]:
    """A result with a table and a folder that were written with it."""
    (tmp_path / "checkpoint").mkdir()
    for name in ("table.parquet", "checkpoint/config.json", "checkpoint/model.safetensors"):
        (tmp_path / name).write_text(name)
    beside = results.fingerprints(tmp_path, tmp_path / "table.parquet", tmp_path / "checkpoint")
    results.write(tmp_path / "evaluation.json", example.model_copy(update={"beside": beside}))
    return tmp_path / "evaluation.json", results.read(tmp_path / "evaluation.json")


def test_what_was_written_with_a_result_is_known_by_its_content(together):
    path, found = together
    assert list(found.beside) == ["checkpoint/config.json", "checkpoint/model.safetensors", "table.parquet"]
    # echo -n table.parquet | sha256sum
    assert found.beside["table.parquet"] == "0a6a8cb4ba32db0b81be89de8fa2511769e8d6d5c8d2addacf09ac5b49cdf426"
    results.check_beside(path, found, path.with_name("table.parquet"), path.with_name("checkpoint"))


@pytest.mark.parametrize("name", ["table.parquet", "checkpoint/model.safetensors"])
@pytest.mark.parametrize("harm", [lambda file: file.write_text("of another run"), lambda file: file.unlink()])
def test_what_was_not_written_with_a_result_is_refused_by_name(together, name, harm):
    path, found = together
    harm(path.parent / name)
    with pytest.raises(StudyError) as error:
        results.check_beside(path, found, path.parent / name.split("/")[0])
    assert str(error.value).startswith(f"{path.parent / name}: ")
    assert str(path) in str(error.value)


def test_common_conditions_apply_to_every_record_but_its_own_take_precedence():
    first, second, _ = results.records(ROWS, device="cpu", length=8)
    assert first.conditions == {"device": "cpu", "length": 8}
    assert second.conditions == {"device": "cpu", "batch_size": 1, "length": 32}


def test_a_record_is_found_by_its_metric_and_conditions(example):
    assert example.find("f1").value == 81.5
    assert example.find("seconds", batch_size=8).value == 2.5
    assert [record.value for record in example.all("seconds")] == [0.25, 2.5]
    assert example.all("loss") == []


@pytest.mark.parametrize(
    ("metric", "conditions", "count"),
    [("loss", {}, 0), ("seconds", {"batch_size": 4}, 0), ("seconds", {"length": 32}, 2)],
)
def test_none_or_several_records_are_an_error_that_names_them(example, metric, conditions, count):
    said = f"results of stage evaluate of bert: {count} records of {metric} under {conditions}, expected one; run the"
    with pytest.raises(StudyError, match=f"^{re.escape(said)}"):
        example.find(metric, **conditions)


def written(folder: Path, text: str) -> Path:
    (folder / "bad.json").write_text(text)
    return folder / "bad.json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: '{"stage": "train", "model": "bert", "records": []}', "provenance: is missing"),
        (lambda text: "[]", "must be a mapping of keys)"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "format: must be 1 (it is 2)"),
        (lambda text: text.replace('"n": 500', '"n": 0'), "records[0].n: must be greater than or equal to 1 (it is 0)"),
        (lambda text: text.replace("81.5", '"81.5"'), "records[0].value: must be a number (it is '81.5')"),
        (lambda text: text.replace('"unit"', '"units"'), "records[0].units: unknown key)"),
        (lambda text: text.replace('"model": "bert",', ""), "model: is missing"),
        (lambda text: text.replace('"seed": 1', '"seed": 1, "x": 1'), "provenance.x: unknown key)"),
    ],
)
def test_a_file_that_is_not_a_result_is_refused_with_the_reason(example, tmp_path, change, said):
    results.write(tmp_path / "good.json", example)
    text = re.sub(r',\s*"sha256": "\w{64}"\s*}\s*$', "}", (tmp_path / "good.json").read_text())  # as it was of old
    path = written(tmp_path, change(text))
    with pytest.raises(StudyError) as error:
        results.read(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: is not a result file of this program ({said}")


def test_a_file_that_was_changed_after_it_was_written_is_refused(example, tmp_path):
    results.write(tmp_path / "good.json", example)
    text = (tmp_path / "good.json").read_text()
    with pytest.raises(StudyError, match=r"bad\.json: was changed after it was written; run the stage that writes it"):
        results.read(written(tmp_path, text.replace("81.5", "91.5")))
    assert results.read(written(tmp_path, text.replace("\n", " "))) == example  # layout is no content
    assert results.read(written(tmp_path, example.model_dump_json())) == example  # of a time without digests


def test_an_interval_whose_ends_are_swapped_is_refused():
    with pytest.raises(ValueError, match=r"its low 2\.0 is above its high 1\.0"):
        Interval(low=2, high=1, over="passes")


def test_a_missing_result_says_how_to_get_it(tmp_path):
    with pytest.raises(StudyError, match=r"absent\.json: is missing; run the stage that writes it \(make all does\)$"):
        results.read(tmp_path / "absent.json")
    with pytest.raises(StudyError, match=r": cannot be read \(Is a directory\)$"):
        results.read(tmp_path)


def test_a_stage_without_a_record_has_no_result(study_of):
    with pytest.raises(ValueError, match="records"):
        results_of(study_of(), "evaluate", "bert", 1, [])


def test_the_recorded_software_is_what_runs_here(monkeypatch, tmp_path):
    software = results.software()
    assert software.keys() == {"python", "versions", "git_commit", "git_dirty"}
    assert software["python"] == platform.python_version()
    assert software["versions"]["torch"] == importlib.metadata.version("torch")
    assert software["git_commit"] is None or re.fullmatch("[0-9a-f]{40}", software["git_commit"])
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert results.software() == software | {"git_commit": None, "git_dirty": None}
