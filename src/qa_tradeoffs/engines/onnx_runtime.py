"""A trained network in ONNX Runtime in fp32, exported once."""

from collections.abc import Mapping
from pathlib import Path

import torch

from qa_tradeoffs.engines import export
from qa_tradeoffs.engines.onnx_session import Engine
from qa_tradeoffs.engines.protocol import Trained
from qa_tradeoffs.models import inputs


def prepare(trained: Trained) -> Engine:
    """The network in fp32. Raises StudyError if it cannot be exported or run, or if its logits differ from torch's."""
    engine = opened(exported(trained), trained, {"precision": "fp32"})
    export.check(trained, engine)
    return engine


def exported(trained: Trained) -> Path:
    """The network as an ONNX file in its folder, written if it does not exist. Raises StudyError if export fails."""
    file = trained.folder / "onnxruntime.onnx"
    if not file.is_file():
        export.to_onnx(trained, file)
    return file


def opened(file: Path, trained: Trained, how: Mapping[str, str]) -> Engine:
    """An engine for an ONNX file of this network, on its device, with torch's threads. StudyError if it cannot run."""
    reads, threads = inputs.of(trained.network), torch.get_num_threads()
    return Engine(file, reads, trained.pad_token_id, trained.device.type, threads, how)
