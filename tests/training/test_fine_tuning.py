"""Training is reproducible and resumable bit for bit, and its recorded cost can be counted by hand."""

import functools
import json
import math
import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch

from qa_tradeoffs.core import locks
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.training import collation, fine_tuning
from qa_tradeoffs.training.recorder import Recorder
from qa_tradeoffs.training.setup import Fitted
from qa_tradeoffs.training.trainer import Trainer

# Five windows, two at a time: three updates an epoch, the third of one window.
OFTEN = {"save_minutes": 1e-9}  # a checkpoint at every update


@pytest.fixture
def interrupted_at(fit: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Train with a checkpoint at every update, and stop in the one after ``step``."""

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
def test_the_same_seed_gives_the_same_weights_and_history_and_another_seed_others(architecture, network_of, fit):
    one, two, other = (network_of(architecture) for _ in range(3))
    histories = [fit(network, workspace=name).history for network, name in ((one, "one"), (two, "two"))]
    fit(other, seed=1, workspace="other")
    assert same_weights(one, two)
    assert comparable(histories[0]) == comparable(histories[1])
    assert not same_weights(one, other)
    assert not same_weights(one, network_of(architecture))


def test_the_loss_falls_if_there_is_something_to_learn(network_of, fit):
    fitted = fit(network_of(), epochs=40, learning_rate=1e-2, dropout=0.0)
    # From a guess among all tokens to one among the five places, whose loss is ln 5.
    assert fitted.history[0]["loss"] > 3
    assert fitted.history[-1]["loss"] < math.log(5) + 0.1


def test_windows_steps_and_tokens_can_be_counted_by_hand(network_of, fit, windows):
    fitted = fit(network_of())
    assert (fitted.windows, fitted.steps, fitted.resumed_at) == (10, 6, 0)
    assert len(set(windows.lengths)) == 1  # so no padding
    assert fitted.tokens == fitted.padded_tokens == 10 * windows.lengths[0]
    records = fitted.records()
    assert {record.metric: record.value for record in records} == {
        "train_seconds": fitted.seconds,
        "train_steps": 6,
        "train_windows": 10,
        "train_windows_per_second": 10 / fitted.seconds,
        "train_tokens_per_second": fitted.tokens / fitted.seconds,
        "train_padding_share": 0,
        "train_final_loss": fitted.history[-1]["loss"],
    }
    assert {record.n for record in records} == {6}
    part = fit(network_of(), workspace="part", epochs=1.5)  # 4.5 updates, rounded up
    assert (part.steps, part.windows) == (5, 5 + 4)


def test_the_history_is_finite_and_ends_with_the_last_step(network_of, fit):
    fitted = fit(network_of(), epochs=17)  # 51 updates, a row every second one
    assert [row["step"] for row in fitted.history] == [*range(2, 51, 2), 51]
    assert np.isfinite(comparable(fitted.history)).all()
    assert fitted.history[-1]["epoch"] == 17


def test_the_learning_rate_rises_over_the_share_of_warm_up_then_falls(network_of, fit):
    history = fit(network_of(), learning_rate=3e-3, warmup_ratio=0.5).history
    assert [row["learning_rate"] for row in history] == pytest.approx([0, 1e-3, 2e-3, 3e-3, 2e-3, 1e-3])


@pytest.mark.parametrize(
    ("step", "recipe"),
    [
        (2, {"dropout": 0.3}),  # in the first epoch
        (3, {"dropout": 0.3}),  # between the two
        (4, {"dropout": 0.3}),  # in the second
        (3, {"dropout": 0.3, "fast_dropout": False}),
    ],
)
def test_a_resumed_training_ends_as_an_undisturbed_one(step, recipe, network_of, fit, interrupted_at):
    whole, parts = network_of(), network_of()
    undisturbed = fit(whole, workspace="other", **recipe)
    interrupted_at(network_of(), step, **recipe)
    resumed = fit(parts, **OFTEN, **recipe)
    assert resumed.resumed_at == step
    assert same_weights(whole, parts)
    assert comparable(resumed.history) == comparable(undisturbed.history)
    assert (resumed.steps, resumed.windows, resumed.tokens) == (6, 10, undisturbed.tokens)


def test_fast_masks_differ_from_torchs(network_of, fit):
    fast, stock = network_of(), network_of()
    fit(fast, workspace="fast", dropout=0.3)
    fit(stock, workspace="stock", dropout=0.3, fast_dropout=False)
    assert not same_weights(fast, stock)


def test_each_epoch_has_all_rows_in_another_order(network_of, fit, monkeypatch):
    seen: list[int] = []
    real = collation.Collator.__call__
    monkeypatch.setattr(collation.Collator, "__call__", lambda self, rows: (seen.extend(rows), real(self, rows))[1])
    fit(network_of())
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 1, 2, 3, 4]
    assert seen[:5] != seen[5:]


def test_a_history_does_not_show_where_it_was_interrupted(network_of, fit, interrupted_at, tmp_path):
    whole = fit(network_of(), workspace="other", epochs=34)
    assert [row["step"] for row in whole.history[:2]] == [3, 6]  # a mean of three updates each
    interrupted_at(network_of(), 31, epochs=34)
    resumed = fit(network_of(), epochs=34)
    assert comparable(resumed.history) == comparable(whole.history)
    whole.write_history(tmp_path / "whole")
    resumed.write_history(tmp_path / "resumed")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes()


def test_only_the_newest_checkpoint_is_kept_and_seconds_add_up_over_attempts(network_of, fit, interrupted_at, tmp_path):
    interrupted_at(network_of(), 4)
    (newest,) = (tmp_path / "unfinished").glob("checkpoint-*")
    assert newest.name == "checkpoint-4"
    content = json.loads((newest / "elapsed.json").read_text())
    assert 0 < content["seconds"] < 60
    (newest / "elapsed.json").write_text(json.dumps(content | {"seconds": 1000.0}))
    began = time.monotonic()
    seconds = fit(network_of()).seconds
    assert 1000 < seconds < 1000 + time.monotonic() - began


def test_a_checkpoint_of_other_inputs_is_not_resumed(network_of, fit, interrupted_at):
    interrupted_at(network_of(), 4)
    network, fresh = network_of(), network_of()
    assert fit(network, inputs="other").resumed_at == 0
    fit(fresh, workspace="elsewhere")
    assert same_weights(network, fresh)


def test_a_half_written_checkpoint_is_ignored(network_of, fit, monkeypatch, tmp_path):
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
    for marked, resumed_at in ((True, 2), (False, 0)):
        if not marked:
            (tmp_path / "unfinished" / "checkpoint-2" / "elapsed.json").unlink()
        assert fit(network_of()).resumed_at == resumed_at


def test_a_nan_loss_is_an_error_within_ten_updates(network_of, fit):
    network = network_of()
    with pytest.raises(StudyError, match=r"training.learning_rate: the loss is no longer a number \(nan\) after 10 up"):
        fit(network, epochs=400, learning_rate=1e30)  # 1200 updates, a row of the history every 24
    ids = torch.ones(1, 4, dtype=torch.long)
    assert network(input_ids=ids).start_logits.shape == (1, 4)


def test_a_loss_far_above_a_guess_is_an_error_although_it_is_a_number(network_of, fit):
    # A guess among the 40-odd tokens of these windows costs 3.7 nats; these logits are in the hundreds.
    with pytest.raises(StudyError, match=r"learning_rate: training diverged: the loss, \S+ nats at update 72,"):
        fit(network_of(), epochs=400, learning_rate=3.0)


def reports(*losses: float) -> None:
    """The recorder's behaviour for windows of 100 tokens; a uniform guess has a loss of 4.6 nats."""
    recorder = Recorder(None, 60, math.log(100))
    for step, loss in enumerate(losses, 1):
        recorder.on_log(None, SimpleNamespace(global_step=step), None, {"loss": loss})


def test_two_bad_reports_in_a_row_are_ignored_and_three_are_an_error():
    reports(9.3, 99.0, 9.2, 9.3, 99.0, 4.0)  # twice a guess is 9.21
    with pytest.raises(StudyError, match=r"diverged: the loss, 9\.3 nats at update 5, exceeded 2 times"):
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


def test_no_checkpoint_is_written_of_nan_weights(network_of, fit, tmp_path):
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
def test_if_memory_runs_out_the_error_suggests_a_batch_size(network_of, fit, monkeypatch, error, batch_size, advice):
    monkeypatch.setattr(Trainer, "compute_loss", Mock(side_effect=error))
    with pytest.raises(StudyError) as said:
        fit(network_of(), batch_size=batch_size)
    assert str(said.value).startswith(f"training.batch_size: a batch of {batch_size} ")
    assert str(said.value).endswith(f"; {advice}")


def test_two_trainings_at_once_in_one_workspace_are_refused(network_of, fit, tmp_path, monkeypatch):
    monkeypatch.setattr(fine_tuning, "locked", functools.partial(locks.locked, patience=0))
    with (
        locks.locked(tmp_path / ".unfinished.lock", "it"),
        pytest.raises(StudyError, match=rf"^{tmp_path}/unfinished: is in use by '"),
    ):
        fit(network_of())
    assert not (tmp_path / "unfinished").exists()


def test_windows_longer_than_the_network_supports_are_refused(network_of, fit, windows):
    longest = windows.lengths.max()
    refused = rf"max_length: windows of {longest} tokens, but BertForQuestionAnswering takes at most 32"
    with pytest.raises(StudyError, match=refused):
        fit(network_of(max_position_embeddings=32))


def test_the_recipes_dropout_is_used_and_nothing_printed_or_warned_of(network_of, fit, capfd):
    network = network_of()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(network, dropout=0.3)
    assert {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)} == {0.3}
    assert capfd.readouterr() == ("", "")


def fitted_with(n_rows: int) -> Fitted:
    history = [{"step": k, "epoch": k / n_rows, "loss": 1.0 / k, "learning_rate": 1e-3} for k in range(1, n_rows + 1)]
    return Fitted(history, n_rows, 320, 8.0, 3000, 4000, resumed_at=7)


def test_the_summary_is_in_units_that_can_be_checked_and_the_history_read_back_from_its_file(tmp_path):
    assert list(fitted_with(1200).summary().values()) == ["1,200, resumed at 7", "8.0", "40.0", "375", "25.0 %"]
    fitted_with(3).write_history(tmp_path / "history.parquet")
    assert pd.read_parquet(tmp_path / "history.parquet").to_dict("records") == fitted_with(3).history


@pytest.mark.parametrize(("n_rows", "steps"), [(3, [1, 2, 3]), (25, [1, 4, 7, 10, 13, 16, 19, 22, 25])])
def test_the_loss_table_is_short_and_ends_with_the_last_row(n_rows, steps):
    assert fitted_with(n_rows).loss_table()["step"].tolist() == steps


def test_the_conditions_name_the_precision_and_the_dropout_that_were_used(setup_of, network_of):
    conditions = setup_of(precision="auto").conditions(network_of())
    assert (conditions["precision"], conditions["learning_rate"], conditions["dropout"]) == ("fp32", 1e-3, 0.1)
    assert all(value is None or math.isfinite(float(value)) for key, value in conditions.items() if key != "precision")
