"""Command line that measures SqueezeBERT's anomaly and writes the records to one file.

python -m qa_tradeoffs.runs.anomaly --points 8x128 8x384 --dropout 0 0.1 --rounds 5
"""

import argparse
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import torch
from transformers import AutoConfig

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import OWN_ANOMALY, make_folder
from qa_tradeoffs.models import allocator, devices, networks
from qa_tradeoffs.profiling import anomaly
from qa_tradeoffs.profiling.workloads import Setting, available_formats
from qa_tradeoffs.runs import results

_SEED = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    options = _parser().parse_args(arguments)
    device = devices.choose(options.device)
    devices.use_all_cores()
    allocator.keep_freed_memory()
    known = available_formats(device)
    for name in options.precision or ():
        if name not in known:
            raise StudyError(f"--precision: '{name}' is not available on this device; choose from {', '.join(known)}")
    points, rounds = (["16x384"], 20) if device.type == "cuda" else (["8x128", "8x384"], 5)
    sizes = (point.split("x") for point in options.points or points)
    plan = anomaly.Plan(
        points=tuple(dict.fromkeys((int(batch), int(length)) for batch, length in sizes)),
        dropouts=tuple(sorted(set(map(float, options.dropout)))),
        rounds=int(options.rounds or rounds),
    )
    make_folder(options.out.parent)  # before minutes of measurement
    if options.out.is_dir():
        raise StudyError(f"--out: {options.out} is a folder; give a file")
    default = known[:2] if device.type == "cuda" else known[:1]  # on a CPU a second one takes half an hour more
    setting = Setting(device, tuple(dict.fromkeys(options.precision or default)), _SEED)
    torch.manual_seed(_SEED)
    network = networks.from_config(AutoConfig.for_model("squeezebert"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "progress"
        with (
            mock.patch.dict(os.environ, {progress.VARIABLE: str(report)}),
            progress.shown_on_terminal("anomaly", report),
        ):
            records = anomaly.measure(network, plan, setting, {"network": "full size", "weights": "random"})
    origin = results.Origin(seed=_SEED, device=devices.describe(device), **results.software())
    results.write(options.out, results.Experiment(experiment="anomaly", origin=origin, records=tuple(records)))
    print(options.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Time SqueezeBERT's variants and BERT, at full size, in turn.")
    point = _form("--points", "[1-9][0-9]*x[1-9][0-9]*", "batch size x length; give, for example, 8x384")
    parser.add_argument("--points", nargs="+", type=point, help="batch size x length (8x128 8x384; on CUDA 16x384)")
    dropout = _form("--dropout", r"0|0?\.[0-9]+", "a probability; give numbers from 0 to below 1")
    parser.add_argument("--dropout", nargs="+", type=dropout, default=["0", "0.1"], help="probabilities (0 0.1)")
    rounds = _form("--rounds", "[2-9]|[1-9][0-9]+", "a whole number above 1; give 2 or more")
    parser.add_argument("--rounds", type=rounds, help="timed calls of each variant (5; on CUDA 20)")
    parser.add_argument("--precision", nargs="+", help="fp32, bf16, tf32 (fp32; on CUDA fp32 and bf16)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--out", type=Path, default=OWN_ANOMALY, help="result file")
    return parser


def _form(option: str, pattern: str, expected: str) -> Callable[[str], str]:
    """An argument type that accepts text matching a pattern."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise StudyError(f"{option}: '{text}' is not {expected}")
        return text

    return check


if __name__ == "__main__":
    exit_cleanly(main)
