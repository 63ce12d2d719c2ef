"""A trained network in ONNX Runtime, exported once, in fp32."""

from collections.abc import Mapping
from pathlib import Path

import torch

from qa_tradeoffs.engines import export
from qa_tradeoffs.engines.onnx_session import Engine
from qa_tradeoffs.engines.protocol import Trained
from qa_tradeoffs.models import inputs


def prepare(trained: Trained) -> Engine:
    """The network in fp32, its logits checked against torch's. Raises StudyError."""
    engine = opened(exported(trained), trained, {"precision": "fp32"})
    export.check(trained, engine)
    return engine


def exported(trained: Trained) -> Path:
    """The network as an ONNX file in the folder, written where it is not there yet. Raises StudyError."""
    file = trained.folder / "onnxruntime.onnx"
    if not file.is_file():
        export.to_onnx(trained, file)
    return file


def opened(file: Path, trained: Trained, how: Mapping[str, str]) -> Engine:
    """An ONNX file of this network on its device, with torch's number of threads. Raises StudyError."""
    reads, threads = inputs.of(trained.network), torch.get_num_threads()
    return Engine(file, reads, trained.pad_token_id, trained.device.type, threads, how)
