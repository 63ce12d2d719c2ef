"""A trained network as one ONNX file, in fp32 or with int8 weights, checked against the original network."""

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.engines.protocol import Engine, Trained
from qa_tradeoffs.models import inputs, squeezebert
from qa_tradeoffs.models.quiet import quiet

OUTPUTS = ("start_logits", "end_logits")
_LENGTHS = (61, 24, 16, 9, 5)  # tokens of the windows on which an exported network is tried
_BATCHES = ([3], [1, 2, 4], [0, 3])  # indices of windows: one alone, and padded batches of several lengths
_LARGEST = 1.5e9  # bytes of weights; above 1.5 GiB torch writes a second file, because of protobuf's limit
_TOLERANCE = 1e-3  # of the range of the logits


class _Logits(torch.nn.Module):
    """The network with positional inputs and only its logits as outputs, as the exporter requires."""

    def __init__(self, network: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network, self._names = network, names

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = self.network(**dict(zip(self._names, given, strict=True)))
        return tuple(getattr(output, name) for name in OUTPUTS)


def to_onnx(trained: Trained, file: Path, *, separate_products: bool = True) -> None:
    """Write the network as ONNX for batches of any size and length.

    A SqueezeBERT is written as one matrix product per group, however it computes in torch: same weights, same answers.
    Without ``separate_products`` it is written as it computes in torch. Raises StudyError if the network cannot be
    exported, and ImportError without onnxscript.
    """
    import onnxscript  # noqa: F401  # the exporter needs it; if it is missing, fail before the network is copied

    if (size := 4 * sum(parameter.numel() for parameter in trained.network.parameters())) > _LARGEST:
        raise StudyError(f"its {size / 1e9:.1f} GB of weights exceed the {_LARGEST / 1e9:g} GB of one ONNX file")
    on_cpu = copy.deepcopy(trained.network).to("cpu").eval()
    if separate_products:
        on_cpu = squeezebert.to_separate_products(on_cpu)
    reads = inputs.of(on_cpu)
    batch = reads.batch(sample(on_cpu), np.array(_BATCHES[1]), trained.pad_token_id)
    any_size = torch.export.Dim.DYNAMIC
    sizes = {0: any_size} | ({} if reads.width else {1: any_size})
    with written_atomically(file) as temporary, _silenced(), torch.no_grad():
        try:
            program = torch.onnx.export(
                _Logits(on_cpu, list(batch)),
                tuple(batch.values()),
                input_names=list(batch),
                output_names=list(OUTPUTS),
                dynamic_shapes=(tuple(sizes for _ in batch),),
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            for node in program.model.graph:
                node.metadata_props.clear()  # names source files of this machine
            program.save(temporary, external_data=False)
        except Exception as error:  # the exporter raises many types
            raise StudyError(f"a {on_cpu.config.model_type} cannot be exported to ONNX ({one_line(error)})") from None


def to_int8(file: Path, target: Path) -> None:
    """Write the ONNX ``file`` to ``target`` with int8 weights, one scale per channel. Raises StudyError if that fails.

    Weights use seven bits: with eight, products saturate on processors without VNNI, so that answers would depend on
    the machine (onnxruntime's documentation of ``reduce_range``).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with written_atomically(target) as temporary, _silenced():
        try:
            quantize_dynamic(file, temporary, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
        except Exception as error:  # the quantiser raises many types
            raise StudyError(f"{file.name} cannot be quantised ({one_line(error)})") from None


def check(trained: Trained, engine: Engine) -> None:
    """Refuse an engine whose logits differ from torch's fp32 logits on padded batches of several lengths.

    Raises StudyError.
    """
    windows = sample(trained.network)
    original = pytorch.Engine(trained.network, trained.pad_token_id, trained.device)
    for rows in map(np.array, _BATCHES):
        own = np.arange(windows.lengths[rows].max()) < windows.lengths[rows, None]
        pairs = zip(engine.logits(windows, rows), original.logits(windows, rows), strict=True)
        for ours, theirs in pairs:
            width = own.shape[1]  # some networks pad every row further
            found, expected = ours[:, :width][own], theirs[:, :width][own]
            error = float(np.abs(found - expected).max() / max(np.ptp(expected), np.finfo(np.float32).tiny))
            if not error <= _TOLERANCE:
                raise StudyError(
                    f"its logits differ from torch's by {error:.1g} of their range on {counted(len(rows), 'window')}; "
                    f"expected at most {_TOLERANCE:g}"
                )


def sample(network: Any, lengths: Sequence[int] = _LENGTHS) -> Windows:
    """Windows of random tokens, of these lengths or as long as the network supports; a third of each is question."""
    longest = inputs.of(network).longest or max(lengths)
    fitting = [min(length, longest) for length in lengths]
    splits = np.concatenate(([0], np.cumsum(fitting)))
    position = np.concatenate([np.arange(length) / length for length in fitting])
    types = np.minimum(position * 3, getattr(network.config, "type_vocab_size", 2) - 1).clip(0, 1)
    n = len(lengths)
    return Windows(
        input_ids=np.random.default_rng(0).integers(network.config.vocab_size, size=splits[-1], dtype=np.int32),
        token_type_ids=types.astype(np.int8),
        offsets=np.full((splits[-1], 2), -1, np.int32),
        splits=splits,
        example=np.arange(n, dtype=np.int32),
        start_labels=np.zeros(n, np.int64),
        end_labels=np.zeros(n, np.int64),
    )


@contextmanager
def _silenced() -> Iterator[None]:
    """Silence the exporters' messages to developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
