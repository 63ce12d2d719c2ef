"""Ours beside the plain recipe, alternating in one process: python -m benchmarks [PIECE ...] [--output FILE]"""

import argparse
import os
from pathlib import Path

import torch

from benchmarks import chart, fine_tuning, growth, inputs, pieces
from benchmarks.comparison import CPU, Comparison, records
from benchmarks.record import Benchmarks, write
from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import splitting
from qa_tradeoffs.data.example import Example, fingerprint
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import devices
from qa_tradeoffs.runs import results

COMPARED = ("features", "postprocessing", "forward", "evaluation", "training")
PIECES = (*COMPARED, "learning", "growth")
_ANSWERED, _SAMPLE = 128, 512  # questions of the forward passes alone, and of the evaluation from end to end
_LEARNED, _HELD_OUT = 960, 240  # questions: 60 updates or so


def main() -> None:
    """Time the pieces, print the results, and write them as records: all of them, unless some are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}")
    parser.add_argument("--output", type=Path, help="record file; benchmarks/results/speed.json when all pieces run")
    args = parser.parse_args()
    if unknown := set(args.pieces) - set(PIECES):
        parser.error(f"there is no piece {min(unknown)!r}; choose from {', '.join(PIECES)}")
    chosen = args.pieces or PIECES
    output = args.output or (None if args.pieces else ROOT / "benchmarks" / "results" / "speed.json")

    devices.use_all_cores()
    os.environ.setdefault("RAYON_NUM_THREADS", str(torch.get_num_threads()))  # the tokenizer's, on both sides
    name, examples = inputs.questions()
    print(f"{name}: {len(examples):,} questions; {torch.get_num_threads()} threads")
    measured = tuple(record for piece in chosen for record in _run(piece, examples))
    if output is not None:
        origin = results.Origin(seed=0, device=devices.describe(CPU), **results.software())
        write(output, Benchmarks(data=name, data_sha256=fingerprint(examples), origin=origin, records=measured))
        for piece, draw in (("growth", chart.growth), ("learning", chart.learning)):
            if piece in chosen:
                chart.write(draw(measured), output.with_name(f"{piece}.svg"))


def _run(piece: str, examples: list[Example]) -> list[Record]:
    """Run a piece, print it, and return its records."""
    if piece == "growth":
        measured = growth.measure([*growth.QUESTIONS, *growth.CONTEXTS])
        print(growth.summary(measured), flush=True)
        return measured
    if piece == "learning":
        chosen = splitting.sample(examples, _LEARNED + _HELD_OUT, 0)
        learned = fine_tuning.curves(chosen[:_LEARNED], chosen[_LEARNED:], inputs.tokenizer(examples))
        print(fine_tuning.summary(learned), flush=True)
        return learned
    compared = _compare(piece, examples)
    print(compared, flush=True)
    return records(compared)


def _compare(piece: str, examples: list[Example]) -> Comparison:
    tokenizer = inputs.tokenizer(examples)
    if piece == "features":
        return pieces.feature_building(examples, tokenizer)
    if piece == "postprocessing":
        return pieces.postprocessing(examples, tokenizer)
    network = inputs.encoder(len(tokenizer))
    if piece == "forward":
        return pieces.forward_passes(splitting.sample(examples, _ANSWERED, 0), tokenizer, network)
    if piece == "evaluation":
        return pieces.evaluating(splitting.sample(examples, _SAMPLE, 0), tokenizer, network)
    return pieces.training_updates(examples, tokenizer, network)


if __name__ == "__main__":
    exit_cleanly(main)
