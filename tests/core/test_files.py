"""Every file has one place and is written atomically."""

from pathlib import Path

import pytest

from qa_tradeoffs.core import files
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, without_machine, write_text, written_atomically
from qa_tradeoffs.runs.paths import RunPaths

RUN = RunPaths(Path("runs/demo"))


def test_the_root_is_the_repository():
    assert (ROOT / "pyproject.toml").is_file()
    assert (ROOT / "src" / "qa_tradeoffs" / "core" / "files.py").is_file()


def test_files_of_one_training_share_a_folder_and_a_profile_is_in_its_models():
    of_seed = [RUN.checkpoint, RUN.training, RUN.history, RUN.evaluation, RUN.predictions]
    assert [str(path("bert", 2).relative_to("runs/demo/bert/seed-2")) for path in of_seed] == [
        "checkpoint", "training.json", "history.parquet", "evaluation.json", "predictions.parquet"
    ]  # fmt: skip
    assert RUN.profile("bert") == Path("runs/demo/bert/profile.json")
    assert RUN.timings("bert") == Path("runs/demo/bert/timings.parquet")


def test_the_notebooks_of_a_model_are_in_the_order_in_which_they_run_and_name_their_pages():
    assert [str(path) for path in RUN.notebooks("bert", [0, 1], trained=True)] == [
        "runs/demo/bert/seed-0/1-train.ipynb",
        "runs/demo/bert/seed-0/2-evaluate.ipynb",
        "runs/demo/bert/seed-1/1-train.ipynb",
        "runs/demo/bert/seed-1/2-evaluate.ipynb",
        "runs/demo/bert/3-profile.ipynb",
    ]
    assert [path.name for path in RUN.notebooks("ready", [0], trained=False)] == ["2-evaluate.ipynb", "3-profile.ipynb"]
    assert RUN.page_name(RUN.notebooks("bert", [0], trained=True)[0]) == "bert-seed-0-1-train.html"


def test_a_write_makes_the_folders_it_needs_and_leaves_nothing_else(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "Zoë\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"Zo\xc3\xab\n"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_until_a_write_is_complete_the_old_file_is_there(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with written_atomically(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.parent == tmp_path  # a rename is only atomic on one file system
    assert target.read_text() == "new"


@pytest.mark.parametrize("old", ["old", None])
def test_a_failed_write_leaves_what_was_there_and_no_temporary_file(tmp_path, old):
    target = tmp_path / "file"
    if old is not None:
        target.write_text(old)
    with pytest.raises(RuntimeError), written_atomically(target) as temporary:
        temporary.write_text("half of it")
        raise RuntimeError
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == ({} if old is None else {"file": old})


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("file", "File exists"),
        ("file/below", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_folder_that_cannot_be_created_is_one_sentence(tmp_path, folder, reason):
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=rf": .*\({reason}\)$"):
        files.write_text(tmp_path / folder / "result.json", "{}")


def test_a_folder_that_is_not_writable_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "access", lambda folder, mode: False)  # root may write everywhere
    with pytest.raises(StudyError, match=rf"^{tmp_path}: .*not writable"):
        files.write_text(tmp_path / "result.json", "{}")


@pytest.mark.parametrize(
    ("text", "general"),
    [
        (f"{ROOT}/runs/x.json: is missing", "./runs/x.json: is missing"),
        (f"'{ROOT}'", "'.'"),
        (f"{Path.home()}/data/squad.json", "~/data/squad.json"),
        *((f"path: /{homes}/ada/squad.json, /{homes}/bob", "path: ~/squad.json, ~") for homes in ("home", "Users")),
        (str(Path("/", "root", "x")), "~/x"),
        ("/opt/v-1/lib/python3.11/site-packages/tqdm/auto.py:21", "site-packages/tqdm/auto.py:21"),
        ("/tmp/ipykernel_12/345.py:1", "tmp/345.py:1"),
    ],
)
def test_a_text_for_readers_names_neither_folders_of_this_machine_nor_its_user(text, general):
    assert without_machine(text) == general


@pytest.mark.parametrize(
    "text", ["and/or", "8 / 128", "https://x.example/home/ada", "src/tmp/x", "/rooted", "a/root", "</root>", ""]
)
def test_other_texts_stay_as_they_are(text):
    assert without_machine(text) == text
