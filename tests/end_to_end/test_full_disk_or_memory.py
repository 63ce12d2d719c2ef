"""Running out of disk or memory is one sentence; finished work is kept and resumed."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from qa_tradeoffs.core import files
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import features
from qa_tradeoffs.models import checkpoints
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training import fine_tuning
from qa_tradeoffs.training.setup import Fitted, Setup
from qa_tradeoffs.training.trainer import Trainer

SAID = r"{}: cannot be written, since the disk \(or its quota\) is full; make room and run the command again"


@contextmanager
def limited(limit: int, size: int) -> Iterator[None]:
    """This process gets no more than ``size`` bytes of something: real failures of real writes and allocations."""
    before = resource.getrlimit(limit)
    resource.setrlimit(limit, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(limit, before)


def files_up_to(size: int) -> Any:
    """No file can grow beyond ``size`` bytes."""
    return limited(resource.RLIMIT_FSIZE, size)


@pytest.fixture
def fit(tokenizer: Any, tmp_path: Path) -> Callable[..., Fitted]:
    """A function that trains a network on windows; keywords are of the recipe."""

    def call(network: Any, windows: Any, workspace: Path = tmp_path / "unfinished", **keys: Any) -> Fitted:
        recipe = Training(**{"learning_rate": 1e-3, "max_length": 64, "stride": 16, "save_minutes": 1e-9} | keys)
        setup = Setup(windows, recipe, tokenizer.pad_token_id, 0, torch.device("cpu"), workspace, "same")
        return fine_tuning.fit(network, setup)

    return call


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("x" * 100_000),
        lambda path: pd.DataFrame({"a": np.random.default_rng(0).random(20_000)}).to_parquet(path),
        lambda path: torch.save(torch.ones(50_000), path),
    ],
)
def test_a_result_that_does_not_fit_leaves_the_one_before(tmp_path, write):
    target = tmp_path / "result"
    target.write_text("finished before")
    with (
        files_up_to(10_000),
        pytest.raises(StudyError, match=SAID.format(target)),
        files.written_atomically(target) as temporary,
    ):
        write(temporary)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"result": "finished before"}


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(network_of, tokenizer, tmp_path):
    folder = tmp_path / "checkpoint"
    checkpoints.save(network_of(seed=1), tokenizer, folder)
    before = (folder / "model.safetensors").read_bytes()
    with files_up_to(10_000), pytest.raises(StudyError, match=SAID.format(folder)):
        checkpoints.save(network_of(seed=2), tokenizer, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    checkpoints.save(network_of(seed=2), tokenizer, folder)
    assert (folder / "model.safetensors").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_training_resumes_from_the_last_checkpoint_that_fitted(
    fit, network_of, tokenizer, examples, tmp_path, monkeypatch
):
    windows, recipe = features.build(examples, tokenizer, 64, 16), {"epochs": 2, "batch_size": 2}
    real = Trainer._save_optimizer_and_scheduler

    def no_room_at_step_4(self: Any, folder: str) -> None:
        with files_up_to(10_000 if folder.endswith("checkpoint-4") else 10**9):
            real(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save_optimizer_and_scheduler", no_room_at_step_4)
        with pytest.raises(StudyError, match=SAID.format(tmp_path / "unfinished")):
            fit(network_of(), windows, **recipe)
    whole, parts = network_of(), network_of()
    assert fit(parts, windows, **recipe).resumed_at == 3
    fit(whole, windows, tmp_path / "other", **recipe)
    pairs = zip(whole.state_dict().values(), parts.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_batch_that_exceeds_memory_suggests_half_and_the_process_continues(
    fit, network_of, tokenizer, examples, tmp_path
):
    questions = [replace(example, id=f"{number}") for number in range(800) for example in examples]
    windows = features.build(questions, tokenizer, 64, 16)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with limited(resource.RLIMIT_AS, taken + 50 * 2**20), pytest.raises(StudyError) as error:
        fit(network_of(), windows, batch_size=4000, epochs=1, save_minutes=10)
    assert re.match("training.batch_size: a batch of 4000 .*; try 2000$", str(error.value))
    assert list((tmp_path / "unfinished").glob("checkpoint-*")) == []
    assert fit(network_of(), windows, batch_size=8, epochs=0.004, save_minutes=10).steps == 2  # the same process


RUN = """
import sys
from pathlib import Path
from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.runs import execute
result = Path("{disk}/result.json")
parameters = dict(path=str(result), size=int(sys.argv[1]))
exit_cleanly(lambda: execute.run(Path("{notebook}"), Path("{disk}/small.ipynb"), parameters, result))
"""


def test_on_a_full_disk_a_notebook_ends_in_one_sentence_and_earlier_results_stay(notebook, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    write = "from pathlib import Path\nfrom qa_tradeoffs.core import files\nfiles.write_text(Path(path), 'x' * size)"
    small = notebook("path: str = ''\nsize: int = 0", write)
    program = tmp_path / "run.py"
    program.write_text(RUN.format(notebook=small, disk=disk))
    run = f"{sys.executable} {program}"
    in_namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=1m tmpfs {disk}"
    if subprocess.run([*in_namespace, mount], capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    look = f"stat -c '%n %s' {disk}/*.json; ls {disk}"
    done = subprocess.run(
        [*in_namespace, f"{mount} && {run} 1000; {run} 2000000; echo code $?; {look}"], capture_output=True, text=True
    )
    assert done.stderr.splitlines() == [
        f"error: {disk}/result.json: cannot be written, since the disk (or its quota) is full; make room and run the "
        "command again: finished work is kept"
    ]
    assert done.stdout.splitlines() == [
        "code 2", f"{disk}/result.json 1000",
        "partial-small.ipynb", "result.json", "small.ipynb",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("into", "code", "said"),
    [
        ("> /dev/full", 2, "error: the output: cannot be written, since the disk (or its quota) is full; make room\n"),
        ("| true", 0, ""),  # a reader that closes the pipe
    ],
)
def test_a_command_with_an_unreadable_output_ends_in_at_most_one_sentence(tmp_path, into, code, said):
    program = "from qa_tradeoffs.core.errors import exit_cleanly; exit_cleanly(lambda: print(100_000 * 'long '))"
    done = subprocess.run(
        ["sh", "-c", f'{sys.executable} -c "{program}" {into}'], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (code, said)


def test_other_errors_are_left_as_they_are(tmp_path):
    with pytest.raises(PermissionError), files.enough_disk_for(tmp_path):
        raise PermissionError(13, "Permission denied")
