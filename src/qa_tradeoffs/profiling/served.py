"""A network in every engine of its study, ready to be timed, with each engine's size on disk and in memory."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import export, registry
from qa_tradeoffs.engines.protocol import Engine, Trained
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import precisions
from qa_tradeoffs.profiling import memory
from qa_tradeoffs.profiling.workloads import Setting
from qa_tradeoffs.study.config import Study
from qa_tradeoffs.study.engines import REFERENCE


@dataclass(frozen=True)
class Served:
    """Engines by name, torch first; ``records``: their sizes and memory, and why others could not be used."""

    engines: dict[str, Engine]
    records: list[Record] = field(default_factory=list)


def serve(study: Study, network: Any, pad_token_id: int, setting: Setting, folder: Path, measured: bool) -> Served:
    """Prepare the network, which is on the device, in every engine of the study.

    ``folder``: for the files that engines write. ``measured``: whether to measure their memory, in separate processes.
    """
    precision = precisions.chosen(study.training.precision, setting.device, network)
    trained = Trained(network, pad_token_id, setting.device, precision, folder)
    ready, reasons = registry.prepare_all((REFERENCE, *study.other_engines), trained)
    found = Served(ready)
    if not study.other_engines:
        return found
    found.records.extend(registry.missing(reasons))
    for name, engine in ready.items():
        at = {"engine": name, **engine.conditions}
        if engine.file:
            found.records.append(Record.of("engine_bytes", engine.file.stat().st_size, "bytes", conditions=at))
        if measured:
            found.records.extend(record.under(at) for record in _memory(study, network, engine, setting))
    return found


def _memory(study: Study, network: Any, engine: Engine, setting: Setting) -> Iterator[Record]:
    """Peak memory for one row of the study's longest windows; nothing if it cannot be measured."""
    windows = export.sample(network, [study.training.max_length])
    length = int(windows.lengths[0])
    measure: Callable[[], memory.Peak]
    if engine.file is None:
        measure = memory.asked(network, 1, length, engine.conditions["precision"], setting)
    elif setting.device.type == "cpu" and (load := engine.elsewhere(windows, np.array([0]))):
        measure = partial(memory.of_file, load)
    else:
        return
    peaks: memory.Peak = None
    with suppress(StudyError):  # an engine that fails here can still be timed
        peaks = memory.in_own_process(measure)
    for kind, value in (peaks or {}).items():
        at = {"measure": kind, "batch_size": 1, "length": length}
        yield Record.of("engine_memory_bytes", value, "bytes", conditions=at)
