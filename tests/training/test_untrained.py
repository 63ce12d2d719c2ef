"""An untrained network is evaluated without being changed: its loss, and the expected time of training."""

import copy
import math
import os

import numpy as np
import pytest
import torch

from qa_tradeoffs.training import untrained
from qa_tradeoffs.training.untrained import Untrained


def test_the_loss_is_transformers_own_on_windows_of_one_length(network_of, setup_of, windows):
    """All five windows have one length, so none is padded; the two losses differ only in how they treat padding."""
    assert len(set(windows.lengths)) == 1
    network = network_of().eval()
    found = untrained.look(network, setup_of(batch_size=5))
    batch = {
        "input_ids": windows.input_ids, "token_type_ids": windows.token_type_ids,
    }  # fmt: skip
    inputs = {name: torch.from_numpy(ids.reshape(5, -1)).long() for name, ids in batch.items()}
    labels = {"start_positions": windows.start_labels, "end_positions": windows.end_labels}
    with torch.no_grad():
        theirs = network(**inputs, **{name: torch.from_numpy(values) for name, values in labels.items()}).loss
    assert found.loss == pytest.approx(float(theirs), rel=1e-5)
    assert found.guess == pytest.approx(math.log(windows.lengths[0]))
    assert found.windows == 5


@pytest.mark.parametrize(("batch_size", "epochs", "updates"), [(5, 2, 2), (2, 2, 6), (2, 0.5, 2)])
def test_the_updates_are_those_that_training_makes(network_of, setup_of, fit, batch_size, epochs, updates):
    keys = {"batch_size": batch_size, "epochs": epochs}
    assert untrained.look(network_of(), setup_of(**keys)).updates == updates
    assert fit(network_of(), **keys).steps == updates


def test_a_network_that_was_evaluated_first_trains_to_the_same_weights(network_of, setup_of, fit):
    seen, unseen = network_of().train(), network_of().train()
    before, state = copy.deepcopy(seen.state_dict()), torch.get_rng_state()
    untrained.look(seen, setup_of())
    assert torch.equal(torch.get_rng_state(), state)
    assert seen.training
    assert all(torch.equal(value, before[name]) for name, value in seen.state_dict().items())
    for network in (seen, unseen):
        torch.set_rng_state(state)
        fit(network, workspace=os.urandom(4).hex())
    assert all(torch.equal(value, unseen.state_dict()[name]) for name, value in seen.state_dict().items())


def test_the_time_is_three_forward_passes_an_update():
    found = Untrained(loss=np.log(60), guess=4.0, windows=16, seconds=0.5, updates=1200)
    assert found.expected_seconds == 1800
    assert found.summary() == {
        "loss of the untrained network": "4.09 nats, the mean of 16 windows", "loss of a uniform guess": "4.00 nats",
        "updates to make": "1,200", "expected time": "30.0 min",
    }  # fmt: skip
