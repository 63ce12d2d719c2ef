"""What is measured: a network under the conditions it is measured in, its random input, and the calls on it."""

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
    """What all measurements of one run have in common.

    ``formats``: the number formats to measure in, the recipe's own first. ``seed``: of the inputs that are drawn.
    """

    device: torch.device
    formats: tuple[str, ...]
    seed: int

    @property
    def machine(self) -> Conditions:
        """What every figure of the run was taken on."""
        described = devices.describe(self.device)
        return {"device": described["name"], "threads": described["threads"], "software": described["software"]}


def setting(study: Study, device: torch.device, seed: int, network: Any = None) -> Setting:
    """The recipe's number format, then the others that the study file names and the device, and the network, have."""
    own = precisions.chosen(study.training.precision, device, network)
    available = available_formats(device, network)
    return Setting(device, (own, *(p for p in study.profile.precisions if p != own and p in available)), seed)


def available_formats(device: torch.device, network: Any = None) -> tuple[str, ...]:
    """fp32, then those that the device multiplies faster in; the GPUs with bf16 are those with tf32."""
    if not precisions.native_bf16(device.type):
        return ("fp32",)
    bf16 = ("bf16",) if network is None or precisions.computes_in_bf16(network) else ()
    return ("fp32", *bf16, "tf32") if device.type == "cuda" else ("fp32", *bf16)


@dataclass(frozen=True)
class Subject:
    """A network to be measured by itself: 'study' is the study's own, 'full size' the published architecture.

    ``memory``: the points at which its memory is measured.
    """

    name: str
    network: Any
    weights: str
    memory: tuple[Grid, ...] = ()

    def conditions(self, setting: Setting, precision: str) -> Conditions:
        """What every figure of this network in this run was taken under."""
        return {
            "network": self.name,
            "weights": self.weights,
            "attention": networks.attention(self.network),
            "precision": precision,
            **setting.machine,
        }


def subjects(network: Any, study: Study, spec: Model, seed: int) -> list[Subject]:
    """The study's own network, and its full-size twin where it is smaller.

    Raises StudyError for a length in the plan that a network does not take.
    """
    plan = study.profile
    weights = "random" if spec.from_scratch else "fine-tuned" if spec.fine_tuned else "pretrained"
    measured = [Subject("study", network, weights, plan.memory)]
    # A checkpoint is a network of its own size already; only what a study builds itself may be a small one of its kind.
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
    """The published architecture with random weights where ``network`` is a smaller one of its kind, else None."""
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
    """Random tokens (batch_size, length) int64, all attended to, and random answer positions (batch_size,) int64."""
    generator = torch.Generator().manual_seed(setting.seed)
    ids = torch.randint(network.config.vocab_size, (batch_size, length), generator=generator)
    positions = torch.randint(length, (2, batch_size), generator=generator).sort(dim=0).values
    batch = inputs.of(network).full(ids) | {"start_positions": positions[0], "end_positions": positions[1]}
    return {name: values.to(setting.device) for name, values in batch.items()}


def forward_pass(network: Any, batch: Batch, precision: str) -> Callable[[], torch.Tensor]:
    """A call that answers ``batch`` once, with the start logits (batch_size, length)."""
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
    """What ``work`` consists of: 'forward' is one call, 'training_step' forward to the loss, backward, and an update.

    ``updates``: an ``optimizer`` of the same parameters, where several steps share one; its state is twice their size.
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
    """All of the calls as one, in their order."""
    return lambda: [part() for part in parts]


def optimizer(network: Any) -> torch.optim.Optimizer:
    """AdamW in one fused kernel, the default of the Trainer and so of training; the weights hardly move."""
    return torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)


@contextmanager
def placed(subject: Subject, device: torch.device) -> Iterator[Any]:
    """The subject's network on the device for the length of the block."""
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
    """Whether CUDA may round the inputs of fp32 products to tf32, in matrix products as in convolutions."""
    tf32 = precision == "tf32"
    # torch's own default differs between the two, which would favour SqueezeBERT's convolutions.
    with switched(torch.backends.cuda.matmul, allow_tf32=tf32), switched(torch.backends.cudnn, allow_tf32=tf32):
        yield


@contextmanager
def switched(backend: Any, **flags: bool) -> Iterator[None]:
    """These attributes of a torch backend for the length of the block; its others stay as they are."""
    before = {name: getattr(backend, name) for name in flags}
    try:
        for name, value in flags.items():
            setattr(backend, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(backend, name, value)
