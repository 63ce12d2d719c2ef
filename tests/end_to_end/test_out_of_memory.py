"""Memory that really runs out while a model trains is one sentence that says which batch size to try."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import features
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training.fit import fit
from qa_tradeoffs.training.fitted import Fitted
from qa_tradeoffs.training.run import Run


@contextmanager
def memory_left(size: int) -> Iterator[None]:
    """This process can take no more than ``size`` bytes on top of what it has: real failures of real allocations."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_batch_that_does_not_fit_says_half_of_it_and_the_process_goes_on(
    network_of: Any, tokenizer: Any, examples: Any, tmp_path: Path
) -> None:
    questions = [replace(example, id=f"{number}") for number in range(800) for example in examples]
    windows = features.build(questions, tokenizer, 64, 16)

    def trained(batch_size: int, epochs: float) -> Fitted:
        recipe = Training(learning_rate=1e-3, epochs=epochs, batch_size=batch_size, max_length=64, stride=16)
        workspace = tmp_path / "unfinished"
        return fit(
            network_of(), Run(windows, recipe, tokenizer.pad_token_id, 0, torch.device("cpu"), workspace, inputs="same")
        )

    with memory_left(50 * 2**20), pytest.raises(StudyError) as error:
        trained(4000, epochs=1)
    assert str(error.value) == ("training.batch_size: a batch of 4000 is too much for this machine's memory; try 2000")
    assert list((tmp_path / "unfinished").glob("checkpoint-*")) == []
    assert trained(8, epochs=0.004).steps == 2  # with the memory that there is, the same process goes on
