"""A trained network in PyTorch as in training: eager, and in mixed precision if it was trained that way."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.engines.protocol import Trained
from qa_tradeoffs.evaluation.answers import Map
from qa_tradeoffs.evaluation.spans import Floats, Int64
from qa_tradeoffs.models import families, inputs, precisions

# Tokens per batch. On a CPU larger batches are no faster, and concurrent batches share a budget, so memory does not
# grow with the number of cores. A GPU needs large batches; this size should take some GiB, which was not tested.
_ON_A_CORE, _ON_ALL_CORES, _ON_A_GPU = 1024, 16_384, 32_768


def prepare(trained: Trained) -> "Engine":
    """The network in the precision of its recipe."""
    return Engine(trained.network, trained.pad_token_id, trained.device, trained.precision)


class Engine:
    """``network`` on ``device``, left there in eval mode; ``pad_token_id`` is its tokenizer's.

    ``precision``: 'fp32', or 'bf16' or 'fp16' for mixed precision.
    """

    file: Path | None = None

    def __init__(
        self, network: torch.nn.Module, pad_token_id: int, device: str | torch.device, precision: str = "fp32"
    ) -> None:
        self._network, self._pad_token_id, self._device = network.to(device).eval(), pad_token_id, torch.device(device)
        self._precision, self.conditions = precision, {"precision": precision}
        self._inputs, on_cpu = inputs.of(network), self._device.type == "cpu"
        alone = families.one_at_a_time(network)
        # A GPU computes one batch at a time; the other thread meanwhile searches the spans of the previous one.
        self._turn = nullcontext() if on_cpu and not alone else threading.Lock()
        self.at_once = (1 if alone else torch.get_num_threads()) if on_cpu else 2
        self.batch_tokens = min(_ON_A_CORE, _ON_ALL_CORES // self.at_once) if on_cpu else _ON_A_GPU

    @torch.inference_mode()
    def logits(self, windows: Windows, rows: Int64) -> tuple[Floats, Floats]:
        """Start and end logits of the windows ``rows`` (b,), padded to the longest: (b, L) float32 or float64 each."""
        batch = self._inputs.batch(windows, rows, self._pad_token_id)
        with self._turn:
            output = self._output({name: self._placed(values) for name, values in batch.items()})
        both = torch.stack((output.start_logits, output.end_logits))  # one synchronisation with a GPU
        wide = torch.promote_types(both.dtype, torch.float32)  # half precision would round the sums
        start, end = both.to("cpu", wide).numpy()
        return start, end

    def call(self, windows: Windows, rows: Int64) -> Callable[[], object]:
        """A call that computes the logits of these rows; its inputs are on the device."""
        batch = self._inputs.batch(windows, rows, self._pad_token_id)
        placed = {name: values.to(self._device) for name, values in batch.items()}
        return torch.inference_mode()(lambda: self._output(placed).start_logits)

    def elsewhere(self, windows: Windows, rows: Int64) -> None:
        """None: there is no exported file."""

    def side_by_side(self) -> AbstractContextManager[Map]:
        """On a CPU one batch per core, or one if the network is not thread-safe; on a GPU two, computed in turn."""
        return side_by_side(self.at_once)

    def _output(self, batch: dict[str, torch.Tensor]) -> Any:
        with precisions.autocast(self._device, self._precision):  # autocast is per thread
            return self._network(**batch)

    def _placed(self, values: torch.Tensor) -> torch.Tensor:
        if self._device.type == "cpu":
            return values
        return values.pin_memory().to(self._device, non_blocking=True)  # copied while the previous batch is computed


@contextmanager
def side_by_side(threads: int) -> Iterator[Map]:
    """A map over this many threads, each of which computes on one core.

    On two cores, two concurrent batches take less time than two consecutive ones on both cores: operations that are too
    small to be parallel, and the gaps between operations, then occupy only one core.
    """
    if threads == 1:
        yield map
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(before)  # the matrix library has one setting for the process
