"""The record format: what is written comes back, byte for byte, and what is not of it is refused."""

import importlib.metadata
import platform
import re
from pathlib import Path
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.records import Interval
from qa_tradeoffs.runs import results


def example(**keys: Any) -> results.Results:
    provenance = results.Provenance(
        study="some.yaml",
        study_sha256="a" * 64,
        inputs_sha256="b" * 64,
        data_sha256="c" * 64,
        git_commit=None,
        git_dirty=None,
        seed=1,
        checkpoint="some/bert",
        revision="d" * 40,
        device={"type": "cpu", "threads": 2},
        python="3.11.0",
        versions={"torch": "2.13.0"},
    )
    rows = [
        {"metric": "f1", "value": 81.5, "unit": "points", "n": 500,
         "interval": {"low": 79.0, "high": 84.0, "over": "questions"}},
        {"metric": "seconds", "value": 0.25, "unit": "s", "n": 9, "conditions": {"batch_size": 1, "length": 32}},
        {"metric": "seconds", "value": 2.5, "unit": "s", "n": 9, "conditions": {"batch_size": 8, "length": 32}},
    ]  # fmt: skip
    content = {"stage": "evaluate", "model": "bert", "records": results.records(rows, device="cpu")}
    return results.Results(provenance=provenance, **(content | keys))


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "new" / "folder" / "evaluation.json"
    results.write(path, example(notes=("one was moved",)))
    assert results.read(path) == example(notes=("one was moved",))


def test_equal_results_give_equal_bytes(tmp_path):
    results.write(tmp_path / "a.json", example())
    results.write(tmp_path / "b.json", results.read(tmp_path / "a.json"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")


@pytest.fixture
def together(tmp_path: Path) -> tuple[Path, results.Results]:
    """A result with a table and a folder that were written with it."""
    (tmp_path / "checkpoint").mkdir()
    for name in ("table.parquet", "checkpoint/config.json", "checkpoint/model.safetensors"):
        (tmp_path / name).write_text(name)
    beside = results.fingerprints(tmp_path, tmp_path / "table.parquet", tmp_path / "checkpoint")
    results.write(tmp_path / "evaluation.json", example(beside=beside))
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
    assert str(error.value) == f"{path.parent / name}: is not what was written together with {path}; run make all"


def test_common_conditions_hold_for_every_record_and_its_own_come_on_top():
    first, second, _ = example().records
    assert first.conditions == {"device": "cpu"}
    assert second.conditions == {"device": "cpu", "batch_size": 1, "length": 32}
    (own,) = results.records([{"metric": "x", "value": 1, "unit": "", "n": 1, "conditions": {"a": 2}}], a=1)
    assert own.conditions == {"a": 2}


def test_a_record_is_found_by_its_metric_and_conditions():
    found = example()
    assert found.find("f1").value == 81.5
    assert found.find("seconds", batch_size=8).value == 2.5
    assert [record.value for record in found.all("seconds")] == [0.25, 2.5]
    assert found.all("loss") == []


@pytest.mark.parametrize(
    ("metric", "conditions", "count"),
    [("loss", {}, 0), ("seconds", {"batch_size": 4}, 0), ("seconds", {"length": 32}, 2)],
)
def test_none_or_several_records_are_an_error_that_names_them(metric, conditions, count):
    with pytest.raises(StudyError) as error:
        example().find(metric, **conditions)
    assert str(error.value) == (
        f"results of stage evaluate of bert: {count} records of {metric} under {conditions}, expected one; "
        "run the stage again"
    )


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
def test_a_file_that_is_no_result_is_refused_with_what_is_wrong(tmp_path, change, said):
    results.write(tmp_path / "good.json", example())
    text = re.sub(r',\s*"sha256": "\w{64}"\s*}\s*$', "}", (tmp_path / "good.json").read_text())  # as it was of old
    path = written(tmp_path, change(text))
    with pytest.raises(StudyError) as error:
        results.read(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: is not a result file of this program ({said}")


def test_a_file_that_was_changed_after_it_was_written_is_refused(tmp_path):
    results.write(tmp_path / "good.json", example())
    text = (tmp_path / "good.json").read_text()
    with pytest.raises(StudyError) as error:
        results.read(written(tmp_path, text.replace("81.5", "91.5")))
    assert str(error.value) == (
        f"{tmp_path / 'bad.json'}: was changed after it was written; run the stage that writes it (make all does)"
    )
    assert results.read(written(tmp_path, text.replace("\n", " "))) == example()  # layout is no content


def test_a_file_of_a_time_without_digests_is_read(tmp_path):
    assert results.read(written(tmp_path, example().model_dump_json())) == example()


def test_an_interval_whose_ends_are_swapped_is_refused():
    with pytest.raises(ValueError, match=r"its low 2\.0 is above its high 1\.0"):
        Interval(low=2, high=1, over="seeds")


def test_a_missing_result_says_how_to_get_it(tmp_path):
    with pytest.raises(StudyError, match=r"absent\.json: is missing; run the stage that writes it \(make all does\)$"):
        results.read(tmp_path / "absent.json")
    with pytest.raises(StudyError, match=r": cannot be read \(Is a directory\)$"):
        results.read(tmp_path)


def test_a_stage_without_a_record_has_no_result():
    with pytest.raises(ValueError, match="records"):
        example(records=())


def test_the_software_is_what_runs_here():
    software = results.software()
    assert software.keys() == {"python", "versions", "git_commit", "git_dirty"}
    assert software["python"] == platform.python_version()
    assert software["versions"]["torch"] == importlib.metadata.version("torch")
    assert software["git_commit"] is None or len(software["git_commit"]) == 40
    assert (software["git_commit"] is None) <= (software["git_dirty"] in (None, True, False))


def test_without_git_the_commit_is_not_known(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    software = results.software()
    assert (software["git_commit"], software["git_dirty"]) == (None, None)
