"""A trained network in PyTorch, as it is trained: eager, in its own number type."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from qa_tradeoffs.data.features import Windows, pad
from qa_tradeoffs.evaluation.answers import Map
from qa_tradeoffs.evaluation.spans import Floats, Int64
from qa_tradeoffs.models.networks import accepted_inputs


class Engine:
    """``network`` on ``device``, left there in eval mode; ``pad_token_id`` is its tokenizer's."""

    def __init__(self, network: torch.nn.Module, pad_token_id: int, device: str | torch.device) -> None:
        self._network, self._pad_token_id, self._device = network.to(device).eval(), pad_token_id, torch.device(device)
        self._accepted = accepted_inputs(network)
        on_cpu = self._device.type == "cpu"
        # An accelerator's memory is for one batch at a time: the other thread meanwhile searches the spans of the last.
        self._turn = nullcontext() if on_cpu else threading.Lock()
        self._threads = torch.get_num_threads() if on_cpu else 2

    @torch.inference_mode()
    def logits(self, windows: Windows, rows: Int64) -> tuple[Floats, Floats]:
        """Start and end logits of the windows ``rows`` (b,), padded to the longest: (b, L) float32 or float64 each."""
        inputs = pad(windows, rows, self._pad_token_id)
        with self._turn:
            output = self._network(
                **{name: torch.from_numpy(inputs[name]).to(self._device) for name in inputs if name in self._accepted}
            )
        start, end = output.start_logits, output.end_logits
        wide = torch.promote_types(start.dtype, torch.float32)  # half precision would round the sums
        return start.to("cpu", wide).numpy(), end.to("cpu", wide).numpy()

    def side_by_side(self) -> AbstractContextManager[Map]:
        """On a CPU a batch for each core; else two, one on the accelerator while the other's spans are searched."""
        return side_by_side(self._threads)


@contextmanager
def side_by_side(threads: int) -> Iterator[Map]:
    """A map of so many threads that each compute alone.

    On two cores, two batches side by side take less time than one after the other with both cores: what is too small to
    be shared, and all that is between the operations, keeps both of them busy.
    """
    if threads == 1:
        yield map
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(before)  # of the matrix library it is one number for all threads
