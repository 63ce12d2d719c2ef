"""Tables from the records of SqueezeBERT's anomaly: variants, single changes, the waterfall to BERT, operations.

python -m qa_tradeoffs.analysis.anomaly FILE prints them all.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.core.files import ANOMALY, OWN_ANOMALY
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs import results

Records = Sequence[Record]

PUBLISHED, CONTROL, REWRITTEN, BERT = "as published", "as published, again", "rewritten", "BERT"
FAST_MASKS = "fast dropout masks"
# Upper bounds of ratios that the rewriting aims for: (work, variant, over, dropout).
AIMS = {
    ("training_step", REWRITTEN, PUBLISHED, 0.0): 0.6,
    ("training_step", REWRITTEN, PUBLISHED, 0.1): 0.7,
    ("training_step", REWRITTEN, BERT, 0.0): 0.55,
    ("training_step", REWRITTEN, BERT, 0.1): 0.55,
    ("forward", REWRITTEN, PUBLISHED, 0.0): 0.6,
}
_POINT = ["work", "precision", "batch_size", "length", "dropout"]


@dataclass(frozen=True)
class Explanation:
    """Tables of one experiment, at its largest point, first precision and highest dropout.

    ``operators`` and ``forward``: of the training step and of the forward pass; ``steps``: the waterfall of the
    training step; ``variants``: its summary; ``aims`` and ``rounds``: at all points. ``own``: measured on this machine.
    """

    operators: pd.DataFrame
    forward: pd.DataFrame
    steps: pd.DataFrame
    variants: pd.DataFrame
    aims: pd.DataFrame
    rounds: pd.DataFrame
    origin: results.Origin
    own: bool


def explanation(own: Path = OWN_ANOMALY, stored: Path = ANOMALY) -> Explanation:
    """This machine's experiment if there is one, else the committed one."""
    experiment = results.read_experiment(own if own.exists() else stored)
    records = experiment.records
    return Explanation(
        operators=_largest(operators(records), "training_step"),
        forward=_largest(operators(records), "forward"),
        steps=_largest(waterfall(records), "training_step"),
        variants=_largest(summary(records), "training_step"),
        aims=aims(records),
        rounds=rounds(records),
        origin=experiment.origin,
        own=own.exists(),
    )


def summary(records: Records) -> pd.DataFrame:
    """Every variant's seconds and its ratio to the published network; ``low`` and ``high`` bound the ratio.

    ``alone``: whether it differs from the published network in one respect only.
    """
    ratios = _ratios(records).query("over == @PUBLISHED")
    compared = _seconds(records).merge(ratios, how="left", on=[*_POINT, "variant"])
    return compared[[*_POINT, "variant", "alone", "seconds", "ratio", "low", "high"]]


def waterfall(records: Records) -> pd.DataFrame:
    """From the published network to BERT: each step's seconds, and its change from and ratio to the previous step.

    At each point the changes add up to the difference between the last and the first step.
    """
    steps = _seconds(records).dropna(subset="position").sort_values([*_POINT, "position"])
    before = steps.groupby(_POINT)
    steps["change"], steps["over"] = before["seconds"].diff(), before["variant"].shift()
    steps = steps.merge(_ratios(records), how="left", on=[*_POINT, "variant", "over"])
    return steps[[*_POINT, "step", "seconds", "change", "ratio", "low", "high"]]


def aims(records: Records) -> pd.DataFrame:
    """The ratios that the rewriting aims for, their upper bounds, and whether they are reached."""
    ratios = _ratios(records)
    keys = ratios[["work", "variant", "over", "dropout"]].itertuples(index=False, name=None)
    ratios = ratios.assign(**{"at most": list(map(AIMS.get, keys))}).dropna(subset="at most").reset_index(drop=True)
    return ratios.assign(reached=ratios["ratio"] <= ratios["at most"])


def operators(records: Records) -> pd.DataFrame:
    """One row per model, work and class of operation, with its seconds, share and GFLOP.

    ``low`` and ``high`` bound the share.
    """
    table = _table(records, "operator_seconds", "seconds").rename(columns={"operators": "operations"})
    table["share"], table["gflop"] = table["seconds"] / table["unprofiled_seconds"], table["flops"] / 1e9
    table[["low", "high"]] = table[["low", "high"]].div(table["unprofiled_seconds"], axis=0)
    return table[[*_POINT, "model", "operations", "seconds", "share", "low", "high", "gflop"]]


def rounds(records: Records) -> pd.DataFrame:
    """What else the machine did in each round.

    ``taken``: share of CPU time used by other programs and other virtual machines; ``contended``: why the round is
    contended, or ''.
    """
    return _table(records, "round_taken", "taken")[[*_POINT, "round", "taken", "rate", "contended"]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Print the tables of a measurement of SqueezeBERT's anomaly.")
    parser.add_argument("file", type=Path, nargs="?", default=OWN_ANOMALY, help="file written by runs.anomaly")
    experiment = results.read_experiment(parser.parse_args(arguments).file)
    records, device = experiment.records, experiment.origin.device
    n, variants, disturbed = experiment.all("variant_ratio")[0].n, summary(records), rounds(records)
    disturbed = disturbed[disturbed["contended"] != ""]
    print(f"Full size, random weights, {device['name']}, {device['threads']} threads.")
    print(f"Geometric means of {n} rounds; low and high bound the ratio or the share, at 95 %, over rounds.")
    tables = {
        "From SqueezeBERT as published to BERT, step by step (change and ratio: to the step before)": waterfall(
            records
        ),
        "One change at a time (ratio: to the published network)": variants[variants["alone"]].drop(columns="alone"),
        "All variants (ratio: to the published network)": variants,
        "The ratios that the rewriting aims for": aims(records),
        "Where the seconds go, by class of operation": operators(records),
        f"Rounds in which the machine was busy with something else: {len(disturbed) or 'none'}": disturbed,
    }
    for title, table in tables.items():
        print(f"\n{title}")
        if not table.empty:
            print(table.to_string(index=False, float_format="{:.3g}".format, na_rep=""))


def _largest(rows: pd.DataFrame, work: str) -> pd.DataFrame:
    """The rows of this work at its largest point, first precision and highest dropout."""
    rows = rows[rows["work"] == work]
    tokens = rows["batch_size"] * rows["length"]
    rows = rows[(tokens == tokens.max()) & (rows["precision"] == rows["precision"].iloc[0])]
    return rows[rows["dropout"] == rows["dropout"].max()].reset_index(drop=True)


def _ratios(records: Records) -> pd.DataFrame:
    return _table(records, "variant_ratio", "ratio")[[*_POINT, "variant", "over", "ratio", "low", "high"]]


def _seconds(records: Records) -> pd.DataFrame:
    return _table(records, r"variant_\w+_seconds", "seconds").drop(columns=["low", "high"])


def _table(records: Records, metric: str, value: str) -> pd.DataFrame:
    """Records of metrics matching a regular expression: conditions, value and the interval's bounds as columns."""
    return pd.DataFrame(
        [
            {**record.conditions, value: record.value, "low": record.bounds[0], "high": record.bounds[1]}
            for record in records
            if re.fullmatch(metric, record.metric)
        ]
    )


if __name__ == "__main__":
    exit_cleanly(main)
