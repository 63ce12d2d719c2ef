"""The setup of notebook 1: its model's recipe and the windows of the training questions."""

from collections.abc import Sequence

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.runs.stage import Stage
from qa_tradeoffs.runs.teaching import Taught
from qa_tradeoffs.training.setup import Setup


def setup(job: Stage, windows: Windows, held_out: Sequence[Example], taught: Taught, processes: int = 0) -> Setup:
    """The training of ``job``'s model on these windows; ``processes`` share every update, 0: as the study says.

    ``held_out``: questions for early stopping, not trained on.
    """
    assert job.seed is not None
    return Setup(
        windows,
        job.study.training,
        pad_token_id=job.tokenizer.pad_token_id,
        seed=job.seed,
        device=job.device,
        workspace=job.paths.unfinished(job.slug, job.seed),
        inputs=job.inputs + job.splits.fingerprint,
        processes=processes or job.study.training.processes,
        held_out=job.windows(held_out, job.tokenizer),
        lesson=taught.lesson,
    )
