"""Training is repeatable and resumable to the bit, and what it says it cost can be counted by hand."""

import functools
import json
import math
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from qa_tradeoffs.core import locks
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import features
from qa_tradeoffs.models.dropout_rates import set_dropout
from qa_tradeoffs.models.inputs import Inputs
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training import collation, fine_tuning, outcome
from qa_tradeoffs.training.recorder import Recorder
from qa_tradeoffs.training.setup import Fitted, Setup
from qa_tradeoffs.training.trainer import Trainer

CPU = torch.device("cpu")
# Five windows, two at a time: three updates an epoch, the third of one window.
RECIPE = {"learning_rate": 1e-3, "epochs": 2, "batch_size": 2, "max_length": 64, "stride": 16}
OFTEN = {"save_minutes": 1e-9}  # a checkpoint at every update


@pytest.fixture(scope="module")
def windows(examples: Any, tokenizer: Any) -> features.Windows:
    return features.build(examples, tokenizer, 64, 16)


@pytest.fixture
def fit(windows: features.Windows, tokenizer: Any, tmp_path: Path) -> Callable[..., Fitted]:
    """fine_tuning.fit on the five windows; recipe keys as keywords."""

    def call(network: Any, seed: int = 0, workspace: str = "unfinished", inputs: str = "same", **keys: Any) -> Fitted:
        recipe = Training(**RECIPE | keys)
        return fine_tuning.fit(
            network, Setup(windows, recipe, tokenizer.pad_token_id, seed, CPU, tmp_path / workspace, inputs)
        )

    return call


@pytest.fixture
def interrupted_at(fit: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Train with a checkpoint at every update and break off in the one after ``step``."""

    def call(network: Any, step: int, **keys: Any) -> None:
        with monkeypatch.context() as patch:
            real = Trainer.training_step

            def break_off(self: Any, *arguments: Any, **settings: Any) -> Any:
                if self.state.global_step == step:
                    raise KeyboardInterrupt
                return real(self, *arguments, **settings)

            patch.setattr(Trainer, "training_step", break_off)
            with pytest.raises(KeyboardInterrupt):
                fit(network, **OFTEN | keys)

    return call


def same_weights(a: Any, b: Any) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def comparable(history: list[dict[str, float]]) -> list[tuple[float, ...]]:
    return [(row["step"], row["epoch"], row["loss"], row["learning_rate"], row["grad_norm"]) for row in history]


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "squeezebert"])
def test_the_same_seed_gives_the_same_weights_and_history(architecture, network_of, fit):
    one, two = network_of(architecture), network_of(architecture)
    histories = [fit(network, workspace=name).history for network, name in ((one, "one"), (two, "two"))]
    assert same_weights(one, two)
    assert comparable(histories[0]) == comparable(histories[1])
    assert not same_weights(one, network_of(architecture))


def test_another_seed_gives_another_order_and_other_weights(network_of, fit):
    one, two = network_of(), network_of()
    fit(one, seed=0, workspace="one", dropout=0.0)
    fit(two, seed=1, workspace="two", dropout=0.0)
    assert not same_weights(one, two)


def test_the_loss_falls_where_there_is_something_to_learn(network_of, fit):
    fitted = fit(network_of(), epochs=40, learning_rate=1e-2, dropout=0.0)
    # From a guess among all tokens to one among the five places, whose loss is ln 5.
    assert fitted.history[0]["loss"] > 3
    assert fitted.history[-1]["loss"] < math.log(5) + 0.1


def test_windows_steps_and_tokens_can_be_counted_by_hand(network_of, fit, windows):
    fitted = fit(network_of())
    assert (fitted.windows, fitted.steps, fitted.resumed_at) == (10, 6, 0)
    assert len(set(windows.lengths)) == 1  # so no padding
    assert fitted.tokens == fitted.padded_tokens == 10 * windows.lengths[0]
    values = {record.metric: record for record in outcome.records(fitted)}
    assert values["train_windows_per_second"].value == 10 / fitted.seconds
    assert values["train_tokens_per_second"].value == fitted.tokens / fitted.seconds
    assert values["train_padding_share"].value == 0
    assert values["train_final_loss"].value == fitted.history[-1]["loss"]
    assert {record.n for record in values.values()} == {6}


def test_padding_is_counted_to_the_longest_of_each_part():
    class InOrder(collation.Shuffled):
        def __iter__(self) -> Any:
            return iter(range(3))

    windows: Any = SimpleNamespace(lengths=np.array([5, 9, 3]))

    def count(steps: int, **keys: Any) -> tuple[int, int, int]:
        collator = collation.Collator(windows, 0, Inputs(frozenset()), **keys)
        return fine_tuning._count(windows.lengths, InOrder(3, seed=0), steps, 2, collator)

    # 5 and 9 are padded to twice 9, then 3 stands alone; in multiples of 8 that is twice 16, and 8.
    assert count(2, own_cost=100) == (3, 17, 18 + 3)
    assert count(2, own_cost=100, multiple_of=8) == (3, 17, 32 + 8)
    assert count(3, own_cost=100) == (5, 17 + 14, 21 + 18)
    # Where a part costs less than the 4 tokens that padding takes, 5 and 9 are computed apart.
    assert count(2, own_cost=3) == (3, 17, 17)


def test_part_of_an_epoch_is_trained(network_of, fit):
    fitted = fit(network_of(), epochs=1.5)  # 4.5 updates, rounded up
    assert (fitted.steps, fitted.windows) == (5, 5 + 4)


def test_the_history_is_finite_and_ends_with_the_last_step(network_of, fit):
    fitted = fit(network_of(), epochs=17)  # 51 updates, a row every second one
    assert [row["step"] for row in fitted.history] == [*range(2, 51, 2), 51]
    assert np.isfinite(comparable(fitted.history)).all()
    assert fitted.history[-1]["epoch"] == 17


def test_the_learning_rate_rises_over_the_share_of_warm_up_then_falls(network_of, fit):
    history = fit(network_of(), learning_rate=3e-3, warmup_ratio=0.5).history
    assert [row["learning_rate"] for row in history] == pytest.approx([0, 1e-3, 2e-3, 3e-3, 2e-3, 1e-3])


@pytest.mark.parametrize("step", [2, 3, 4])  # in the first epoch, between the two, in the second
def test_a_resumed_training_ends_as_an_undisturbed_one(step, network_of, fit, interrupted_at):
    whole, parts = network_of(), network_of()
    undisturbed = fit(whole, workspace="other", dropout=0.3)
    interrupted_at(network_of(), step, dropout=0.3)
    resumed = fit(parts, **OFTEN, dropout=0.3)
    assert resumed.resumed_at == step
    assert same_weights(whole, parts)
    assert comparable(resumed.history) == comparable(undisturbed.history)
    assert (resumed.steps, resumed.windows, resumed.tokens) == (6, 10, undisturbed.tokens)


def test_a_resumed_training_draws_the_rest_of_the_fast_masks(network_of, fit, interrupted_at):
    recipe = {"dropout": 0.3, "fast_dropout": True}
    whole, parts, stock = network_of(), network_of(), network_of()
    fit(whole, workspace="other", **recipe)
    interrupted_at(network_of(), 3, **recipe)
    fit(parts, **OFTEN, **recipe)
    assert same_weights(whole, parts)
    fit(stock, workspace="stock", dropout=0.3)
    assert not same_weights(whole, stock)


def test_a_resumed_training_sees_the_rest_of_the_rows_in_their_order(network_of, fit, interrupted_at, monkeypatch):
    seen: list[int] = []
    real = collation.Collator.__call__
    monkeypatch.setattr(collation.Collator, "__call__", lambda self, rows: (seen.extend(rows), real(self, rows))[1])
    fit(network_of(), workspace="other")
    whole = seen.copy()
    assert sorted(whole[:5]) == sorted(whole[5:]) == [0, 1, 2, 3, 4]
    assert whole[:5] != whole[5:]
    interrupted_at(network_of(), 4)
    seen.clear()
    fit(network_of(), **OFTEN)
    assert seen == whole[7:]  # after 2, 2, 1 and 2 windows


def test_a_history_does_not_show_where_it_was_interrupted(network_of, fit, interrupted_at, tmp_path):
    whole = fit(network_of(), workspace="other", epochs=34)
    assert [row["step"] for row in whole.history[:2]] == [3, 6]  # a mean of three updates each
    interrupted_at(network_of(), 31, epochs=34)
    resumed = fit(network_of(), epochs=34)
    assert comparable(resumed.history) == comparable(whole.history)
    for fitted, name in ((whole, "whole"), (resumed, "resumed")):
        outcome.write_history(fitted, tmp_path / name)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes()


def test_seconds_add_up_over_attempts(network_of, fit, interrupted_at, tmp_path):
    interrupted_at(network_of(), 4)
    marker = tmp_path / "unfinished" / "checkpoint-4" / "elapsed.json"
    content = json.loads(marker.read_text())
    assert 0 < content["seconds"] < 60
    marker.write_text(json.dumps(content | {"seconds": 1000.0}))
    began = time.monotonic()
    seconds = fit(network_of()).seconds
    assert 1000 < seconds < 1000 + time.monotonic() - began


def test_only_the_newest_checkpoint_is_kept(network_of, interrupted_at, tmp_path):
    interrupted_at(network_of(), 4)
    assert [path.name for path in (tmp_path / "unfinished").glob("checkpoint-*")] == ["checkpoint-4"]


def test_a_checkpoint_of_other_inputs_is_not_resumed_from(network_of, fit, interrupted_at):
    interrupted_at(network_of(), 4)
    network, fresh = network_of(), network_of()
    assert fit(network, inputs="other").resumed_at == 0
    fit(fresh, workspace="elsewhere")
    assert same_weights(network, fresh)


def test_a_checkpoint_that_a_crash_left_half_written_is_passed_over(network_of, fit, monkeypatch, tmp_path):
    real = Trainer._save_optimizer_and_scheduler

    def crash(self: Any, folder: str) -> None:
        if folder.endswith("checkpoint-3"):
            raise OSError("no space left")
        real(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save_optimizer_and_scheduler", crash)
        with pytest.raises(OSError, match="no space left"):
            fit(network_of(), **OFTEN)
    assert {path.name for path in (tmp_path / "unfinished").glob("*-*")} == {"checkpoint-2", "checkpoint-3"}
    network, whole = network_of(), network_of()
    assert fit(network).resumed_at == 2
    fit(whole, workspace="other")
    assert same_weights(network, whole)


def test_without_a_complete_checkpoint_it_starts_from_the_beginning(network_of, fit, interrupted_at, tmp_path):
    interrupted_at(network_of(), 1)
    (tmp_path / "unfinished" / "checkpoint-1" / "elapsed.json").unlink()
    assert fit(network_of()).resumed_at == 0


def test_a_loss_that_is_no_number_is_an_error_within_ten_updates(network_of, fit):
    network = network_of()
    with pytest.raises(StudyError, match=r"training.learning_rate: the loss is no longer a number \(nan\) after 10 up"):
        fit(network, epochs=400, learning_rate=1e30)  # 1200 updates, a row of the history every 24
    ids = torch.ones(1, 4, dtype=torch.long)
    assert network(input_ids=ids).start_logits.shape == (1, 4)


def test_a_loss_far_above_a_guess_is_an_error_although_it_is_a_number(network_of, fit):
    # A guess among the 40-odd tokens of these windows costs 3.7 nats; these logits are in the hundreds.
    with pytest.raises(StudyError) as error:
        fit(network_of(), epochs=400, learning_rate=3.0)
    assert re.fullmatch(
        r"training\.learning_rate: the training diverged: up to update 72 the loss was \S+ nats, 2 times that of a "
        r"guess or more, 3 reports in a row; try a lower rate, or some warmup_ratio",
        str(error.value),
    )


def reports(*losses: float) -> None:
    """What the recorder makes of a training of windows of 100 tokens; a guess costs 4.6 nats."""
    recorder = Recorder(60, 100)
    for step, loss in enumerate(losses, 1):
        recorder.on_log(None, SimpleNamespace(global_step=step), None, {"loss": loss})


def test_two_bad_reports_are_forgiven_three_in_a_row_are_not():
    reports(9.3, 99.0, 9.2, 9.3, 99.0, 4.0)  # twice a guess is 9.21
    with pytest.raises(StudyError, match=r"diverged: up to update 5 the loss was 9\.3 nats"):
        reports(9.3, 9.2, 9.3, 9.3, 9.3)


def test_weights_that_the_last_update_broke_are_not_saved(network_of, fit, monkeypatch):
    network = network_of()
    real = Recorder.on_train_end

    def overflow(self: Any, *arguments: Any, **settings: Any) -> None:
        real(self, *arguments, **settings)
        network.qa_outputs.bias.data[0] = float("inf")

    monkeypatch.setattr(Recorder, "on_train_end", overflow)
    with pytest.raises(StudyError, match=r"after the last update the weights are no longer numbers; try a lower rate"):
        fit(network)


def test_no_checkpoint_is_written_of_weights_that_are_no_numbers(network_of, fit, tmp_path):
    with pytest.raises(StudyError, match="no longer a number"):
        fit(network_of(), learning_rate=1e30, **OFTEN)
    assert [path.name for path in (tmp_path / "unfinished").glob("checkpoint-*")] == ["checkpoint-1"]


@pytest.mark.parametrize(
    ("error", "batch_size", "advice"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), 4, "try 2"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 5, "try 2"),
        (MemoryError(), 1, "try a lower training.max_length, or a machine with more memory"),
    ],
)
def test_where_memory_runs_out_it_says_which_batch_size_to_try(network_of, fit, monkeypatch, error, batch_size, advice):
    def run_out(*arguments: Any, **settings: Any) -> Any:
        raise error

    monkeypatch.setattr(Trainer, "compute_loss", run_out)
    with pytest.raises(StudyError) as said:
        fit(network_of(), batch_size=batch_size)
    assert str(said.value) == (
        f"training.batch_size: a batch of {batch_size} is too much for this machine's memory; {advice}"
    )


def test_two_trainings_at_once_in_one_workspace_are_refused(network_of, fit, tmp_path, monkeypatch):
    monkeypatch.setattr(fine_tuning, "locked", functools.partial(locks.locked, patience=0))
    with (
        locks.locked(tmp_path / ".unfinished.lock", "it"),
        pytest.raises(StudyError, match=rf"^{tmp_path}/unfinished: is in use by '"),
    ):
        fit(network_of())
    assert not (tmp_path / "unfinished").exists()


def test_windows_longer_than_the_network_takes_are_refused(network_of, fit, windows):
    longest = windows.lengths.max()
    with pytest.raises(StudyError, match=rf"max_length: windows of {longest} tokens, but the network takes 32"):
        fit(network_of(max_position_embeddings=32))


def test_nothing_is_printed_and_nothing_warned_of(network_of, fit, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(network_of())
    assert capfd.readouterr() == ("", "")


DROPOUTS = {
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "distilbert": ("dropout", "attention_dropout"),
    "squeezebert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
}


@pytest.mark.parametrize("architecture", DROPOUTS)
def test_the_recipes_dropout_reaches_every_dropout(architecture, network_of):
    network = network_of(architecture, **dict.fromkeys(DROPOUTS[architecture], 0.5)).train()
    ids = torch.arange(5, 25)[None]

    def varies() -> bool:
        return not torch.equal(network(input_ids=ids).start_logits, network(input_ids=ids).start_logits)

    set_dropout(network, None)
    assert varies()
    set_dropout(network, 0.0)
    assert not varies()
    set_dropout(network, 0.2)
    assert {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)} == {0.2}


def test_training_uses_the_recipes_dropout(network_of, fit):
    network = network_of()
    fit(network, dropout=0.3)
    assert {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)} == {0.3}


def fitted_with(n_rows: int) -> Fitted:
    history = [{"step": k, "epoch": k / n_rows, "loss": 1.0 / k, "learning_rate": 1e-3} for k in range(1, n_rows + 1)]
    return Fitted(history, n_rows, 320, 8.0, 3000, 4000, resumed_at=7)


def test_the_summary_is_in_units_that_can_be_checked():
    assert outcome.summary(fitted_with(1200)) == {
        "updates": "1,200, resumed at 7",
        "seconds": "8.0",
        "windows per second": "40.0",
        "tokens per second": "375",
        "share of padding": "25.0 %",
    }


@pytest.mark.parametrize(("n_rows", "steps"), [(3, [1, 2, 3]), (25, [1, 4, 7, 10, 13, 16, 19, 22, 25])])
def test_the_loss_table_is_short_and_ends_with_the_last_row(n_rows, steps):
    assert outcome.loss_table(fitted_with(n_rows))["step"].tolist() == steps


def test_the_history_is_read_back_from_its_file(tmp_path):
    outcome.write_history(fitted_with(3), tmp_path / "history.parquet")
    assert pd.read_parquet(tmp_path / "history.parquet").to_dict("records") == fitted_with(3).history


def test_the_conditions_name_the_precision_and_the_dropout_that_it_came_down_to(network_of):
    conditions = outcome.conditions(Training(), CPU, network_of())
    assert conditions["precision"] == "fp32"
    assert conditions["dropout"] == 0.1
    assert conditions["learning_rate"] == 2e-5
    assert all(value is None or math.isfinite(float(value)) for key, value in conditions.items() if key != "precision")
