"""The engines under the names used in studies."""

from collections.abc import Callable, Mapping, Sequence

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import onnx_int8, onnx_runtime, pytorch, pytorch_bf16
from qa_tradeoffs.engines.protocol import Engine, Trained
from qa_tradeoffs.metrics.records import Record

# Each function raises StudyError if the engine cannot be used; its message continues after the engine's name.
PREPARE: dict[str, Callable[[Trained], Engine]] = {
    "torch": pytorch.prepare,
    "torch-bf16": pytorch_bf16.prepare,
    "onnxruntime": onnx_runtime.prepare,
    "onnxruntime-int8": onnx_int8.prepare,
}


def prepare(name: str, trained: Trained) -> Engine:
    """The engine, ready to answer. Raises StudyError if it is not installed or cannot run this network here."""
    try:
        return PREPARE[name](trained)
    except ImportError as error:  # an engine's libraries are imported when it is prepared
        raise StudyError(f"{name}: is not installed ({one_line(error)})") from None
    except MemoryError:
        raise StudyError(f"{name}: memory ran out") from None
    except StudyError as error:
        raise StudyError(f"{name}: {error}") from None


def missing(reasons: Mapping[str, str]) -> list[Record]:
    """One record per engine that could not be used; ``reasons`` by name."""
    return [
        Record.of("engine_missing", 1, "1", conditions={"engine": name, "reason": reason})
        for name, reason in reasons.items()
    ]


def prepare_all(names: Sequence[str], trained: Trained) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines that can be used, by name, and the reasons why others cannot."""
    ready, reasons = dict[str, Engine](), dict[str, str]()
    for name in names:
        try:
            ready[name] = prepare(name, trained)
        except StudyError as error:
            reasons[name] = str(error)
    return ready, reasons
