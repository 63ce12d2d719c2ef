"""What a study will need, printed before it starts: make plan, and a line before the first training.

python -m qa_tradeoffs.runs.plan studies/squad.yaml runs/squad --seeds 0 1 2 --tflops 5.2
"""

import argparse
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.metrics import costs
from qa_tradeoffs.runs import forecast, sizes
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config, prices

_SPARE_DISK = 1.1
_GIGA = 1e9


def lines(found: forecast.Forecast, study_file: str, price: str) -> list[str]:
    """The forecast for a reader."""
    needs, copies = found.needs, found.copies
    trainings, evaluations = (
        copies * sum(counts) for counts in zip(*((n.trainings, n.evaluations) for n in needs), strict=True)
    )
    n_models = copies * len(needs)
    head = ("model", "parameters", "train", "evaluate", "profile", "trainings", "in all", "disk", "memory")
    rows = [
        (
            need.slug, f"{need.network.parameters / 1e6:,.1f} M", _time(need.train if need.trainings else 0),
            _time(need.evaluate), _time(need.profile), str(need.trainings), _time(need.seconds), _bytes(need.disk),
            _bytes(need.memory),
        )
        for need in needs
    ]  # fmt: skip
    times = f", each model {copies} times" if copies > 1 else ""
    by_rate: dict[str, list[str]] = {}
    for need in needs:
        by_rate.setdefault(need.rate, []).append(need.slug)
    return [
        f"{study_file}: models {n_models}{times}; notebooks: {trainings} to train, {evaluations} to evaluate, "
        f"{n_models} to profile",
        f"{found.train.windows:,} windows to train on, {found.train.tokens:.0f} tokens each on average; "
        f"{found.validation.windows:,} to evaluate on ({found.data})",
        "",
        *_columns([head, *rows]),
        "",
        f"in all: {found.seconds / 3600:,.2f} device hours, {_usd(found.seconds, found.price)} ({price}, "
        f"{found.price.machine}, {found.price.date}), {_bytes(found.disk)} of disk",
        f"one after the other {_time(found.seconds)}; all at once {_time(max(need.longest for need in needs))}",
        *(f"rate of {', '.join(slugs)}: {rate}" for rate, slugs in by_rate.items()),
        *(
            []
            if found.given
            else ["Hours are of the machine that is named; where the price is of another, give TFLOPS."]
        ),
    ]


def line(found: forecast.Forecast, run: RunPaths, seeds: Sequence[int], price: str) -> str:
    """What is still to be done, in a line. Raises StudyError where the disk has no room for it."""
    count, seconds, size = forecast.left(found, run, seeds)
    check_disk(size, run.folder)
    return (
        f"forecast: {count} to train, {_time(seconds)}, {_usd(seconds, found.price)} ({price}), {_bytes(size)} of "
        f"disk, {_bytes(max(need.memory for need in found.needs))} of memory; make plan says more"
    )


def check_disk(needed: float, folder: Path) -> None:
    """Refuse a study for whose files the disk has no room. Raises StudyError."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if (free := shutil.disk_usage(existing).free) < _SPARE_DISK * needed:
        raise StudyError(
            f"{folder}: the study's files take {_bytes(needed)}, but the disk has {_bytes(free)} left; "
            "make room, or ask for fewer MODELS or SEEDS"
        )


def _columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text with columns below each other, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def _time(seconds: float) -> str:
    """Seconds, minutes or hours, to two figures or so."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds else "–"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def _usd(seconds: float, price: prices.Price) -> str:
    """What so many seconds cost, 'USD 1.20 to 1.50' where the price is a range."""
    low, high = costs.usd_range(seconds, price.range_usd_per_hour)
    return f"USD {low:,.2f}" + (f" to {high:,.2f}" if high > low else "")


def _bytes(size: float) -> str:
    """Bytes in MB or GB."""
    return f"{size / 1e6:,.{0 if size > 1e8 else 1}f} MB" if size < _GIGA else f"{size / _GIGA:,.1f} GB"


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Print what a study will need, without running any of it.")
    parser.add_argument("study", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", type=config.seed, default=[])
    parser.add_argument("--copies", type=_copies, default=1, help="as if each model were there so many times")
    parser.add_argument("--tflops", type=_tflops, help="achieved 10¹² FLOP/s, in place of what was measured")
    parser.add_argument("--price", help="a row of studies/prices.yaml, in place of the study's")
    parser.add_argument("--before-start", action="store_true", help="refuse what the disk cannot hold, and say little")
    options = parser.parse_args(arguments)
    study = config.load(options.study)
    if options.price:
        study = study.model_copy(update={"price": options.price})
    run, seeds = RunPaths(options.run), options.seeds or study.seeds
    price = prices.of(study, prices.load(ROOT / "studies" / "prices.yaml"))
    try:
        found = forecast.forecast(
            study, run, price, sizes.assumptions(ROOT / "studies" / "assumptions.yaml"),
            slugs=options.models or list(study.models), seeds=seeds, copies=options.copies, tflops=options.tflops,
        )  # fmt: skip
    except StudyError as error:
        if not options.before_start:
            raise
        print(f"no forecast: {error}")
        return
    if options.before_start:
        print(line(found, run, seeds, study.price), flush=True)
    else:
        print("\n".join(lines(found, str(options.study), study.price)))


def _copies(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise StudyError(f"COPIES: '{one_line(text)}' is no number of copies; give a whole number from 1 to 999999")
    return int(text)


def _tflops(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise StudyError(f"TFLOPS: '{one_line(text)}' is no speed; give 10^12 FLOP/s, a number above 0")
    return number


if __name__ == "__main__":
    exit_cleanly(main)
