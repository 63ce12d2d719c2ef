"""What is measured: networks, their conditions, random inputs, and calls."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig

from qa_tradeoffs.metrics.records import Condition
from qa_tradeoffs.models import devices, inputs, networks, precisions, squeezebert, trial
from qa_tradeoffs.models.dropout import set_dropout
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.study.config import Grid, Model, Study

Conditions = dict[str, Condition]
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Setting:
    """The settings shared by all measurements of a run.

    ``formats``: the precisions to measure in, the recipe's first. ``seed``: for random inputs.
    """

    device: torch.device
    formats: tuple[str, ...]
    seed: int

    @property
    def machine(self) -> Conditions:
        """The machine, as conditions of every figure of the run."""
        described = devices.describe(self.device)
        return {"device": described["name"], "threads": described["threads"], "software": described["software"]}


def setting(study: Study, device: torch.device, seed: int, network: Any = None) -> Setting:
    """A setting with the recipe's precision, then the study's other precisions that device and network support."""
    own = precisions.chosen(study.training.precision, device, network)
    available = available_formats(device, network)
    return Setting(device, (own, *(p for p in study.profile.precisions if p != own and p in available)), seed)


def available_formats(device: torch.device, network: Any = None) -> tuple[str, ...]:
    """fp32, then the precisions in which the device multiplies faster; GPUs with bf16 also have tf32."""
    if not precisions.native_bf16(device.type):
        return ("fp32",)
    bf16 = ("bf16",) if network is None or precisions.computes_in_bf16(network) else ()
    return ("fp32", *bf16, "tf32") if device.type == "cuda" else ("fp32", *bf16)


@dataclass(frozen=True)
class Subject:
    """A network to be measured alone. ``name``: 'study', the study's own, or 'full size', the published architecture.

    ``memory``: the points at which its memory is measured.
    """

    name: str
    network: Any
    weights: str
    memory: tuple[Grid, ...] = ()

    def conditions(self, setting: Setting, precision: str) -> Conditions:
        """The conditions of every figure of this network in this run."""
        return {
            "network": self.name,
            "weights": self.weights,
            "attention": networks.attention(self.network),
            "precision": precision,
            **setting.machine,
        }


def subjects(network: Any, study: Study, spec: Model, seed: int) -> list[Subject]:
    """The study's own network, and its full-size twin if it is smaller.

    Raises StudyError for a length in the plan that a network does not support.
    """
    plan = study.profile
    weights = "random" if spec.from_scratch else "fine-tuned" if spec.fine_tuned else "pretrained"
    measured = [Subject("study", network, weights, plan.memory)]
    # A checkpoint already has its real size; only networks built from a config may be small versions.
    if spec.from_scratch and (twin := full_size(network, seed)) is not None:
        measured.append(Subject("full size", twin, "random", plan.full_size_memory))
    trial.check_grids(network, plan)
    for subject in measured:
        set_dropout(subject.network, study.training.dropout)
        longest = max((length for grid in subject.memory for length in grid.lengths), default=0)
        key = "memory" if subject is measured[0] else "full_size_memory"
        inputs.of(subject.network).check(longest, f"profile.{key}.lengths:", "give lengths up to that")
    return measured


def full_size(network: Any, seed: int) -> Any | None:
    """The published architecture with random weights if ``network`` is a smaller version, else None."""
    if network.config.model_type not in networks.PUBLISHED:
        return None
    published = AutoConfig.for_model(network.config.model_type)
    with torch.device("meta"):
        size = networks.from_config(published).num_parameters()
    if network.num_parameters() >= size:
        return None
    torch.manual_seed(seed)
    return networks.from_config(published, squeezebert.is_matmul(network))


def random_batch(network: Any, batch_size: int, length: int, setting: Setting) -> Batch:
    """Random tokens (batch_size, length) int64 without padding, and random answer positions (batch_size,) int64."""
    generator = torch.Generator().manual_seed(setting.seed)
    ids = torch.randint(network.config.vocab_size, (batch_size, length), generator=generator)
    positions = torch.randint(length, (2, batch_size), generator=generator).sort(dim=0).values
    batch = inputs.of(network).full(ids) | {"start_positions": positions[0], "end_positions": positions[1]}
    return {name: values.to(setting.device) for name, values in batch.items()}


def forward_pass(network: Any, batch: Batch, precision: str) -> Callable[[], torch.Tensor]:
    """A call that computes ``batch`` once and returns the start logits (batch_size, length)."""
    network.eval()
    given = {name: values for name, values in batch.items() if not name.endswith("_positions")}

    def call() -> torch.Tensor:
        with torch.inference_mode(), precisions.autocast(network.device, precision):
            logits: torch.Tensor = network(**given).start_logits
            return logits

    return call


def phases(
    work: str, network: Any, batch: Batch, precision: str, updates: torch.optim.Optimizer | None = None
) -> Sequence[Call]:
    """The phases of ``work``: 'forward' is one call; 'training_step' is forward to the loss, backward, and an update.

    ``updates``: an ``optimizer`` of the same parameters, if several steps share one; its state is twice their size.
    """
    if work == "forward":
        return [forward_pass(network, batch, precision)]
    network.train()
    updates = updates or optimizer(network)
    losses: list[torch.Tensor] = []

    def forward() -> None:
        with precisions.autocast(network.device, precision):
            losses.append(network(**batch).loss)

    def backward() -> None:
        losses.pop().backward()  # type: ignore[no-untyped-call]

    def update() -> None:
        updates.step()
        updates.zero_grad(set_to_none=True)

    return [forward, backward, update]


def together(parts: Sequence[Call]) -> Callable[[], list[Any]]:
    """One call that makes all of the calls in order."""
    return lambda: [part() for part in parts]


def optimizer(network: Any) -> torch.optim.Optimizer:
    """Fused AdamW, as in training, with a rate at which the weights hardly change."""
    return torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)


@contextmanager
def placed(subject: Subject, device: torch.device) -> Iterator[Any]:
    """The subject's network on the device within the block."""
    network = subject.network
    network.to(device)
    try:
        yield network
    finally:
        network.zero_grad(set_to_none=True)  # a training step that ran out of memory leaves gradients
        network.to("cpu")
        if device.type == "cuda":
            torch.cuda.empty_cache()


@contextmanager
def number_format(precision: str) -> Iterator[None]:
    """Let CUDA round inputs to tf32 within the block, or not, in matrix products and convolutions alike."""
    tf32 = precision == "tf32"
    # torch's defaults differ between the two, which would favour SqueezeBERT's convolutions.
    with switched(torch.backends.cuda.matmul, allow_tf32=tf32), switched(torch.backends.cudnn, allow_tf32=tf32):
        yield


@contextmanager
def switched(backend: Any, **flags: bool) -> Iterator[None]:
    """Set these attributes of a torch backend within the block."""
    before = {name: getattr(backend, name) for name in flags}
    try:
        for name, value in flags.items():
            setattr(backend, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(backend, name, value)
