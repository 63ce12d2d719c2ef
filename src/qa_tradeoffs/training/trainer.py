"""Training with transformers' Trainer, as the only process or as one of several that share every update."""

import socket
from dataclasses import replace
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments

from qa_tradeoffs.core.files import enough_disk_for
from qa_tradeoffs.models import devices
from qa_tradeoffs.models.dropout import fast_masks
from qa_tradeoffs.models.networks import set_dropout
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.training import collation
from qa_tradeoffs.training.divergence import Divergence, check_loss, check_weights
from qa_tradeoffs.training.fitted import Fitted
from qa_tradeoffs.training.recorder import Recorder, last_complete_checkpoint
from qa_tradeoffs.training.run import Run

_STEPS_BETWEEN_LOSS_CHECKS = 10  # a broken loss stays broken; on a GPU every look at it waits for the device


def train(network: Any, run: Run) -> Fitted:
    """Train ``network`` in place, in a workspace that nobody else writes into.

    Each of several processes that accelerate has started computes its share of every update, and all of them come to
    the same weights. The first one keeps time and writes checkpoints.
    """
    recipe, windows = run.recipe, run.windows
    set_dropout(network, recipe.dropout)
    order = collation.Shuffled(len(windows.lengths), run.seed)
    recorder = Recorder(recipe.save_minutes * 60)
    with (
        quiet(),
        enough_disk_for(run.workspace),
        devices.enough_memory(otherwise=recipe.too_large),
        fast_masks(recipe.fast_dropout),
    ):
        arguments = _arguments(run)
        collator = replace(
            collation.collator_for(network, windows, run.pad_token_id, run.device),
            rank=arguments.process_index, processes=arguments.world_size,
        )  # fmt: skip
        trainer = InParts(
            order=order,
            model=network,
            args=arguments,
            train_dataset=range(len(order)),  # row numbers; the collator turns an update of them into tensors at once
            data_collator=collator,
            callbacks=[recorder, Divergence(int(windows.lengths.max()))],
        )
        trainer.remove_callback(PrinterCallback)
        recorder.trainer = trainer
        trainer.train(resume_from_checkpoint=last_complete_checkpoint(run.workspace))
    check_weights(network)
    steps = trainer.state.global_step
    n_windows, tokens, padded_tokens = collation.count(collator, order, steps, recipe.batch_size)
    return Fitted(
        history=[row for row in trainer.state.log_history if "loss" in row],
        steps=steps,
        windows=n_windows,
        seconds=recorder.seconds,
        tokens=tokens,
        padded_tokens=padded_tokens,
        resumed_at=recorder.resumed_at,
        processes=arguments.world_size,
        devices=_devices(arguments.device),
    )


class InParts(Trainer):  # type: ignore[misc]
    """transformers' Trainer with our order of rows, and each update computed in parts whose gradients add up."""

    def __init__(self, *, order: collation.Shuffled, **settings: Any) -> None:
        super().__init__(**settings)
        self._order = order

    def get_train_dataloader(self) -> Any:
        """Every process is given every update whole; the collator knows which of its rows are this process's."""
        updates: DataLoader[int] = DataLoader(
            self.train_dataset,
            batch_size=self.args.train_batch_size * self.args.world_size,
            sampler=self._order,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return prepare_data_loader(updates, self.args.device, num_processes=1, process_index=0, put_on_device=True)

    def training_step(self, model: Any, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """The mean loss of an update; the gradients of its parts add up to that of the mean."""
        *others, last = inputs["parts"]
        with self.accelerator.no_sync(model):  # the last part's gradients take those of the others along
            losses = [super(InParts, self).training_step(model, part) for part in others]
        loss: torch.Tensor = torch.stack([*losses, super().training_step(model, last)]).sum()
        if self.state.global_step % _STEPS_BETWEEN_LOSS_CHECKS == 0:
            check_loss(float(loss), self.state.global_step)
        return loss

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        """A part's contribution to the mean loss of its update."""
        share, labels = inputs.pop("share"), [inputs.pop(name) for name in collation.LABELS]
        loss: torch.Tensor = share * collation.span_loss(model(**inputs), inputs["attention_mask"], *labels)
        return loss

    def floating_point_ops(self, inputs: Any) -> int:
        """None are counted: the Trainer would look for the inputs of a batch in one piece."""
        return 0


def _arguments(run: Run) -> TrainingArguments:
    """The recipe in the Trainer's words."""
    recipe, on_cpu = run.recipe, run.device.type == "cpu"
    arguments = TrainingArguments(
        output_dir=str(run.workspace),
        per_device_train_batch_size=recipe.batch_size // run.processes,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_ratio,  # below 1 it is a share of all steps
        lr_scheduler_type="linear",
        bf16=devices.precision(recipe.precision, run.device) == "bf16",
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and run.processes > 1 else None,
        seed=run.seed,
        save_strategy="no",  # the recorder saves by the clock
        logging_steps=0.02,  # likewise a share
        logging_nan_inf_filter=False,  # its default would hide a loss that went bad
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
    )
    # Where a process sees several GPUs, the Trainer would multiply the batch by their number; the recipe says its size.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _devices(own: torch.device) -> int:
    """On how many devices the processes are; several on the processor of one machine have one of them."""
    of_each: list[str] = gather_object([f"{socket.gethostname()} {own}"])
    return len(set(of_each))
