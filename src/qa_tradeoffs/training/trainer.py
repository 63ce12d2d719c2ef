"""transformers' Trainer with our order of windows, and each update computed in micro-batches of like length."""

import os
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer as BaseTrainer
from transformers import TrainingArguments

from qa_tradeoffs.models import devices
from qa_tradeoffs.training import collation
from qa_tradeoffs.training.recorder import STEPS_BETWEEN_LOSS_CHECKS, check_loss
from qa_tradeoffs.training.setup import Setup


class Trainer(BaseTrainer):  # type: ignore[misc]
    """transformers' Trainer with our order of rows, updates computed in parts, and an eye on the loss."""

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
            losses = [super(Trainer, self).training_step(model, part) for part in others]
        loss: torch.Tensor = torch.stack([*losses, super().training_step(model, last)]).sum()
        if self.state.global_step % STEPS_BETWEEN_LOSS_CHECKS == 0:
            check_loss(float(loss), self.state.global_step)
        return loss

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        """A part's contribution to the mean loss of its update."""
        share, own_tokens, *labels = (inputs.pop(name) for name in ("share", "own_tokens", *collation.LABELS))
        loss: torch.Tensor = share * collation.span_loss(model(**inputs), own_tokens, *labels)
        return loss

    def floating_point_ops(self, inputs: Any) -> int:
        """Count none: the Trainer would look for a batch in one piece, and FLOPs are counted by formula."""
        return 0


class Rows(Dataset[int]):
    """Row numbers; the collator turns a batch of them into tensors at once."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> int:
        return row


def arguments_of(setup: Setup) -> TrainingArguments:
    """The recipe in the Trainer's words."""
    recipe, device = setup.recipe, setup.device
    processes = int(os.environ.get("WORLD_SIZE", 1))
    arguments = TrainingArguments(
        output_dir=str(setup.workspace),
        per_device_train_batch_size=recipe.batch_size // processes,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_ratio,  # below 1 it is a share of all steps
        lr_scheduler_type="linear",
        bf16=devices.precision(recipe.precision, device) == "bf16",
        use_cpu=device.type == "cpu",
        ddp_backend="gloo" if device.type == "cpu" and processes > 1 else None,
        seed=setup.seed,
        save_strategy="no",  # the recorder saves by the clock
        logging_steps=0.02,  # likewise a share
        logging_nan_inf_filter=False,  # its default would hide a loss that went bad
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=device.type == "cuda",
        remove_unused_columns=False,
    )
    # Where a process sees several GPUs, the Trainer would multiply the batch by their number; the recipe says its size.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
