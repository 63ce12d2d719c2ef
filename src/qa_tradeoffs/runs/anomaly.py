"""Command line that measures SqueezeBERT's anomaly and writes the records into one file.

python -m qa_tradeoffs.runs.anomaly --points 8x128 8x384 --dropout 0 0.1 --rounds 5
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoConfig

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import OWN_ANOMALY, make_folder
from qa_tradeoffs.models import devices, networks
from qa_tradeoffs.profiling import anomaly
from qa_tradeoffs.profiling.workloads import Setting, available_formats
from qa_tradeoffs.runs import results

_SEED = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    options = _parser().parse_args(arguments)
    device = devices.choose(options.device)
    devices.use_all_cores()
    setting = Setting(device, _formats(options.precision, device), _SEED)
    points, rounds = (((16, 384),), 20) if device.type == "cuda" else (((8, 128), (8, 384)), 5)
    plan = anomaly.Plan(
        points=tuple(dict.fromkeys(options.points or points)),
        dropouts=tuple(sorted(set(options.dropout))),
        rounds=options.rounds or rounds,
    )
    _check_writable(options.out)
    torch.manual_seed(_SEED)
    network = networks.from_config(AutoConfig.for_model("squeezebert"))
    with _progress_on_terminal():
        records = anomaly.measure(network, plan, setting, {"network": "full size", "weights": "random"})
    origin = results.Origin(seed=_SEED, device=devices.describe(device), **results.software())
    results.write(options.out, results.Experiment(experiment="anomaly", origin=origin, records=tuple(records)))
    print(options.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Time SqueezeBERT's variants and BERT, at full size, in turn.")
    parser.add_argument("--points", nargs="+", type=_point, help="batch size x length (8x128 8x384; on CUDA 16x384)")
    parser.add_argument("--dropout", nargs="+", type=_dropout, default=[0.0, 0.1])
    parser.add_argument("--rounds", type=_rounds, help="calls of each variant after one to warm up (5; on CUDA 20)")
    parser.add_argument("--precision", nargs="+", help="fp32, bf16, tf32 (fp32; on CUDA fp32 and bf16)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--out", type=Path, default=OWN_ANOMALY, help="result file")
    return parser


def _point(text: str) -> tuple[int, int]:
    batch, _, length = text.partition("x")
    if not (batch.isdecimal() and length.isdecimal() and int(batch) and int(length)):
        raise StudyError(f"--points: '{text}' is not batch size x length; give such as 8x384")
    return int(batch), int(length)


def _dropout(text: str) -> float:
    try:
        probability = float(text)
    except ValueError:
        probability = -1.0
    if not 0 <= probability < 1:
        raise StudyError(f"--dropout: '{text}' is not a probability; give numbers from 0 to below 1")
    return probability


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise StudyError(f"--rounds: '{text}' is not a number from 2 on; give 2 or more")
    return int(text)


def _formats(given: Sequence[str] | None, device: torch.device) -> tuple[str, ...]:
    known = available_formats(device)
    for name in given or ():
        if name not in known:
            raise StudyError(f"--precision: '{name}' is not available on this device; choose of {', '.join(known)}")
    return tuple(dict.fromkeys(given)) if given else known[:2]


@contextmanager
def _progress_on_terminal() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[progress.VARIABLE] = str(Path(folder) / "progress")
        try:
            with progress.shown_on_terminal("anomaly", Path(folder) / "progress"):
                yield
        finally:
            del os.environ[progress.VARIABLE]


def _check_writable(file: Path) -> None:
    """Before minutes of measuring."""
    make_folder(file.parent)
    if file.is_dir():
        raise StudyError(f"--out: {file} is a folder; give a file")


if __name__ == "__main__":
    exit_cleanly(main)
