"""A trained network in ONNX Runtime with int8 weights and dynamically quantised activations."""

import numpy as np

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import export, onnx_runtime
from qa_tradeoffs.engines.onnx_session import Engine
from qa_tradeoffs.engines.protocol import Trained

QUANTISATION = "weights: a scale per channel, 7 of 8 bits; activations: dynamic, a scale per tensor"


def prepare(trained: Trained) -> Engine:
    """The network with int8 weights. Raises StudyError if the device is not a CPU or quantisation fails."""
    if trained.device.type != "cpu":
        raise StudyError("runs on CPUs only; give DEVICE=cpu")
    file = trained.folder / "onnxruntime-int8.onnx"
    if not file.is_file():
        export.to_int8(onnx_runtime.exported(trained), file)
    engine = onnx_runtime.opened(file, trained, {"precision": "int8", "quantisation": QUANTISATION})
    windows = export.sample(trained.network)
    if not np.isfinite(engine.logits(windows, np.arange(len(windows.lengths)))).all():
        raise StudyError("its logits are not all finite")
    return engine
