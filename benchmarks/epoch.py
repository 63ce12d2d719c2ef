"""An epoch of SQuAD's length through BERT-base on a GPU: python -m benchmarks.epoch [--windows N] [--output FILE]

Ours in bf16, all of it; the plain recipe in fp32, padded to 384, for some of its updates, each of which costs the same.
Token ids are random and the lengths are those of real windows: compute depends on neither ids nor weights.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertForQuestionAnswering

from benchmarks import fine_tuning, inputs, plain
from benchmarks.record import Benchmarks, write
from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import fingerprint
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import devices
from qa_tradeoffs.profiling import clock
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config

WINDOWS = 88_000  # about as many as SQuAD v1.1's training questions make at length 384 and stride 128
PLAIN_UPDATES = 200


def measure(
    lengths: NDArray[np.int64], device: torch.device, *, precision: str, plain_updates: int, shape: dict[str, int]
) -> list[Record]:
    """Seconds of an epoch of windows of these ``lengths`` (n,) by both recipes, and the share of the peak.

    ``shape`` are keys of BertConfig. The share is that of our epoch's FLOP without padding, three times those of the
    forward passes, over what a large matrix product reaches in the same precision on the same device.
    """
    recipe = config.Training(epochs=1, batch_size=16, precision=precision)  # type: ignore[arg-type]
    windows = random_windows(lengths, BertConfig(**shape).vocab_size)
    measure_peak = clock.peak_meter(device, precision)
    peak = max(measure_peak() for _ in range(5))
    fitted = training_of(windows, recipe, device, shape)
    peak = max(peak, *(measure_peak() for _ in range(5)))
    padded = padded_columns(windows, recipe.batch_size * plain_updates)
    learned = fine_tuning.by_plain(
        network(shape), padded, recipe.model_copy(update={"precision": "fp32"}), 0, device, plain_updates
    )
    updates = -(-len(lengths) // recipe.batch_size)
    reached = epoch_flops(lengths, shape) / fitted.seconds
    common = {"piece": "epoch", "windows": len(lengths), "batch_size": recipe.batch_size, **shape}
    ours = {**common, "side": "ours", "precision": precision}
    theirs = {**common, "side": "plain", "precision": "fp32", "extrapolated_from_updates": plain_updates}
    n_ours, whole = fitted.step[-1], learned.seconds / plain_updates * updates
    return [
        Record.of("epoch_seconds", fitted.seconds, "s", n_ours, conditions=ours),
        Record.of("epoch_peak_share", reached / peak, "1", n_ours, conditions=ours),
        Record.of(
            "epoch_seconds",
            whole,
            "s",
            plain_updates,
            conditions={**theirs, "extrapolated_from_updates": plain_updates},
        ),
    ]


def epoch_flops(lengths: NDArray[np.int64], shape: dict[str, int]) -> float:
    """FLOP of forward and backward passes over windows of these lengths, padding left out."""
    made = BertConfig(**shape)
    of_encoder = flops.Shape(made.num_hidden_layers, made.hidden_size, made.intermediate_size)
    return flops.TRAINING_OVER_FORWARD * float(
        sum(flops.encoder_flops(of_encoder, 1, int(length)) for length in lengths)
    )


def training_of(
    windows: Windows, recipe: config.Training, device: torch.device, shape: dict[str, int]
) -> fine_tuning.Learned:
    """Our epoch, after some updates that are not counted: kernels are chosen and memory is reserved in them."""
    few = random_windows(windows.lengths[: 20 * recipe.batch_size], BertConfig(**shape).vocab_size)
    fine_tuning.by_ours(network(shape), few, recipe, 0, 0, device)
    return fine_tuning.by_ours(network(shape), windows, recipe, 0, 0, device)


def network(shape: dict[str, int]) -> Any:
    """BERT with random weights."""
    torch.manual_seed(0)
    return BertForQuestionAnswering(BertConfig(**shape))


def random_windows(lengths: NDArray[np.int64], vocabulary: int) -> Windows:
    """Windows of these lengths with random ids and labels: the first tenth is the question, the rest its context."""
    rng, n = np.random.default_rng(0), int(lengths.sum())
    splits = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(n) - np.repeat(splits[:-1], lengths)
    in_context = place >= np.repeat(lengths // 10 + 1, lengths)
    labels = rng.integers(lengths // 10 + 1, lengths)
    return Windows(
        input_ids=rng.integers(5, vocabulary, n, dtype=np.int32),
        token_type_ids=in_context.astype(np.int8),
        offsets=np.where(in_context[:, None], np.stack([place, place + 1], axis=1), -1).astype(np.int32),
        splits=splits,
        example=np.arange(len(lengths), dtype=np.int32),
        start_labels=labels,
        end_labels=labels,
    )


def padded_columns(windows: Windows, n: int) -> dict[str, list[Any]]:
    """The first ``n`` windows, as many as there are, as the plain recipe has them: columns padded to one length."""
    rows = np.arange(min(n, len(windows.lengths)))
    widest = np.argmax(windows.lengths)
    batch = features.pad(windows, np.append(rows, widest), 0, multiple_of=plain.MAX_LENGTH)
    columns = {name: values[:-1].tolist() for name, values in batch.items()}
    return columns | {
        "start_positions": windows.start_labels[rows].tolist(),
        "end_positions": windows.end_labels[rows].tolist(),
    }


def main() -> None:
    """Time an epoch and write it as records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.epoch", description=main.__doc__)
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--plain-updates", type=int, default=PLAIN_UPDATES)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "epoch.json")
    args = parser.parse_args()
    device = devices.choose("cuda")
    name, examples = inputs.questions()
    real = features.build(examples, inputs.tokenizer(examples)).lengths
    lengths = np.random.default_rng(0).choice(real, args.windows)
    precision = devices.precision("auto", device)
    records = measure(lengths, device, precision=precision, plain_updates=args.plain_updates, shape={})
    for record in records:
        at = record.conditions
        print(f"{record.metric} ({at['side']}, {at['precision']}): {record.value:.4g}")
    origin = results.Origin(seed=0, device=devices.describe(device), **results.software())
    data = {"data": f"lengths of {name}", "data_sha256": fingerprint(examples)}
    write(args.output, Benchmarks(**data, origin=origin, records=tuple(records)))


if __name__ == "__main__":
    exit_cleanly(main)
