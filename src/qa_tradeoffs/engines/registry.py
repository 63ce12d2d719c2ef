"""The engines by the names that a study gives them."""

from collections.abc import Callable, Mapping, Sequence

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import onnx_int8, onnx_runtime, pytorch, pytorch_bf16
from qa_tradeoffs.engines.protocol import Engine, Trained
from qa_tradeoffs.metrics.records import Record

# Of each, what prepares it. Raises StudyError, whose sentence goes on after the engine's name, where it cannot be used.
PREPARE: dict[str, Callable[[Trained], Engine]] = {
    "torch": pytorch.prepare,
    "torch-bf16": pytorch_bf16.prepare,
    "onnxruntime": onnx_runtime.prepare,
    "onnxruntime-int8": onnx_int8.prepare,
}


def prepare(name: str, trained: Trained) -> Engine:
    """The engine, ready to answer. Raises StudyError where it is not installed, or cannot run this network here."""
    try:
        return PREPARE[name](trained)
    except ImportError as error:  # an engine's libraries are imported when it is prepared
        raise StudyError(f"{name}: is not installed ({one_line(error)})") from None
    except MemoryError:
        raise StudyError(f"{name}: memory does not suffice for it") from None
    except StudyError as error:
        raise StudyError(f"{name}: {error}") from None


def missing(reasons: Mapping[str, str]) -> list[Record]:
    """A record for each engine that could not be used, from its reason by name."""
    return [
        Record.of("engine_missing", 1, "1", conditions={"engine": name, "reason": reason})
        for name, reason in reasons.items()
    ]


def prepare_all(names: Sequence[str], trained: Trained) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines of these names that can be used, and of each that cannot the reason."""
    ready, reasons = dict[str, Engine](), dict[str, str]()
    for name in names:
        try:
            ready[name] = prepare(name, trained)
        except StudyError as error:
            reasons[name] = str(error)
    return ready, reasons
