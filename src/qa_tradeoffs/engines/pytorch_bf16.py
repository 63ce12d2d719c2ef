"""A trained network in PyTorch under bf16 autocast: the same weights, with products in 16 bits."""

import numpy as np

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import export, pytorch
from qa_tradeoffs.engines.protocol import Trained
from qa_tradeoffs.models import precisions


def prepare(trained: Trained) -> pytorch.Engine:
    """The network in bf16. Raises StudyError if torch uses bf16 already, or if the device or the network cannot."""
    if trained.precision == "bf16":
        raise StudyError("repeats torch, which already uses bf16 by training.precision; remove it from engines")
    if not precisions.native_bf16(trained.device.type):
        raise StudyError("this device does not multiply bf16 natively")
    engine = pytorch.Engine(trained.network, trained.pad_token_id, trained.device, "bf16")
    try:
        engine.logits(export.sample(trained.network), np.array([0]))
    except Exception as error:  # each network fails in its own way
        raise StudyError(f"cannot compute this network ({one_line(error)})") from None
    return engine
