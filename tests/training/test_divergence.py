"""Two bad rows of the history may be a rough start; three in a row are a training that diverges."""

from types import SimpleNamespace

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.training.divergence import Divergence


def reports(*losses: float) -> None:
    """A training of windows of 100 tokens, of which a guess costs 4.6 nats, logs these losses."""
    watch = Divergence(100)
    for step, loss in enumerate(losses, 1):
        watch.on_log(None, SimpleNamespace(global_step=step), None, {"loss": loss})


def test_two_bad_reports_are_forgiven_three_in_a_row_are_not():
    reports(9.3, 99.0, 9.2, 9.3, 99.0, 4.0)  # twice a guess is 9.21
    with pytest.raises(StudyError, match=r"diverged: up to update 5 the loss was 9\.3 nats"):
        reports(9.3, 9.2, 9.3, 9.3, 9.3)
