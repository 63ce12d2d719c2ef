"""One piece of work done by one side, timed in a separate process: python -m benchmarks.tasks

A process reads its task from standard input, as JSON, and prints its result, as JSON. Before the clock starts it loads
everything and does the same work with a few questions.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import inputs, peers
from benchmarks.peers import Peer
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import features, splitting
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.evaluation.answers import Predictions, Reading
from qa_tradeoffs.models import allocator, checkpoints, devices
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training import collation, fine_tuning
from qa_tradeoffs.training.setup import Setup

SIDES = ("padded", "dynamic", "ours")
_SEED, _WARM_UP = 0, 16  # the seed; questions of the warm-up, one training update
_SECONDS, _TIMES = 2.0, 20  # work is repeated until it has taken this long, at most so often
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Found = dict[str, Any]
Call = Callable[[], Found]


@dataclass(frozen=True)
class Task:
    """What ``side`` does: ``work`` with a number of questions of ``data`` ('' for generated ones).

    ``encoder``: folder of the network and its tokenizer. ``times``: contexts joined into one. ``busy``: whether another
    process computes at the same time. ``device``: cpu or cuda.
    """

    work: str
    side: str
    questions: int
    data: str
    encoder: str
    precision: str = "fp32"
    times: int = 1
    busy: bool = False
    device: str = "cpu"


def run(task: Task) -> Found:
    """``seconds`` (median of repeats), ``bytes`` of peak memory above the start, and the results."""
    command = [sys.executable, "-m", "benchmarks.tasks"]
    with _busy() if task.busy else nullcontext():
        done = subprocess.run(
            command, input=json.dumps(asdict(task)), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
        )
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(task: Task) -> Found:
    """``run`` within this process."""
    devices.use_all_cores()
    if task.side == "ours":  # as in our notebooks
        allocator.keep_freed_memory()
    examples = splitting.sample(inputs.questions(task.data)[1], task.questions, _SEED)
    asked, few = (inputs.lengthened(part, task.times) for part in (examples, examples[:_WARM_UP]))
    with tempfile.TemporaryDirectory() as folder:
        prepare = _WORK[task.work]
        call = prepare(task, asked, folder)
        held = _held(task.device)
        prepare(task, few, folder)()
        _reset_peak(task.device)
        seconds: list[float] = []
        while not seconds or (task.work != "training" and sum(seconds) < _SECONDS and len(seconds) < _TIMES):
            began = time.perf_counter()
            found = call()
            seconds.append(time.perf_counter() - began)
        return {"seconds": statistics.median(seconds), "bytes": max(1, _peak(task.device) - held)} | found


def _features(task: Task, examples: Sequence[Example], folder: str) -> Call:
    _, tokenizer = _loaded(task, network=False)
    if task.side == "ours":
        return lambda: {"windows": len(features.build(examples, tokenizer).lengths)}
    peer = Peer(tokenizer, folder, task.side == "dynamic")
    return lambda: {"windows": len(peer.training_features(examples))}


def _postprocessing(task: Task, examples: Sequence[Example], folder: str) -> Call:
    """From given logits to scores."""
    _, tokenizer = _loaded(task, network=False)
    windows = features.build(examples, tokenizer)
    start, end = inputs.Logits(windows).padded(peers.MAX_LENGTH)
    if task.side == "ours":
        engine = Given(start, end)
        return lambda: _scored(answers.predict(engine, windows, examples, Reading()), examples)
    padded = Peer(tokenizer, folder, task.side == "dynamic").evaluation_features(examples)
    return lambda: _chosen(examples, padded, start, end)


def _evaluation(task: Task, examples: Sequence[Example], folder: str) -> Call:
    """From questions to scores."""
    network, tokenizer = _loaded(task)
    if task.side == "ours":

        def ours() -> Found:
            engine = pytorch.Engine(network, tokenizer.pad_token_id, task.device, task.precision)
            return _scored(answers.answer(engine, tokenizer, examples, Reading()), examples)

        return ours
    peer = Peer(tokenizer, folder, task.side == "dynamic", task.precision == "bf16")
    trainer = peer.trainer(network)

    def theirs() -> Found:
        windows = peer.evaluation_features(examples)
        return _chosen(examples, windows, *trainer.predict(windows).predictions)

    return theirs


def _training(task: Task, examples: Sequence[Example], folder: str) -> Call:
    """An epoch over given windows, by the default recipe.

    ``first_loss``: of the first update's windows before that update, without dropout, over their own tokens only.
    """
    network, tokenizer = _loaded(task)
    recipe = Training(epochs=1, precision=task.precision)  # type: ignore[arg-type]
    windows = features.build(examples, tokenizer)
    in_order = list(collation.Shuffled(len(windows.lengths), _SEED))
    if task.side == "ours":
        device = devices.choose(task.device)
        setup = Setup(windows, recipe, tokenizer.pad_token_id, _SEED, device, Path(folder) / "unfinished", inputs="")

        parts = collation.collator_for(network, windows, setup.pad_token_id, device)(in_order[: recipe.batch_size])
        first_loss = sum(_loss(network, part) for part in parts["parts"])

        def ours() -> Found:
            fitted = fine_tuning.fit(network, setup)
            return {"first_loss": first_loss, "padding": 1 - fitted.tokens / fitted.padded_tokens}

        return ours
    peer = Peer(tokenizer, folder, task.side == "dynamic", task.precision == "bf16")
    trainer = peer.trainer(
        network, peer.training_features(examples).select(in_order), num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size, learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay, seed=_SEED,
    )  # fmt: skip

    whole = next(iter(trainer.get_train_dataloader()))
    first_loss = _loss(network, {**whole, "share": 1.0, "own_tokens": whole["attention_mask"]})

    def theirs() -> Found:
        trainer.train()
        return {"first_loss": first_loss}

    return theirs


_WORK = {"features": _features, "postprocessing": _postprocessing, "evaluation": _evaluation, "training": _training}


@dataclass(frozen=True)
class Given:
    """An engine with given logits (n_windows, L)."""

    start: inputs.Float32
    end: inputs.Float32
    batch_tokens = 131_072  # no activations limit the batch

    @property
    def at_once(self) -> int:
        """As for a network on a CPU."""
        return torch.get_num_threads()

    def logits(self, windows: Windows, rows: Any) -> tuple[inputs.Float32, inputs.Float32]:
        """The logits of the windows ``rows``."""
        width = int(windows.lengths[rows].max())
        return self.start[rows, :width], self.end[rows, :width]

    def side_by_side(self) -> Any:
        """As for a network on a CPU."""
        return pytorch.side_by_side(self.at_once)


def _loaded(task: Task, network: bool = True) -> tuple[Any, Any]:
    """The network, on the device, and the tokenizer of the task's folder."""
    from transformers import AutoTokenizer

    torch.manual_seed(_SEED)
    folder = Path(task.encoder)
    loaded = checkpoints.load(folder, needs_head=False).to(task.device) if network else None
    return loaded, AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def _loss(network: Any, part: dict[str, Any]) -> float:
    return float(collation.part_loss(network.eval(), part))


def _scored(found: Predictions, examples: Sequence[Example]) -> Found:
    frame = scoring.score(found, examples, v2=False, threshold=0.0)
    points = {name: 100 * float(frame[name].mean()) for name in ("exact_match", "f1")}
    return points | {"answers": dict(zip(found.id.tolist(), found.text.tolist(), strict=True))}


def _chosen(examples: Sequence[Example], windows: Any, start: inputs.Float32, end: inputs.Float32) -> Found:
    texts, _ = peers.answers(examples, windows, start, end)
    return peers.score(texts, examples) | {"answers": texts}


@contextmanager
def _busy() -> Iterator[None]:
    """Another process computes on one core within the block."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def _held(device: str) -> int:
    """Bytes in use now: of a GPU's memory, or by this process (on Linux)."""
    if device == "cuda":
        return torch.cuda.memory_allocated()
    allocator.give_back()
    return _resident("VmRSS")


def _reset_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        _CLEAR.write_text("5")


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else _resident("VmHWM")


def _resident(field: str) -> int:
    """Bytes in a field of this process's status: VmRSS, resident now, or VmHWM, its high-water mark."""
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith(field + ":")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(measure(Task(**json.load(sys.stdin)))))
