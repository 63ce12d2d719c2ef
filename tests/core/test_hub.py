"""The Hub over HTTP: downloads equal uploads, failures are explained, and unchanged files are not sent."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from qa_tradeoffs.core import hub, progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.models import checkpoints, weights
from qa_tradeoffs.study.config import HubData, Model
from tests import hub_server

WEIGHTS = bytes(range(250)) * 20  # 5,000 bytes
CHECKPOINT = {"config.json": b"{}", "model.safetensors": WEIGHTS, "vocab.txt": b"[PAD]\n", "spm.model": b"pieces"}
PATTERNS = checkpoints.FILES


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spec(revision: str = "main", **keys: Any) -> Model:
    return Model(label="hub", hub="some/bert", revision=revision, **keys)


def failure(**asked: Any) -> str:
    """The message of a fetch that fails."""
    with pytest.raises(StudyError) as error:
        hub.fetch(**{"name": "some/bert", "revision": "main", "files": PATTERNS} | asked)
    return str(error.value)


class TestFetch:
    def test_files_are_those_of_the_revision_and_none_that_could_be_code(self, server):
        first = server.add("models/some/bert", CHECKPOINT | {"modeling.py": b"", "pytorch_model.bin": b""})
        server.repositories["models/some/bert"].commit({"model.safetensors": b"later"})
        folder = checkpoints.locate(spec(first))
        assert content(folder) == CHECKPOINT
        assert checkpoints.revision(spec(first), folder) == first

    @pytest.mark.parametrize("ref", ["main", "refs/pr/1"])
    def test_a_branch_or_a_pull_request_is_fetched_with_the_hash_it_stands_for(self, server, ref):
        server.add("models/some/bert", CHECKPOINT)
        sha = server.repositories["models/some/bert"].commit({"model.safetensors": b"of this ref"}, ref)
        folder = checkpoints.locate(spec(ref))
        assert (folder / "model.safetensors").read_bytes() == b"of this ref"
        assert checkpoints.revision(spec(ref), folder) == sha

    def test_files_of_a_pinned_commit_are_not_fetched_again(self, server):
        sha = server.add("models/some/bert", CHECKPOINT)
        checkpoints.locate(spec(sha))
        server.asked.clear()
        assert content(checkpoints.locate(spec(sha))) == CHECKPOINT
        assert server.asked == []

    def test_an_interrupted_download_resumes_where_it_stopped(self, server, monkeypatch):
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
        server.add("models/some/bert", CHECKPOINT)
        server.faults = [hub_server.Fault("GET", "model.safetensors", cut_after=2500)]
        assert content(checkpoints.locate(spec())) == CHECKPOINT
        gets = [asked for asked in server.asked if asked.startswith("GET /some/bert") and "model.safetensors" in asked]
        assert [asked.split()[2:] for asked in gets] == [[], ["bytes=2000-"]]

    def test_a_lost_connection_is_one_sentence_and_a_partial_file_is_not_used(self, server, monkeypatch):
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
        sha = server.add("models/some/bert", CHECKPOINT)
        server.faults = [hub_server.Fault("GET", "model.safetensors", cut_after=600, times=99)]
        assert re.match(r"models: some/bert at main could not be fetched \(.*\); check the network", failure())
        with monkeypatch.context() as patch:  # what was received is not a checkpoint
            patch.setattr(constants, "HF_HUB_OFFLINE", True)
            for revision in ("main", sha):
                assert f"some/bert at {revision} is not in the cache" in failure(revision=revision)
        server.faults, server.asked = [], []
        assert content(checkpoints.locate(spec())) == CHECKPOINT

    def test_a_killed_process_leaves_no_partial_file_and_the_next_one_resumes(self, server, tmp_path):
        sha = server.add("models/some/bert", CHECKPOINT | {"model.safetensors": WEIGHTS * 4000})
        server.faults = [hub_server.Fault("GET", "model.safetensors", stall_after=15_000_000)]
        fetch = f"hub.fetch('some/bert', 'main', {PATTERNS!r})"
        variables = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
        others = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        command = [sys.executable, "-c", f"from qa_tradeoffs.core import hub; print({fetch})"]
        process = subprocess.Popen(command, env=others | variables, stdout=subprocess.PIPE, text=True)
        assert server.stalled.wait(60)
        process.kill()
        assert process.communicate()[0] == ""
        again = subprocess.run(command, env=others | variables, capture_output=True, text=True, check=True)
        folder = Path(again.stdout.strip())
        assert folder == tmp_path / "hub" / "models--some--bert" / "snapshots" / sha  # HF_HOME's
        assert content(folder) == CHECKPOINT | {"model.safetensors": WEIGHTS * 4000}
        assert again.stderr == ""

    def test_after_a_failure_only_what_is_missing_is_fetched(self, server):
        server.add("models/some/bert", CHECKPOINT)
        server.faults = [hub_server.Fault("GET", "model.safetensors", status=500)]
        assert "(HTTP 500)" in failure()
        server.asked.clear()
        assert content(checkpoints.locate(spec())) == CHECKPOINT
        assert [Path(asked).name for asked in server.asked if asked.startswith("GET /some/bert")] == [
            "model.safetensors"
        ]

    def test_an_unreachable_hub_is_one_sentence(self, server, monkeypatch):
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        assert "HF_ENDPOINT (http://127.0.0.1:9)" in failure()

    def test_offline_what_is_in_the_cache_is_used_and_nothing_else(self, server, monkeypatch):
        sha = server.add("models/some/bert", CHECKPOINT)
        checkpoints.locate(spec())
        other = server.repositories["models/some/bert"].commit({"model.safetensors": b"later"})
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert [checkpoints.locate(spec(revision)).name for revision in ("main", sha)] == [sha, sha]
        assert f"{other} is not in the cache {constants.HF_HUB_CACHE}; unset HF_HUB_OFFLINE" in failure(revision=other)

    def test_a_wrong_revision_is_distinguished_from_a_wrong_name(self, server):
        server.add("models/some/bert", CHECKPOINT)
        assert f"{server.url}/some/bert does" in failure(revision="0123abc")
        assert re.search("some/bret at main .*hf auth login", failure(name="some/bret"))
        assert re.search(r"not/a/name at main .*; give owner/name", failure(name="not/a/name"))

    def test_a_gated_repository_says_where_to_ask_and_opens_with_a_token(self, server, monkeypatch):
        server.add("models/some/bert", CHECKPOINT, closed="GatedRepo")
        assert re.search(f"gated.*{server.url}/some/bert", failure())
        monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
        assert content(checkpoints.locate(spec())) == CHECKPOINT

    def test_a_token_that_is_not_accepted_is_reported_without_itself(self, server, monkeypatch):
        server.add("models/some/bert", CHECKPOINT)
        monkeypatch.setenv("HF_TOKEN", "hf_outdated")
        assert "the Hub does not accept this token" in failure() and "hf_outdated" not in failure()

    def test_a_pickle_is_fetched_only_if_there_are_no_safetensors(self, server, monkeypatch):
        monkeypatch.setattr(weights, "conversions", lambda folder: [])
        old = {name: file for name, file in CHECKPOINT.items() if name != "model.safetensors"}
        old["pytorch_model.bin"] = WEIGHTS
        sha = server.add("models/some/bert", old | {"tf_model.h5": b"", "training_args.bin": b"", "modeling.py": b""})
        folder = checkpoints.locate(spec())
        assert (content(folder), folder.name) == (old, sha)
        server.repositories["models/some/bert"].commit({"model.safetensors": b"later"})
        server.asked.clear()
        assert content(checkpoints.locate(spec())) == CHECKPOINT | {"model.safetensors": b"later"}
        assert not any("pytorch_model.bin" in asked for asked in server.asked)

    def test_a_repository_for_another_library_is_refused_by_name(self, server):
        server.add("models/some/bert", {"config.json": b"{}", "tf_model.h5": b""})
        with pytest.raises(StudyError, match="some/bert at main has no weights for torch; expected "):
            checkpoints.locate(spec())

    def test_progress_is_reported_in_megabytes_and_nothing_is_printed(self, server, monkeypatch, tmp_path, capfd):
        monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress"))
        server.add("models/some/bert", CHECKPOINT | {"model.safetensors": bytes(3_000_000)})
        checkpoints.locate(spec())
        state = json.loads((tmp_path / "progress").read_text())
        assert (state["label"], state["done"], state["total"]) == ("fetching some/bert, MB", 3, 3)
        assert capfd.readouterr() == ("", "")


class TestDataSets:
    def test_a_data_set_is_read_at_its_commit_and_offline_never_at_another(self, server, monkeypatch, tmp_path):
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "prepared")
        first = server.add("datasets/some/squad", {"README.md": b"---\nlicense: mit\n---\n", **splits(1)})
        second = server.repositories["datasets/some/squad"].commit(splits(2))

        def read(revision: str) -> list[str]:
            data = sources.load(HubData(source="hub", name="some/squad", revision=revision))
            return [str(data.revision), *(example.id for example in data.train + data.validation)]

        assert read(first) == [first, "train-1", "validation-1"]
        assert read("main") == [second, "train-2", "validation-2"]
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert read(first) == [first, "train-1", "validation-1"]
        assert read("main") == [second, "train-2", "validation-2"]


def splits(number: int) -> dict[str, bytes]:
    """A data set's files: in each split one question whose id ends in ``number``."""
    files = {}
    for split in ("train", "validation"):
        answers = {"text": ["Ada"], "answer_start": [0]}
        texts = {"title": "t", "context": "Ada met Bob.", "question": "Who?"}
        row = {"id": f"{split}-{number}", **texts, "answers": answers}
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([row]), buffer)
        files[f"plain_text/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    return files


class TestUpload:
    @pytest.fixture(autouse=True)
    def logged_in(self, server: hub_server.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)

    def test_a_new_repository_is_private_and_holds_what_was_uploaded_byte_for_byte(self, server):
        assert hub.upload("me/bert", CHECKPOINT, "A model")
        assert server.repositories["models/me/bert"].private
        assert content(hub.fetch("me/bert", "main", PATTERNS)) == CHECKPOINT

    def test_the_second_time_no_file_is_sent_and_no_commit_made(self, server):
        hub.upload("me/bert", CHECKPOINT, "A model")
        commits = len(server.repositories["models/me/bert"].commits)
        server.asked.clear()
        assert not hub.upload("me/bert", CHECKPOINT, "A model")
        assert len(server.repositories["models/me/bert"].commits) == commits
        assert not [asked for asked in server.asked if "/large/" in asked or "/commit/" in asked]

    def test_only_what_changed_is_sent(self, server):
        hub.upload("me/bert", CHECKPOINT, "A model")
        server.asked.clear()
        assert hub.upload("me/bert", CHECKPOINT | {"config.json": b'{"a": 1}'}, "Another config")
        assert not [asked for asked in server.asked if "/large/" in asked]
        assert content(hub.fetch("me/bert", "main", PATTERNS)) == CHECKPOINT | {"config.json": b'{"a": 1}'}

    def test_an_upload_that_fails_midway_is_resumed(self, server):
        server.faults = [hub_server.Fault("POST", "commit/main", status=500)]
        with pytest.raises(StudyError, match=r"^me/bert could not be uploaded: .*\(HTTP 500"):
            hub.upload("me/bert", CHECKPOINT, "A model")
        server.asked.clear()
        assert hub.upload("me/bert", CHECKPOINT, "A model")
        assert not [asked for asked in server.asked if asked.startswith("PUT")]
        assert content(hub.fetch("me/bert", "main", PATTERNS)) == CHECKPOINT

    def test_a_fault_that_passes_is_not_noticed(self, server):
        server.faults = [hub_server.Fault("PUT", hub_server.sha256(WEIGHTS), status=500, times=2)]
        assert hub.upload("me/bert", CHECKPOINT, "A model")
        assert content(hub.fetch("me/bert", "main", PATTERNS)) == CHECKPOINT

    def test_without_a_login_it_says_how_to_log_in_and_asks_nothing(self, server, monkeypatch):
        monkeypatch.delenv("HF_TOKEN")
        with pytest.raises(StudyError, match=f"^me/bert: .*{server.url}; run `hf auth login`"):
            hub.upload("me/bert", CHECKPOINT, "A model")
        assert server.asked == []

    @pytest.mark.parametrize(
        ("name", "token", "message"),
        [("others/bert", hub_server.TOKEN, "this login"),
         ("me/bert", "hf_outdated", "the Hub does not accept this token")],
    )  # fmt: skip
    def test_what_a_login_may_not_do_is_one_sentence(self, server, monkeypatch, name, token, message):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(StudyError, match=f"^{name} could not be uploaded: {message}"):
            hub.upload(name, CHECKPOINT, "A model")
