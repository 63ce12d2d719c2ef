"""Where the models differ: scores by kind of question, agreement of all pairs of models, and questions to read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from qa_tradeoffs.analysis.cases import Case, Split
from qa_tradeoffs.analysis.slices import FEWEST
from qa_tradeoffs.core.words import counted, listed, points, signed
from qa_tradeoffs.report import charts, display

_NONE = "(no answer)"
_ONE_MODEL = "there is one model in this report"


def f1_by_slice(scores: pd.DataFrame, differences: pd.DataFrame) -> display.Table:
    """F1 of every model by kind of question, and which ``differences`` are significant."""
    cells = _by_slice(scores, "f1")
    if scores["model"].nunique() > 1:
        verdicts = {key: _verdict(rows) for key, rows in differences.groupby(["slicing", "slice"], sort=False)}
        keys = zip(cells["grouped by"], cells["group"], strict=True)
        cells = cells.assign(verdict=[verdicts.get(key, "too few questions") for key in keys])
    tested, significant = len(differences), differences["verdict"].isin(["better", "worse"]).sum()
    over = f", over {listed(list(differences['over'].unique()))}" if tested else ""
    caption = (
        f"F1 by kind of question: points, 95 % intervals; {significant:,} of {tested:,} differences significant "
        f"(Holm){over}"
    )
    return display.table(cells, caption, data=scores)


def em_by_slice(scores: pd.DataFrame) -> display.Html:
    """EM of every model by kind of question, folded."""
    caption = "EM by kind of question: points, 95 % intervals"
    return display.fold("EM by kind of question", display.table(_by_slice(scores, "exact_match"), caption))


def slice_chart(scores: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """F1 (points) with intervals, a panel per slicing, a row per slice and in it a dot per model.

    Slices with too few questions are named and left empty.
    """
    large = scores.dropna(subset="f1")
    if large.empty:
        return display.none(f"no group has {FEWEST} questions")
    slicings = dict(list(scores.groupby("slicing", sort=False)))
    heights = [chosen["slice"].nunique() for chosen in slicings.values()]
    row = 0.2 + 0.08 * len(colours)  # inches
    figure, panels = plt.subplots(
        len(slicings), 1, figsize=(charts.WIDTH, 1.2 + 0.3 * len(slicings) + row * sum(heights)), sharex=True,
        height_ratios=[height + 0.4 for height in heights], squeeze=False,
    )  # fmt: skip
    shifts = np.linspace(-0.26, 0.26, len(colours)) if len(colours) > 1 else [0.0]
    for axes, (slicing, chosen) in zip(panels[:, 0], slicings.items(), strict=True):
        names = list(chosen["slice"].unique())
        for (model, colour), shift in zip(colours.items(), shifts, strict=True):
            rows = chosen[chosen["model"] == model]
            axes.errorbar(
                rows["f1"], rows["slice"].map(names.index) + shift, xerr=charts.errors(rows, "f1"), fmt="o",
                markersize=4, capsize=2, color=colour, label=charts.name(model, colours),
            )  # fmt: skip
        for name in chosen.loc[chosen["f1"].isna(), "slice"].unique():
            axes.text(
                0.01, names.index(name), "too few", color="0.4", va="center", transform=axes.get_yaxis_transform()
            )
        sizes = chosen.drop_duplicates("slice")["n"]
        axes.set_yticks(range(len(names)), labels=map("{} ({:,})".format, names, sizes))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_title(f"by {slicing} (questions)", loc="left", fontsize="medium")
        axes.grid(axis="y", visible=False)
    panels[-1, 0].set_xlabel("F1 (points, 95 % interval)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(colours), frameon=False, fontsize="small")
    ends = []
    for model, rows in large.groupby("model", sort=False):
        lowest, *_, highest = [
            f"{row.f1:.1f} ({row.slicing}: {row.slice})" for row in rows.sort_values("f1").itertuples()
        ]
        ends.append(f"{model} from {lowest} to {highest}")
    what = "Dot chart of F1 with intervals by kind of question; range of the estimates"
    return display.figure(figure, what, ends, "F1 by kind of question. The number of questions is in brackets.")


def agreement_table(table: pd.DataFrame) -> display.Html:
    """How often both models of each pair are right, and what an ideal choice between them would gain."""
    if table.empty:
        return display.none(_ONE_MODEL)
    shares = {
        "both": "both right", "first": "only the first", "second": "only the second", "neither": "both wrong",
        "equal": "same answer", "either": "either right",
    }  # fmt: skip
    columns = {
        "first": table["model"],
        "second": table["other"],
        **{name: display.with_interval(table, share) for share, name in shares.items()},
        "gain over the better one": (table["either"] - table["better"]).map(signed),
    }
    return display.table(columns, "Per cent of the questions, with 95 % intervals", data=table)


def examples(splits: Sequence[Split]) -> display.Html:
    """Some questions to read for every ordered pair of models, folded."""
    if not splits:
        return display.none(_ONE_MODEL)
    folds = []
    for split in splits:
        number = f"{counted(split.n, 'question')}, {len(split.cases)} of them shown" if split.n else "no question"
        title = f"{split.right} right, {split.wrong} wrong: {number}"
        folds.append(display.fold(title, *(_case(split, case) for case in split.cases)))
    return display.of_data(*folds)


def _by_slice(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row per slice, a column per model."""
    cells = pd.Series(display.with_interval(scores, metric)).where(scores[metric].notna(), "too few")
    wide = display.column_per_model(scores, ["slicing", "slice", "n"], cells)
    return wide.rename(columns={"slicing": "grouped by", "slice": "group", "n": "questions"})


def _verdict(rows: pd.DataFrame) -> str:
    """'B significantly higher than A: 50.0 (38.1–61.9)' for each significant difference in a slice."""
    significant = []
    for row in rows[rows["verdict"].isin(["better", "worse"])].itertuples():
        higher, lower = (row.model, row.other) if row.verdict == "better" else (row.other, row.model)
        bounds = sorted((abs(row.low), abs(row.high)))
        significant.append(f"{higher} significantly higher than {lower}: {points(abs(row.f1_difference), *bounds)}")
    return "; ".join(significant) or "not significant"


def _case(split: Split, case: Case) -> display.Html:
    references = " | ".join(dict.fromkeys(case.example.answers)) or _NONE
    answers = [
        (kind, f"{label}, {kind}", f"{answer.text or _NONE} ({100 * answer.confidence:.0f} % confidence)")
        for kind, label, answer in (("right", split.right, case.right), ("wrong", split.wrong, case.wrong))
    ]
    return display.passage(case.example.question, case.context, [("reference", "Reference", references), *answers])
