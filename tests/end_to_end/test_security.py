"""No code from weights or data is run, and no secret is written or printed."""

import fnmatch
import json
import pickle
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch

from qa_tradeoffs.core import documents, errors, hub
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import sources
from qa_tradeoffs.models import checkpoints, tokenizers, weights
from qa_tradeoffs.runs import execute, graph
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.selection import Selection
from qa_tradeoffs.study import config
from qa_tradeoffs.study.config import HubData


class Mark:
    """When it is unpickled, or its source is run, the file ``path`` appears."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)

    @property
    def source(self) -> str:
        return f"import pathlib\npathlib.Path({str(self.path)!r}).touch()\n"


@pytest.fixture
def mark(tmp_path: Path) -> Mark:
    return Mark(tmp_path / "mark")


@pytest.fixture
def checkpoint(network_of: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "CACHE", tmp_path / "converted")
    checkpoints.save(network_of(), tokenizer, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_the_mark_is_left_by_code_that_runs(mark):
    exec(mark.source)
    assert mark.path.exists()
    mark.path.unlink()
    pickle.loads(pickle.dumps(mark))
    assert mark.path.exists()


@pytest.mark.parametrize(
    ("file", "auto_map"),
    [
        ("config.json", {"AutoConfig": "planted.C", "AutoModelForQuestionAnswering": "planted.M"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["planted.T", "planted.T"]}),
    ],
)
def test_code_in_a_checkpoint_is_not_run(checkpoint, mark, file, auto_map):
    (checkpoint / "planted.py").write_text(mark.source)
    settings = json.loads((checkpoint / file).read_text())
    (checkpoint / file).write_text(json.dumps(settings | {"model_type": "planted", "auto_map": auto_map}))
    spec = config.Model(label="local", path=checkpoint)
    for use in (
        lambda: checkpoints.locate(spec),
        lambda: checkpoints.load(checkpoint),
        lambda: tokenizers.load(spec, checkpoint, []),
    ):
        with pytest.raises(StudyError, match=f"{file}: needs custom code"):
            use()
    assert not mark.path.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter_model.bin", "model.safetensors"])
def test_a_pickle_is_not_opened_whatever_its_name(checkpoint, mark, name):
    weights = (checkpoint / "model.safetensors").rename(checkpoint / "other.safetensors")
    (checkpoint / name).write_bytes(pickle.dumps(mark))
    with pytest.raises(StudyError):
        checkpoints.load(checkpoint)
    weights.unlink()
    with pytest.raises(StudyError):
        checkpoints.load(checkpoint)
    assert not mark.path.exists()


def test_a_hostile_pickle_is_refused_with_what_it_asks_for(checkpoint, mark, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # by which torch could be told to be less careful
    (checkpoint / "model.safetensors").unlink()
    torch.save({"bert.embeddings.word_embeddings.weight": mark}, checkpoint / "pytorch_model.bin")
    with pytest.raises(StudyError) as error:
        checkpoints.locate(config.Model(label="local", path=checkpoint))
    assert str(error.value).startswith(f"{checkpoint / 'pytorch_model.bin'}: refers to getattr; ")
    assert not mark.path.exists()


@pytest.fixture
def planted_data(tmp_path: Path, mark: Mark) -> Path:
    """A data set's folder with a loading script and a pickle."""
    folder = tmp_path / "owner" / "squad"
    folder.mkdir(parents=True)
    (folder / "squad.py").write_text(mark.source)
    (folder / "train.pkl").write_bytes(pickle.dumps(mark))
    return folder


def test_code_in_a_data_set_is_not_run(planted_data, mark, monkeypatch):
    monkeypatch.setattr(hub, "fetch", lambda *_: planted_data)
    with pytest.raises(StudyError, match=r"^data: owner/squad at 0123abc cannot be loaded"):
        sources.load(HubData(source="hub", name="owner/squad", revision="0123abc"))
    assert not mark.path.exists()


def test_nothing_is_fetched_from_a_repository_that_could_contain_code(monkeypatch):
    asked: list[str] = []

    def fetch(name: str, revision: str, files: list[str], kind: str = "model") -> Path:
        asked.extend(files)
        raise StudyError("not there")

    monkeypatch.setattr(hub, "fetch", fetch)
    for load in (
        lambda: sources.load(HubData(source="hub", name="owner/squad", revision="0123abc")),
        lambda: checkpoints.locate(config.Model(label="x", hub="some/bert", revision="0123abc")),
    ):
        with pytest.raises(StudyError, match="not there"):
            load()
    assert "config.json" in asked
    for name in ("squad.py", "modeling.py", "weights.bin", "weights.pt", "weights.pkl", "weights.h5"):
        assert not [pattern for pattern in asked if fnmatch.fnmatch(name, pattern)]


def test_the_library_runs_no_loading_script_and_opens_no_pickle(planted_data, mark):
    with pytest.raises(RuntimeError, match="scripts are no longer supported"):
        datasets.load_dataset(str(planted_data))
    (planted_data / "squad.py").unlink()
    with pytest.raises(Exception, match=r"(?i)pickle|no \(supported\) data files"):
        datasets.load_dataset(str(planted_data))
    with pytest.raises(Exception, match=r"(?i)pickle"):
        datasets.load_dataset("pandas", data_files=str(planted_data / "train.pkl"))
    assert not mark.path.exists()


def test_yaml_builds_no_object(tmp_path, mark):
    path = tmp_path / "study.yaml"
    for tag in ("python/object/apply:os.mkdir", "python/object/new:os.mkdir", "python/name:os.mkdir"):
        path.write_text(f"title: !!{tag} [{mark.path}]")
        with pytest.raises(StudyError, match="could not determine a constructor for the tag"):
            documents.read_yaml(path)
    assert not mark.path.exists()


# --- where results go ---


@pytest.mark.parametrize("name", ["...yaml", ".../x/...yaml"])
def test_a_study_file_whose_name_leads_out_of_the_runs_is_refused(name):
    with pytest.raises(StudyError, match=r"has no name for its results' folder; rename it$"):
        RunPaths.of(Path(name))


def test_results_lie_in_the_runs_folder_or_where_the_caller_says():
    assert RunPaths.of(Path("/elsewhere/demo.yaml")).folder == ROOT / "runs" / "elsewhere-demo"
    assert RunPaths.of(Path("demo.yaml"), "/scratch/run").folder == Path("/scratch/run")


def test_all_that_a_study_names_is_written_below_its_run(tmp_path):
    study = config.load(ROOT / "studies" / "smoke.yaml")
    folder = tmp_path / "run"
    chosen = Selection(Path("studies/smoke.yaml"), study, RunPaths(folder), tuple(study.models), study.seeds)
    for stage in graph.stages(chosen)[:-1]:
        assert all(path.resolve().is_relative_to(folder.resolve()) for path in (*stage.targets, stage.record))


# --- known vulnerabilities ---


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ("No known vulnerabilities found", 0, None),
        ("Found 1 known vulnerability in 1 package", 1, "audit: known vulnerabilities; raise the pins named above"),
        ("ERROR:pip_audit._cli:torch: Dependency not found on PyPI", 1, "audit: the vulnerability service was not"),
        ("Traceback (most recent call last):", 1, "audit: the vulnerability service was not reached or gave no answer"),
    ],
)
def test_the_audit_distinguishes_vulnerable_from_unknown_packages(tmp_path, said, code, message):
    auditor = tmp_path / "audit" / "bin" / "pip-audit"
    auditor.parent.mkdir(parents=True)
    auditor.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit {code}\n")
    auditor.chmod(0o755)
    (tmp_path / ".qa-tradeoffs-ready").touch()
    done = subprocess.run(["make", "audit", f"VENV={tmp_path}"], cwd=ROOT, capture_output=True, text=True)
    errors_said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.stderr.startswith(said)
    assert (done.returncode != 0, len(errors_said)) == ((False, 0) if message is None else (True, 1))
    assert message is None or errors_said[0].startswith(f"error: {message}")


# --- secrets ---

SECRETS = ["secret", "hf_planted0token"]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("no answer from http://user:secret@host:80/x", "no answer from http://***@host:80/x"),
        ("no answer from https://secret@host", "no answer from https://***@host"),
        ("Authorization: Bearer secret was refused", "Authorization: Bearer *** was refused"),
        ("the token hf_planted0token is old", "the token *** is old"),
        ("the token 'another planted one' is old", "the token '***' is old"),
        ("mail somebody@host about http://host/a@b", "mail somebody@host about http://host/a@b"),
    ],
)
def test_a_message_holds_no_secret(monkeypatch, said, heard):
    monkeypatch.setenv("HF_TOKEN", "another planted one")
    assert str(StudyError(said)) == documents.one_line(said) == errors.scrubbed(said) == heard


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("two\nlines\r\nand three", "two lines and three"),
        ("red \x1b[31m", r"red \x1b[31m"),
        ("a \u202edetsercer", r"a \u202edetsercer"),
        ("half \ud83d", r"half \ud83d"),
        ("Zoë met שלום and e\u0301", "Zoë met שלום and e\u0301"),
        ("a" * 400 + "b" * 5000 + "c" * 400, "a" * 400 + "b" * 100 + "…" + "b" * 100 + "c" * 400),
    ],
)
def test_a_message_is_one_readable_line_that_no_terminal_obeys(said, shown):
    assert str(StudyError(said)) == shown


def test_a_secret_is_taken_out_before_a_long_message_is_cut():
    assert "sec" not in documents.one_line("http://user:" + "secret" * 90 + "@host")


@pytest.fixture
def refusing_hub() -> Iterator[str]:
    """The URL, with user and password, of a local server that answers nothing."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://user:secret@127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_failed_fetch_writes_no_secret_into_its_notebook_nor_on_the_screen(
    notebook, tmp_path, monkeypatch, capfd, refusing_hub
):
    imports = "from qa_tradeoffs.models import checkpoints\nfrom qa_tradeoffs.study import config"
    fetch = "checkpoints.locate(config.Model(label='BERT', hub='some/bert', revision='0123abc'))"
    fetching = notebook("", f"{imports}\n{fetch}")
    monkeypatch.setenv("HF_TOKEN", SECRETS[1])
    monkeypatch.setenv("HF_ENDPOINT", refusing_hub)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(StudyError, match=r"^models: some/bert at 0123abc could not be fetched") as error:
        execute.run(fetching, tmp_path / "run" / "fetch.ipynb", {})
    # What the Hub's library says of it quotes the address; the password is taken out.
    assert "http://***@127.0.0.1:" in str(error.value)
    shown = capfd.readouterr()
    written = [path.read_text() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert "http://***@127.0.0.1:" in "".join(written)
    for secret in SECRETS:
        assert not [text for text in (str(error.value), shown.out, shown.err, *written) if secret in text]
