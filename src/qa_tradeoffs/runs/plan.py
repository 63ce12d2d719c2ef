"""Printing the forecast of a study: make plan, and one line before the first training.

STUDY=squad SEEDS="0 1 2" TFLOPS=5.2 python -m qa_tradeoffs.runs.plan
"""

import argparse
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from qa_tradeoffs.core import words
from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.metrics import costs
from qa_tradeoffs.models import devices, precisions
from qa_tradeoffs.runs import graph, outlook
from qa_tradeoffs.runs.forecast import UnknownSizeError, forecast
from qa_tradeoffs.runs.selection import Selection, selected
from qa_tradeoffs.study import prices

_SPARE_DISK = 1.1
_ELSEWHERE = "Hours are for the machine named; if the price is for another machine, give TFLOPS."


def lines(chosen: Selection, needs: pd.DataFrame, texts: str, copies: int) -> list[str]:
    """The forecast for a reader, as if there were ``copies`` of each model. Raises StudyError."""
    price, models = _price(chosen), copies * len(needs)
    trainings, evaluations, *seconds, disk = (
        copies * needs[["trainings", "evaluations", "seconds", "seconds_high", "disk"]].sum()
    )
    at_once = [
        (needs[f"train{end}"] + needs[f"evaluate{end}"]).clip(lower=needs[f"profile{end}"]).max()
        + copies * needs[f"compare{end}"].sum()
        for end in ("", "_high")
    ]
    hours = " to ".join(dict.fromkeys(f"{value / 3600:,.2f}" for value in seconds))
    unknown = list(needs.index[needs["seconds"].isna()])
    whole = f"in all, without {words.listed(unknown)}" if unknown else "in all"
    times = f", each model {copies} times" if copies > 1 else ""
    return [
        f"{chosen.study_file}: models {models}{times}; notebooks: {trainings:.0f} to train, {evaluations:.0f} to "
        f"evaluate, {models} to profile, 1 to compare",
        texts,
        "",
        *_table(needs).to_string().splitlines(),
        "",
        f"{whole}: {hours} device hours, {_usd(seconds, price)} ({chosen.study.price}, "
        f"{price.machine}, {price.date}), {_bytes(disk + needs['resume'].max())} of disk",  # one training at a time
        f"one after the other {_seconds(*seconds)}; all at once {_seconds(*at_once)}",
        *(f"rate of {', '.join(rows.index)}: {rate}" for rate, rows in needs.groupby("rate", sort=False)),
    ]


def _table(needs: pd.DataFrame) -> pd.DataFrame:
    """The needs for a reader, with lower bounds of times."""
    seconds, sizes = ["train", "evaluate", "profile", "compare", "in all"], ["disk", "memory"]
    table = needs.rename(columns={"seconds": "in all"})[["parameters", *seconds[:4], "trainings", "in all", *sizes]]
    table["train"] = table["train"].where(needs["trainings"] > 0)
    table["parameters"] = table["parameters"].map(words.parameters)
    table[seconds], table[sizes] = table[seconds].map(words.seconds), table[sizes].map(_bytes)
    table.loc[needs["seconds"].isna(), seconds] = "unknown"
    return table


def line(chosen: Selection, needs: pd.DataFrame) -> str:
    """What remains to be done, in one line. Raises StudyError if the disk is too small for it."""
    waiting = [stage for stage in graph.stages(chosen) if stage.slug and stage.stale]
    training = [stage for stage in waiting if stage.name == "train"]
    stages = graph.stages(chosen)
    compared = any(stage.name == "compare" and stage.stale for stage in stages)
    seconds = [
        sum(needs.at[stage.slug, f"{stage.name}{end}"] for stage in waiting)
        + (needs[f"compare{end}"].sum() if compared else 0.0)
        for end in ("", "_high")
    ]
    size = (needs["download"] + needs["conversion"]).sum()
    size += sum(needs.at[stage.slug, "weights"] for stage in training if stage.missing)
    size += sum(needs.at[stage.slug, "exported"] for stage in waiting if stage.name == "evaluate" and stage.missing)
    size += max((needs.at[stage.slug, "resume"] for stage in training), default=0)
    check_disk(size, chosen.run.folder)
    cost, memory = _usd(seconds, _price(chosen)), _bytes(needs["memory"].max())
    return (
        f"forecast: {len(training)} to train, {_seconds(*seconds)}, {cost} ({chosen.study.price}), {_bytes(size)} "
        f"of disk, {memory} of memory; make plan says more"
    )


def expected(chosen: Selection, needs: pd.DataFrame) -> dict[Path, float]:
    """Seconds of each notebook, NaN if unknown; 0 for notebooks that measure nothing, which take little time."""
    seconds = {}
    for stage in graph.stages(chosen)[:-1]:
        own = needs.at[stage.slug, stage.name] if stage.slug else needs["compare"].sum(skipna=False)
        seconds[stage.notebook] = float(own) if stage.name in graph.MEASURED else 0.0
    return seconds


def check_disk(needed: float, folder: Path) -> None:
    """Refuse a study whose files do not fit on the disk. Raises StudyError."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if (free := shutil.disk_usage(existing).free) < _SPARE_DISK * needed:
        raise StudyError(
            f"{folder}: the study's files need {_bytes(needed)}, but the disk has {_bytes(free)} left; make room, or "
            "ask for fewer MODELS or SEEDS"
        )


def check_precisions(chosen: Selection) -> None:
    """Refuse a precision that this machine cannot train in, unless other machines train. Raises StudyError."""
    trained = [slug for slug in chosen.models if not chosen.study.model(slug).fine_tuned]
    if "fp16" in {chosen.study.recipe(slug).precision for slug in trained} and not chosen.launch:
        precisions.chosen("fp16", devices.choose(chosen.device))


def _price(chosen: Selection) -> prices.Price:
    return prices.of(chosen.study, prices.load(ROOT / "studies" / "prices.yaml"))


def _usd(seconds: Sequence[float], price: prices.Price) -> str:
    """'USD 1.20 to 1.50' if the time or the price is a range."""
    (low, _), (_, high) = (costs.usd_range(end, price.range_usd_per_hour) for end in seconds)
    return f"USD {words.usd(low, high)}"


def _seconds(low: float, high: float) -> str:
    """'7.1 h to 14.2 h', or one time if both are equal."""
    return "unknown" if math.isnan(low) else " to ".join(dict.fromkeys(words.seconds(value) for value in (low, high)))


def _bytes(size: float) -> str:
    """Bytes in decimal MB or GB."""
    return f"{words.plain(size / 1e6)} MB" if size < 1e9 else f"{words.plain(size / 1e9)} GB"


def main(arguments: Sequence[str] | None = None, variables: Mapping[str, str] = os.environ) -> None:
    """Command line of this module; make's variables name the study. Raises StudyError."""
    parser = argparse.ArgumentParser(description="Print what a study will need, without running it.")
    parser.add_argument("--before-start", action="store_true", help="print one line; refuse wrong data or a full disk")
    before_start = parser.parse_args(arguments).before_start
    chosen = selected(variables)
    if before_start:
        check_precisions(chosen)
        try:
            needs, _ = forecast(chosen)
        except UnknownSizeError as error:
            print(f"no forecast: {error}")
        else:
            print(line(chosen, needs), flush=True)
            outlook.write_expected(chosen.run, expected(chosen, needs))
        return
    if price := variables.get("PRICE"):
        if price not in (known := prices.load(ROOT / "studies" / "prices.yaml")):
            raise StudyError(f"PRICE: unknown price '{one_line(price)}'; the price table has {', '.join(known)}")
        chosen = replace(chosen, study=chosen.study.model_copy(update={"price": price}))
    copies, tflops = variables.get("COPIES") or "1", variables.get("TFLOPS", "")
    if not re.fullmatch("[1-9][0-9]{0,5}", copies):
        raise StudyError(f"COPIES: '{one_line(copies)}' is not a count; give a whole number from 1 to 999999")
    if tflops and not (re.fullmatch(r"[0-9]{0,9}\.?[0-9]{1,9}", tflops) and float(tflops)):
        raise StudyError(f"TFLOPS: '{one_line(tflops)}' is not a speed; give 10^12 FLOP/s as a number above 0")
    needs, texts = forecast(chosen, float(tflops or 0))
    print("\n".join(lines(chosen, needs, texts, int(copies)) + ([] if tflops else [_ELSEWHERE])))


if __name__ == "__main__":
    exit_cleanly(main)
