"""transformers is quiet within the block, and its settings are restored afterwards."""

import pytest
from transformers import logging

from qa_tradeoffs.models import checkpoints
from qa_tradeoffs.models.quiet import quiet


def test_bars_and_warnings_are_off_within_the_block_only(capfd):
    def noise() -> str:
        list(logging.tqdm(range(3), desc="a bar"))
        logging.get_logger("transformers.some").warning("a warning")
        return capfd.readouterr().err

    assert "a bar" in noise()
    with pytest.raises(ZeroDivisionError), quiet():
        assert noise() == ""
        raise ZeroDivisionError
    assert "a bar" in noise()
    level = logging.get_verbosity()
    with quiet():
        assert logging.get_verbosity() == logging.ERROR
    assert logging.get_verbosity() == level


def test_nothing_is_printed_while_a_checkpoint_is_written_and_read(checkpoint, capfd):
    checkpoints.load(checkpoint())
    assert capfd.readouterr() == ("", "")
