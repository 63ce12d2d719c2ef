"""transformers' Trainer with our order of windows, and each update computed in micro-batches of similar length."""

import socket
from dataclasses import replace
from typing import Any

import torch
import transformers
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from transformers.integrations import TensorBoardCallback

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.features import batches
from qa_tradeoffs.models import devices, inputs, layers
from qa_tradeoffs.models.fast_attention import fast_attention
from qa_tradeoffs.models.fast_dropout import fast_masks
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.training import collation
from qa_tradeoffs.training.recorder import Recorder, last_complete_checkpoint
from qa_tradeoffs.training.setup import Fitted, Setup, prepare

_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}  # as the Trainer names them
_ONE_PART = 1e9  # a part's fixed cost in tokens that outweighs any padding, so that there is only one


class Trainer(transformers.Trainer):  # type: ignore[misc]
    """transformers' Trainer with our order of rows, updates in parts, and checks of the loss."""

    def __init__(self, network: Any, setup: Setup) -> None:
        arguments, windows, self._setup = arguments_of(setup, setup.precision(network)), setup.windows, setup
        self.order = collation.Shuffled(len(windows.lengths), setup.seed)
        self.recorder = Recorder(self, setup.recipe.save_minutes * 60, setup.guess)
        collator = collation.collator_for(
            network, windows, setup.pad_token_id, setup.device, arguments.process_index, arguments.world_size
        )
        super().__init__(
            model=network,
            args=arguments,
            train_dataset=range(len(windows.lengths)),  # rows; the collator turns an update's rows into tensors
            eval_dataset=range(len(setup.held_out.lengths)) if setup.held_out else None,
            data_collator=replace(collator, lesson=setup.lesson),
            callbacks=[self.recorder, *_callbacks(setup)],
        )
        self.remove_callback(transformers.PrinterCallback)

    def get_train_dataloader(self) -> Any:
        """Every process gets all rows of an update; the collator selects this process's."""
        updates: DataLoader[int] = DataLoader(
            self.train_dataset,
            batch_size=self.args.train_batch_size * self.args.world_size,
            sampler=self.order,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return prepare_data_loader(
            updates, self.args.device, num_processes=1, process_index=0, put_on_device=True, non_blocking=True
        )

    def training_step(self, model: Any, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """The mean loss of an update; its parts' gradients add up to the mean's."""
        *others, last = inputs["parts"]
        with self.accelerator.no_sync(model):  # gradients are synchronised once, with the last part's
            losses = [super(Trainer, self).training_step(model, part) for part in others]
        return torch.stack([*losses, super().training_step(model, last)]).sum()

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        """A part's contribution to the mean loss of its update."""
        return collation.part_loss(model, inputs, self._setup.recipe.label_smoothing, self._setup.lesson)

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW, whose learning rate falls by ``layer_decay`` with each lower layer."""
        made, decay = self.optimizer, self._setup.recipe.layer_decay
        optimizer = super().create_optimizer(model)
        if decay == 1 or made is not None:
            return optimizer
        depth, by_depth = layers.depths(self.model), list[dict[str, Any]]()
        for group in optimizer.param_groups:
            for at in sorted({depth[parameter] for parameter in group["params"]}):
                parameters = [parameter for parameter in group["params"] if depth[parameter] == at]
                by_depth.append(group | {"params": parameters, "lr": group["lr"] * decay**at})
        optimizer.param_groups = by_depth
        return optimizer

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The mean label loss of the held-out windows in nats, as ``eval_loss``; every process computes all of it."""
        windows, total = self._setup.held_out, 0.0
        assert windows is not None
        collator = collation.Collator(windows, self._setup.pad_token_id, inputs.of(self.model), own_cost=_ONE_PART)
        self.model.eval()
        for rows in batches(windows.lengths, int(windows.lengths.max()) * self.args.train_batch_size):
            (part,) = collator(rows.tolist())["parts"]
            with torch.no_grad():
                total += len(rows) * float(collation.part_loss(self.model, self._prepare_inputs(part)))
        metrics = {"eval_loss": total / len(windows.lengths)}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def train(network: Any, setup: Setup) -> Fitted:
    """Train in this process, which may be one of several started by accelerate.

    Each process computes its share of every update, and all end with the same weights. The first one measures time and
    writes checkpoints.
    """
    prepare(network, setup.recipe)
    trainer = Trainer(network, setup)
    fast = setup.recipe.fast_dropout
    with quiet(), devices.enough_memory(otherwise=setup.recipe.too_large), fast_masks(fast), fast_attention(fast):
        trainer.train(resume_from_checkpoint=last_complete_checkpoint(setup.workspace))
    if not all(bool(weight.isfinite().all()) for weight in network.parameters()):  # no loss was computed with these
        raise StudyError(
            "training.learning_rate: after the last update the weights are no longer numbers; "
            "try a lower rate, or a higher warmup_ratio"
        )
    steps = trainer.state.global_step
    updates = trainer.order.updates(setup.recipe.batch_size, steps)
    # All CPU processes of one machine share one device.
    of_each: list[str] = gather_object([f"{socket.gethostname()} {trainer.args.device}"])
    return Fitted(
        history=[row for row in trainer.state.log_history if "loss" in row],
        steps=steps,
        windows=sum(map(len, updates)),
        seconds=trainer.recorder.seconds,
        tokens=sum(int(setup.windows.lengths[rows].sum()) for rows in updates),
        padded_tokens=sum(map(trainer.data_collator.computed_tokens, updates)),
        resumed_at=trainer.recorder.resumed_at,
        processes=setup.processes,
        devices=len(set(of_each)),
        best=(trainer.state.best_global_step, trainer.state.best_metric) if setup.held_out else None,
    )


def _callbacks(setup: Setup) -> list[transformers.TrainerCallback]:
    """The Trainer's own callbacks that the recipe asks for."""
    found: list[transformers.TrainerCallback] = []
    if setup.held_out is not None:
        found.append(transformers.EarlyStoppingCallback(setup.recipe.early_stopping_patience))
    if setup.recipe.report_to == "tensorboard":
        log = TensorBoardCallback()
        log.logging_dir = str(setup.workspace.with_name("tensorboard"))  # the workspace is removed at the end
        found.append(log)
    return found


def arguments_of(setup: Setup, precision: str) -> transformers.TrainingArguments:
    """The recipe as the Trainer's arguments."""
    recipe, on_cpu = setup.recipe, setup.device.type == "cpu"
    arguments = transformers.TrainingArguments(
        output_dir=str(setup.workspace),
        per_device_train_batch_size=recipe.batch_size // setup.processes,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_ratio,  # below 1 it is a share of all steps
        lr_scheduler_type=_SCHEDULES[recipe.schedule],
        adam_beta1=recipe.adam_beta1,
        adam_beta2=recipe.adam_beta2,
        adam_epsilon=recipe.adam_epsilon,
        max_grad_norm=recipe.max_grad_norm,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and setup.processes > 1 else None,
        seed=setup.seed,
        # The recorder saves by the clock; with early stopping, the Trainer also saves the best weights.
        save_strategy="best" if setup.held_out else "no",
        eval_strategy="steps" if setup.held_out else "no",
        eval_steps=recipe.early_stopping_every,  # likewise a share
        load_best_model_at_end=setup.held_out is not None,
        restore_callback_states_from_checkpoint=setup.held_out is not None,  # the count for its patience
        logging_steps=0.02,  # a share, too
        logging_nan_inf_filter=False,  # the default would hide NaN
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
    )
    # If a process sees several GPUs, the Trainer would multiply the recipe's batch size by their number.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
