"""What changed from one run to another, as text or JSON, and whether it is worse.

python -m qa_tradeoffs.report.changes runs/x runs/y [--drop POINTS] [--slower TIMES] [--json]

Exit status 1: the F1 of a model fell significantly or by more than POINTS; or its time relative to the first model's
grew by more than a factor of TIMES, by the whole interval.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis import changes
from qa_tradeoffs.analysis.changes import Run
from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.words import listed, plain, signed
from qa_tradeoffs.report.display import signed_interval


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of this module; returns 1 if the second run is worse. StudyError if they cannot be compared."""
    parser = argparse.ArgumentParser(description="Compare two runs; exit status 1 where the second is worse.")
    parser.add_argument("before", help="the folder of a run, such as runs/demo")
    parser.add_argument("after", help="the folder of the run to compare with it")
    parser.add_argument("--drop", default="1", help="points of F1 that a model may lose if that is not significant (1)")
    factor = "by which factor its time relative to the first model's may grow (1.1)"
    parser.add_argument("--slower", default="1.1", help=factor)
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    args = parser.parse_args(arguments)
    if not args.before or not args.after:
        raise StudyError("compare: needs the folders of two runs, as in make compare A=runs/demo B=runs/another")
    before, after = changes.read(Path(args.before)), changes.read(Path(args.after))
    scores = changes.scores(before, after, _number("drop", args.drop, 0))
    speed = changes.speed(before, after, _number("slower", args.slower, 1))
    lines = {"notices": list(notices(before, after, speed)), "failures": list(failures(scores, speed))}
    if args.json:
        tables = {name: json.loads(t.to_json(orient="records")) for name, t in (("scores", scores), ("speed", speed))}
        print(json.dumps({"before": args.before, "after": args.after} | tables | lines, ensure_ascii=False, indent=1))
    else:
        shown = [f"{args.before} → {args.after}", *tables_of(scores, speed)]
        print("\n\n".join([*shown, *lines["notices"], *(f"worse: {line}" for line in lines["failures"])]))
    return bool(lines["failures"])


def tables_of(scores: pd.DataFrame, speed: pd.DataFrame) -> Iterator[str]:
    """Both tables as text."""
    columns: dict[str, Any] = {
        "points": scores["metric"].map({"f1": "F1", "exact_match": "EM"}),
        "model": scores["model"],
        "before": scores["before"].map("{:.1f}".format),
        "after": scores["after"].map("{:.1f}".format),
        "change (95 % interval)": signed_interval(scores["change"], scores["low"], scores["high"]),
        "corrected p": scores["p_holm"].map("{:.2g}".format),
        "over": scores["over"],
        "verdict": scores["verdict"],
    }
    yield pd.DataFrame(columns).to_string(index=False)
    if not speed.empty:
        columns = {
            "time of": speed["model"] + " / " + speed["other"],
            "in": [_work(row) for row in speed.itertuples()],
            "before": speed["before"].map(plain),
            "after": speed["after"].map(plain),
            "after / before (95 % interval over passes)": [_times(row) for row in speed.itertuples()],
            "verdict": speed["verdict"],
        }
        yield pd.DataFrame(columns).to_string(index=False)


def notices(before: Run, after: Run, speed: pd.DataFrame) -> Iterator[str]:
    """What differs between the two runs: models, questions or machine; nothing if all are the same."""
    slugs = changes.common(before, after)
    for run in (before, after):
        if others := [slug for slug in run.answers if slug not in slugs]:
            yield f"Only in {run.folder}: {listed(others)}."
    for slug in slugs:
        if (same := changes.same_questions(before, after, slug)) is not None:
            one, other = (len(run.answers[slug][0]) for run in (before, after))
            yield f"{slug} was asked {one:,}, then {other:,} questions, {same:,} of them the same: compared unpaired."
    if speed.empty:
        yield "No speed is compared: for that both runs must have timed the same two models in the same work."
    elif before.comparison and after.comparison:
        first, then = before.comparison.provenance.device, after.comparison.provenance.device
        if differing := [f"{key} {first[key]}, then {then.get(key)}" for key in first if first[key] != then.get(key)]:
            yield f"Times were taken on machines that differ: {'; '.join(differing)}."


def failures(scores: pd.DataFrame, speed: pd.DataFrame) -> Iterator[str]:
    """A clause for each change that is worse than allowed."""
    for row in scores[scores["failed"]].itertuples():
        how = "significantly" if row.verdict == "worse" else "not significantly, but by more than the bound"
        change = f"{signed(row.change)} points, {signed(row.low)} to {signed(row.high)} over {row.over}"
        yield f"F1 of {row.model} fell from {row.before:.1f} to {row.after:.1f}, {how} ({change})"
    for row in speed[speed["failed"]].itertuples() if len(speed) else ():
        yield f"relative to {row.other}, {row.model} takes {_times(row)} times as long as it did in {_work(row)}"


def _times(row: Any) -> str:
    return f"{plain(row.change)} ({plain(row.low)} to {plain(row.high)})"


def _work(row: Any) -> str:
    """'offline 32, full size': the work, its batch and length if it has them, and the network."""
    at = " × ".join(f"{value:.0f}" for value in (row.batch_size, row.length) if not pd.isna(value))
    return f"{row.work.replace('_', ' ')} {at}".rstrip() + f", {row.network}"


def _number(name: str, given: str, least: float) -> float:
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not value >= least:
        raise StudyError(f"{name}: '{one_line(given)}' is not a number of at least {least}")
    return value


if __name__ == "__main__":
    exit_cleanly(main)
