"""The Trainer follows the recipe: rates, frozen weights, losses and the weights that are kept."""

import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers.integrations import integration_utils

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.models import precisions
from qa_tradeoffs.training import collation, fine_tuning
from qa_tradeoffs.training import setup as recipe_setup
from qa_tradeoffs.training.trainer import Trainer
from tests.training.test_fine_tuning import same_weights
from tests.training.test_workers import BLIND

# Five windows, two at a time: three updates an epoch.


def after(network: Any, fit: Any, workspace: str, **recipe: Any) -> Any:
    """The network, trained by this recipe."""
    fit(network, workspace=workspace, **recipe)
    return network


@pytest.mark.parametrize(
    ("schedule", "share_of_the_rate"),
    [
        ("linear", lambda step: (6 - step) / 4),
        ("cosine", lambda step: (1 + math.cos(math.pi * (step - 2) / 4)) / 2),
        ("constant", lambda step: 1),
    ],
)
def test_the_rate_follows_the_schedule_after_its_warm_up(network_of, fit, schedule, share_of_the_rate):
    history = fit(network_of(), learning_rate=4e-3, warmup_ratio=1 / 3, schedule=schedule).history
    expected = [0, 2e-3, *(4e-3 * share_of_the_rate(step) for step in range(2, 6))]
    assert [row["learning_rate"] for row in history] == pytest.approx(expected)


def test_adams_constants_and_the_largest_gradient_are_the_recipes(network_of, setup_of):
    made = Trainer(network_of(), setup_of(adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6, max_grad_norm=0.5))
    made.create_optimizer()
    assert {(group["betas"], group["eps"]) for group in made.optimizer.param_groups} == {((0.8, 0.95), 1e-6)}
    assert made.args.max_grad_norm == 0.5


def test_adams_first_step_is_that_of_its_formula(network_of, fit):
    """For a gradient far below epsilon, the first step is rate x gradient / epsilon, as in gradient descent."""
    start, network = network_of(), network_of()
    fitted = fit(network, epochs=1 / 3, adam_epsilon=1e3, learning_rate=1.0, schedule="constant", dropout=0.0,
                 weight_decay=0.0, max_grad_norm=0)  # fmt: skip
    moved = [(a - b).flatten() for a, b in zip(network.parameters(), start.parameters(), strict=True)]
    assert fitted.steps == 1
    assert torch.cat(moved).norm().item() == pytest.approx(fitted.history[0]["grad_norm"] / 1e3, rel=1e-2)


def test_longer_gradients_are_cut_to_the_recipes_norm(network_of, fit):
    """The same as above, except for the norm: the step is as long as the clipped gradient makes it."""
    start, network = network_of(), network_of()
    fitted = fit(network, epochs=1 / 3, adam_epsilon=1e3, learning_rate=1.0, schedule="constant", dropout=0.0,
                 weight_decay=0.0, max_grad_norm=1e-2)  # fmt: skip
    moved = [(a - b).flatten() for a, b in zip(network.parameters(), start.parameters(), strict=True)]
    assert fitted.history[0]["grad_norm"] > 1e-2  # before it was cut
    assert torch.cat(moved).norm().item() == pytest.approx(1e-2 / 1e3, rel=5e-2)


def test_the_rate_falls_from_layer_to_layer_downwards(network_of, setup_of):
    network = network_of(num_hidden_layers=2)
    made = Trainer(network, setup_of(learning_rate=1e-3, layer_decay=0.5))
    made.create_optimizer_and_scheduler(10)
    rates = {weight: group["lr"] for group in made.optimizer.param_groups for weight in group["params"]}
    assert rates.keys() == set(network.parameters())
    layer = network.bert.encoder.layer
    weights: list[Any] = [network.qa_outputs.weight, layer[1].output.dense.bias, layer[0].output.dense.weight]
    weights.append(network.bert.embeddings.word_embeddings.weight)
    assert [rates[weight] for weight in weights] == pytest.approx([1e-3, 5e-4, 2.5e-4, 1.25e-4])
    for _ in range(5):
        made.lr_scheduler.step()
    halved = {weight: group["lr"] for group in made.optimizer.param_groups for weight in group["params"]}
    assert [halved[weight] for weight in weights] == pytest.approx([5e-4, 2.5e-4, 1.25e-4, 6.25e-5])
    assert {group["weight_decay"] for group in made.optimizer.param_groups} == {0.01, 0.0}


def test_frozen_parameters_stay_as_they_are_and_all_others_move(network_of, fit):
    start = network_of(num_hidden_layers=2)
    network = after(network_of(num_hidden_layers=2), fit, "frozen", freeze_embeddings=True, freeze_layers=1)
    for (name, before), now in zip(start.named_parameters(), network.parameters(), strict=True):
        frozen = name.startswith(("bert.embeddings", "bert.encoder.layer.0"))
        assert torch.equal(before, now) == frozen or name.endswith(BLIND), name


def test_gradient_checkpointing_changes_no_weight(network_of, fit):
    recipe = {"dropout": 0.3, "fast_dropout": True}
    plain = after(network_of(num_hidden_layers=2), fit, "plain", **recipe)
    checkpointed = network_of(num_hidden_layers=2)
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    checkpointed.bert.encoder.layer[0].intermediate.register_forward_hook(count)
    after(checkpointed, fit, "checkpointed", gradient_checkpointing=True, **recipe)
    assert calls >= 2 * 6  # six updates, each layer computed twice
    for one, other in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_a_smoothed_label_is_shared_evenly_by_the_windows_own_tokens():
    # Three tokens with probabilities 1/2, 1/4, 1/4, of which the first is right, and padding with the highest logit.
    logits = torch.tensor([[math.log(2), 0, 0, 9]])
    output, own, label = collation.Logits(logits, logits), torch.tensor([[1, 1, 1, 0]]), torch.tensor([0])
    right, evenly = math.log(2), (math.log(2) + 2 * math.log(4)) / 3
    assert collation.span_loss(output, own, label, label, 0.3).item() == pytest.approx(0.7 * right + 0.3 * evenly)


def test_the_trainers_loss_is_smoothed(network_of, fit, windows):
    """No network can have a loss below the entropy of the smoothed labels; without smoothing it falls to ln 5 = 1.6."""
    fitted = fit(network_of(), epochs=40, learning_rate=1e-2, dropout=0.0, label_smoothing=0.5)
    n = windows.lengths[0]
    shares = np.append(np.full(n - 1, 0.5 / n), 0.5 + 0.5 / n)
    assert fitted.history[-1]["loss"] > -(shares * np.log(shares)).sum() > 2.3


def test_fp16_is_refused_on_a_cpu(network_of, fit):
    with pytest.raises(StudyError, match=r"^training\.precision: fp16 is for GPUs"):
        fit(network_of(), precision="fp16")
    assert precisions.chosen("fp16", torch.device("cuda")) == "fp16"
    half = precisions.autocast(torch.device("cpu"), "fp16")
    assert half.fast_dtype == torch.float16


@pytest.mark.parametrize(
    ("architecture", "recipe", "message"),
    [
        ("bert", {"freeze_layers": 2}, "training.freeze_layers: is 2, but BertForQuestionAnswering has 1 layers"),
        (
            "squeezebert",
            {"gradient_checkpointing": True},
            "training.gradient_checkpointing: SqueezeBertForQuestionAnswering does not support it; remove the key",
        ),
    ],
)
def test_what_a_network_cannot_do_is_one_sentence(network_of, fit, architecture, recipe, message):
    with pytest.raises(StudyError) as error:
        fit(network_of(architecture), **recipe)
    assert str(error.value) == message


# --- early stopping


@pytest.fixture
def contradicted(examples: list[Example], tokenizer: Any) -> features.Windows:
    """The same questions, answered by the names: the better the places are learnt, the higher the loss on these."""
    others = [Example(e.id, e.title, e.context, e.question, (e.id,), (e.context.index(e.id),)) for e in examples]
    return features.build(others, tokenizer, 64, 16)


EARLY = {"early_stopping_questions": 5, "early_stopping_patience": 2, "early_stopping_every": 0.05,
         "learning_rate": 1e-2, "dropout": 0.0, "epochs": 40}  # fmt: skip


def early(setup_of: Any, held_out: features.Windows, **keys: Any) -> Any:
    return dataclasses.replace(setup_of(**EARLY | keys), held_out=held_out)


def mean_loss(network: Any, windows: features.Windows) -> float:
    """The loss on these windows, each computed separately."""
    network.eval()
    losses = []
    for row in range(len(windows.lengths)):
        ids = torch.from_numpy(windows.input_ids[windows.tokens_of(np.array([row]))]).long()[None]
        types = torch.from_numpy(windows.token_type_ids[windows.tokens_of(np.array([row]))]).long()[None]
        labels = {"start_positions": windows.start_labels, "end_positions": windows.end_labels}
        given = {name: torch.from_numpy(values[[row]]) for name, values in labels.items()}
        with torch.no_grad():
            losses.append(network(input_ids=ids, token_type_ids=types, **given).loss.item())
    return float(np.mean(losses))


def test_training_stops_early_and_keeps_the_weights_with_the_lowest_held_out_loss(network_of, setup_of, contradicted):
    network = network_of()
    setup = early(setup_of, contradicted)
    fitted = fine_tuning.fit(network, setup)
    evaluated = 6  # every 5 % of 120 updates
    step, loss = fitted.best
    assert step % evaluated == 0
    assert fitted.steps == step + 2 * evaluated < 120  # patience
    assert mean_loss(network, contradicted) == pytest.approx(loss, abs=1e-5)
    assert fitted.history[-1]["step"] == fitted.steps
    assert {r.metric: r.value for r in fitted.records()}["train_best_step"] == step


def test_an_interrupted_training_stops_early_at_the_same_step(network_of, setup_of, contradicted, monkeypatch):
    whole, parts = network_of(), network_of()
    expected = fine_tuning.fit(whole, early(setup_of, contradicted, workspace="whole"))
    setup = early(setup_of, contradicted, save_minutes=1e-9)
    real = Trainer.training_step

    def break_off(self: Any, *arguments: Any, **settings: Any) -> Any:
        if self.state.global_step == expected.steps - 3:  # after one of the evaluations that the patience is for
            raise KeyboardInterrupt
        return real(self, *arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", break_off)
        with pytest.raises(KeyboardInterrupt):
            fine_tuning.fit(network_of(), setup)
    resumed = fine_tuning.fit(parts, setup)
    assert resumed.resumed_at == expected.steps - 3
    assert (resumed.steps, resumed.best) == (expected.steps, expected.best)
    assert same_weights(whole, parts)


# --- TensorBoard

WRITER = """
class SummaryWriter:
    def __init__(self, log_dir):
        self.file = open(f"{log_dir}.csv", "w")
    def add_text(self, *arguments): pass
    def add_scalar(self, name, value, step):
        self.file.write(f"{step},{name},{value}\\n")
    def flush(self): self.file.flush()
    def close(self): self.file.close()
"""


def test_the_loss_is_logged_for_tensorboard_where_that_is_installed(
    network_of, fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(recipe_setup, "is_tensorboard_available", lambda: False)
        with pytest.raises(StudyError, match=r"^training\.report_to: tensorboard is not installed; `pip install"):
            fit(network_of(), report_to="tensorboard")
    for module in (recipe_setup, integration_utils):  # a stand-in that writes a table
        monkeypatch.setattr(module, "is_tensorboard_available", lambda: True)
    (tmp_path / "tensorboardX.py").write_text(WRITER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    history = fit(network_of(), report_to="tensorboard").history
    logged = pd.read_csv(tmp_path / "tensorboard.csv", names=["step", "name", "value"])
    losses = logged[logged["name"] == "train/loss"]
    assert losses["step"].tolist() == [row["step"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert losses["value"].tolist() == pytest.approx([row["loss"] for row in history])
