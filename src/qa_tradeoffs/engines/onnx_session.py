"""An exported network in ONNX Runtime, in fp32 or in int8. Needs no torch."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.evaluation.answers import Map
from qa_tradeoffs.evaluation.spans import Floats, Int64
from qa_tradeoffs.models.rows import Rows

# Tokens per batch; one batch at a time. int8 answers depend slightly on the rest of the batch, so batches must not
# depend on the number of cores.
_ON_A_CPU, _ON_A_GPU = 1024, 32_768


class Engine:
    """The network of an ONNX ``file`` on 'cpu' or 'cuda', run by this number of ``threads``.

    ``reads``: its inputs, padded by ``pad_token_id``. ``how``: conditions recorded with its figures.
    Raises StudyError if it cannot run there.
    """

    at_once = 1

    def __init__(
        self, file: Path, reads: Rows, pad_token_id: int, device_type: str, threads: int, how: Mapping[str, str]
    ) -> None:
        import onnxruntime

        self.file: Path | None = file
        self.conditions = {**how, "onnxruntime": str(onnxruntime.__version__)}
        self.batch_tokens = _ON_A_CPU if device_type == "cpu" else _ON_A_GPU
        self._reads, self._pad_token_id = reads, pad_token_id
        self._open = partial(session, file, threads, device_type)
        self._session = self._open()

    def logits(self, windows: Windows, rows: Int64) -> tuple[Floats, Floats]:
        """Start and end logits of the windows ``rows`` (b,), padded to the longest: (b, L) float32 each."""
        start, end = run(self._session, self._given(windows, rows))
        return start, end

    def call(self, windows: Windows, rows: Int64) -> Callable[[], object]:
        """A call that computes these logits; its inputs are in main memory."""
        return partial(run, self._session, self._given(windows, rows))

    def elsewhere(self, windows: Windows, rows: Int64) -> Callable[[], Callable[[], Callable[[], object]]]:
        """As ``protocol.Engine.elsewhere``."""
        return partial(_elsewhere, self._open, self._given(windows, rows))

    def side_by_side(self) -> AbstractContextManager[Map]:
        """The built-in map: one batch after the other."""
        return nullcontext(map)

    def _given(self, windows: Windows, rows: Int64) -> dict[str, Int64]:
        arrays = self._reads.arrays(windows, rows, self._pad_token_id)
        return {given.name: arrays[given.name] for given in self._session.get_inputs()}


def session(file: Path, threads: int, device_type: str = "cpu") -> Any:
    """A session for an ONNX file with this number of threads. Raises StudyError if it cannot run there."""
    import onnxruntime

    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device_type]
    if provider not in onnxruntime.get_available_providers():
        raise StudyError(f"has no {provider}; install onnxruntime-gpu, or give DEVICE=cpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    # Threads wait by spinning, which suits many small products. After a run they must stop, or they would slow down
    # what is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        opened = onnxruntime.InferenceSession(str(file), options, providers=[provider])
    except Exception as error:  # onnxruntime has a type for each reason
        raise StudyError(f"cannot run {file.name} ({one_line(error)})") from None
    if provider not in opened.get_providers():  # it silently falls back on the CPU
        raise StudyError(f"its {provider} cannot be loaded here; install the CUDA libraries that it needs")
    return opened


def run(opened: Any, batch: Mapping[str, Any]) -> list[Floats]:
    """The outputs of an open ``session`` for a batch. Raises MemoryError or StudyError."""
    try:
        outputs: list[Floats] = opened.run(None, dict(batch))
    except Exception as error:  # onnxruntime has a type for each reason
        if "allocate" in str(error) or "bad_alloc" in str(error):
            raise MemoryError(one_line(error)) from None
        raise StudyError(f"cannot compute this network ({one_line(error)})") from None
    return outputs


def _elsewhere(open_session: Callable[[], Any], batch: Mapping[str, Any]) -> Callable[[], Callable[[], object]]:
    """Load the library and return a function that opens the file and returns a call on the batch."""
    import onnxruntime  # noqa: F401

    return lambda: partial(run, open_session(), batch)
