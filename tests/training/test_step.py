"""Timed updates are the same as those of a training."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from qa_tradeoffs.data import features
from qa_tradeoffs.models.dropout import set_dropout
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training import collation, step
from qa_tradeoffs.training.setup import Setup
from qa_tradeoffs.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture
def windows(examples, tokenizer):
    return features.build(examples, tokenizer, 48, 8)


def weights(network) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_rows_are_drawn_by_the_seed_and_every_update_is_full():
    rows = step.rows_of_updates(10, 4, 5, seed=1)
    assert [len(of_update) for of_update in rows] == [4] * 5
    assert sorted(np.concatenate(rows)[:10].tolist()) == list(range(10))
    assert np.array_equal(rows, step.rows_of_updates(10, 4, 5, seed=1))
    assert not np.array_equal(rows, step.rows_of_updates(10, 4, 5, seed=2))
    assert [len(of_update) for of_update in step.rows_of_updates(3, 16, 2, seed=0)] == [3, 3]


def test_an_update_moves_the_weights_as_the_trainers_does(network_of, windows, tokenizer, tmp_path: Path, monkeypatch):
    """From the same weights and the same rows, at the same rate, to the same weights."""
    rate, recipe = 1e-3, Training(learning_rate=1e-3, epochs=1, batch_size=len(windows.lengths), dropout=0.0)
    ours, theirs = network_of(), network_of()
    monkeypatch.setattr(step, "_LEARNING_RATE", rate)
    (call,) = step.updates(
        ours.train(), windows, recipe, tokenizer.pad_token_id, CPU, [np.arange(len(windows.lengths))]
    )
    call()
    setup = Setup(windows, recipe, tokenizer.pad_token_id, 0, CPU, tmp_path / "work", "")
    trainer = Trainer(theirs, setup)
    trainer.create_optimizer_and_scheduler(1)
    trainer.current_gradient_accumulation_steps = 1  # as it sets it once it trains
    collator = collation.collator_for(theirs, windows, tokenizer.pad_token_id, CPU)
    set_dropout(theirs.train(), recipe.dropout)
    trainer.training_step(theirs, collator(list(range(len(windows.lengths)))))
    torch.nn.utils.clip_grad_norm_(theirs.parameters(), trainer.args.max_grad_norm)
    trainer.optimizer.step()
    # The Trainer does not decay biases and norms: 0.01 of what the rate makes of them.
    assert torch.allclose(weights(ours), weights(theirs), atol=rate * 0.01 * 1.5, rtol=0)
    assert not torch.allclose(weights(ours), weights(network_of()), atol=rate / 2, rtol=0)


def test_an_update_leaves_no_gradients_and_hardly_moves_what_is_timed_again(network_of, windows, tokenizer):
    network = network_of().train()
    before = copy.deepcopy(network)
    rows = step.rows_of_updates(len(windows.lengths), 2, 3, seed=0)
    for call in step.updates(network, windows, Training(dropout=0.3), tokenizer.pad_token_id, CPU, rows):
        call()
    assert all(parameter.grad is None for parameter in network.parameters())
    moved = (weights(network) - weights(before)).abs().max()
    assert 0 < moved < 1e-5
    assert {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)} == {0.3}
