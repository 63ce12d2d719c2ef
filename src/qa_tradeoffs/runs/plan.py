"""What a study will need, printed before it starts: make plan, and a line before the first training.

python -m qa_tradeoffs.runs.plan studies/squad.yaml runs/squad --seeds 0 1 2 --tflops 5.2
"""

import argparse
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from qa_tradeoffs.core import words
from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.metrics import costs
from qa_tradeoffs.runs.forecast import Forecast, forecast
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config, prices

_SPARE_DISK = 1.1
_ELSEWHERE = "Hours are of the machine that is named; where the price is of another, give TFLOPS."


def lines(found: Forecast, study_file: str, name: str, price: prices.Price) -> list[str]:
    """The forecast for a reader; ``name`` is that of the price."""
    needs, copies = found.needs, found.copies
    trainings, evaluations = copies * sum(n.trainings for n in needs), copies * sum(n.evaluations for n in needs)
    times = f", each model {copies} times" if copies > 1 else ""
    head = ("model", "parameters", "train", "evaluate", "profile", "trainings", "in all", "disk", "memory")
    rows = [
        (
            need.slug, words.parameters(need.parameters), words.seconds(need.train if need.trainings else math.nan),
            *map(words.seconds, (need.evaluate, need.profile)), str(need.trainings), words.seconds(need.seconds),
            _bytes(need.disk), _bytes(need.memory),
        )
        for need in needs
    ]  # fmt: skip
    by_rate = {need.rate: [n.slug for n in needs if n.rate == need.rate] for need in needs}
    return [
        f"{study_file}: models {copies * len(needs)}{times}; notebooks: {trainings} to train, {evaluations} to "
        f"evaluate, {copies * len(needs)} to profile",
        f"{found.train.windows:,} windows to train on, {found.train.tokens:.0f} tokens each on average; "
        f"{found.validation.windows:,} to evaluate on ({found.texts})",
        "",
        *_columns([head, *rows]),
        "",
        f"in all: {found.seconds / 3600:,.2f} device hours, {_usd(found.seconds, price)} ({name}, {price.machine}, "
        f"{price.date}), {_bytes(found.disk)} of disk",
        f"one after the other {words.seconds(found.seconds)}; all at once "
        f"{words.seconds(max(need.longest for need in needs))}",
        *(f"rate of {', '.join(slugs)}: {rate}" for rate, slugs in by_rate.items()),
    ]


def line(found: Forecast, run: RunPaths, seeds: Sequence[int], name: str, price: prices.Price) -> str:
    """What is still to be done, in a line. Raises StudyError where the disk has no room for it."""
    count, seconds, size = found.left(run, seeds)
    check_disk(size, run.folder)
    return (
        f"forecast: {count} to train, {words.seconds(seconds)}, {_usd(seconds, price)} ({name}), {_bytes(size)} of "
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
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]


def _usd(seconds: float, price: prices.Price) -> str:
    """'USD 1.20 to 1.50', where the price is a range."""
    return f"USD {words.usd(*costs.usd_range(seconds, price.range_usd_per_hour))}"


def _bytes(size: float) -> str:
    """Bytes in MB or GB, as disks are sold."""
    return f"{words.plain(size / 1e6)} MB" if size < 1e9 else f"{words.plain(size / 1e9)} GB"


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
    parser.add_argument("--before-start", action="store_true", help="refuse what the disk cannot hold, in one line")
    options = parser.parse_args(arguments)
    study = config.load(options.study)
    study = study.model_copy(update={"price": options.price or study.price})
    price = prices.of(study, prices.load(ROOT / "studies" / "prices.yaml"))
    run, seeds = RunPaths(options.run), options.seeds or study.seeds
    try:
        found = forecast(study, run, options.models or list(study.models), seeds, options.copies, options.tflops)
    except StudyError as error:
        if not options.before_start:
            raise
        print(f"no forecast: {error}")
        return
    if options.before_start:
        print(line(found, run, seeds, study.price, price), flush=True)
        return
    print("\n".join(lines(found, str(options.study), study.price, price)))
    if not options.tflops:
        print(_ELSEWHERE)


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
