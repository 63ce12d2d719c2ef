"""Where the models differ: scores by kind of question, agreement of every two models, and questions to read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.analysis.cases import Case, Split
from qa_tradeoffs.analysis.slices import FEWEST
from qa_tradeoffs.core.words import points, signed
from qa_tradeoffs.report import display
from qa_tradeoffs.report.charts import WIDTH, nothing
from qa_tradeoffs.report.charts import name as name_of

_NONE = "(no answer)"
_ONE_MODEL = "None: there is one model in this report."
_FEWEST_PASSAGES = 30  # below that the spread between passages is known too badly


def f1_by_slice(scores: pd.DataFrame, differences: pd.DataFrame) -> display.Html:
    """F1 of every model by kind of question, and which differences are significant."""
    tested, significant = len(differences), differences["verdict"].isin(["better", "worse"]).sum()
    caption = (
        f"F1 by kind of question: points, 95 % intervals; {significant:,} of {tested:,} differences significant (Holm)"
    )
    return display.table(slice_cells(scores, "f1", differences), caption, data=scores)


def em_by_slice(scores: pd.DataFrame) -> display.Html:
    """EM of every model by kind of question, folded."""
    caption = "EM by kind of question: points, 95 % intervals"
    return display.fold("EM by kind of question", display.table(slice_cells(scores, "exact_match"), caption))


def slice_cells(scores: pd.DataFrame, metric: str, differences: pd.DataFrame | None = None) -> pd.DataFrame:
    """A row per slice, a column per model, and of ``differences`` the significant ones as verdict."""
    bounds = scores[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy()
    cells = scores.assign(cell=["too few" if np.isnan(row[0]) else points(*row) for row in bounds])
    keys = list(dict.fromkeys(zip(scores["slicing"], scores["slice"], scores["n"], strict=True)))
    wide = cells.pivot(index=["slicing", "slice", "n"], columns="model", values="cell").loc[keys]
    table = pd.concat(
        [
            pd.DataFrame(keys, columns=["by", "slice", "questions"]),
            wide[list(dict.fromkeys(scores["model"]))].reset_index(drop=True),
        ],
        axis=1,
    )
    if differences is None or scores["model"].nunique() == 1:
        return table
    verdicts = {key: _verdict(rows) for key, rows in differences.groupby(["slicing", "slice"], sort=False)}
    return table.assign(verdict=[verdicts.get((slicing, name), "too few questions") for slicing, name, _ in keys])


def slice_chart(scores: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """F1 by kind of question as dots with intervals."""
    caption = "F1 by kind of question; in brackets how many there are."
    return display.figure(draw_slices(scores, colours), alt=slice_text(scores), caption=caption)


def slice_text(scores: pd.DataFrame) -> str:
    """The chart of slices in words: of each model its lowest and its highest slice."""
    large = scores.dropna(subset="f1")
    if large.empty:
        return f"Empty chart of F1 by kind of question: no slice has {FEWEST} questions."
    ends = []
    for model, rows in large.groupby("model", sort=False):
        low, high = (rows.loc[row] for row in (rows["f1"].idxmin(), rows["f1"].idxmax()))
        ends.append(
            f"{model} from {low['f1']:.1f} ({low['slicing']}: {low['slice']}) to {high['f1']:.1f} "
            f"({high['slicing']}: {high['slice']})"
        )
    return f"Dot chart of F1 with intervals by kind of question; estimates range, for {'; for '.join(ends)}."


def draw_slices(scores: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """F1 (points) with intervals, a panel per slicing, a row per slice and in it a dot per model.

    Slices with too few questions are named and left empty.
    """
    if scores["f1"].isna().all():
        return nothing(*plt.subplots(figsize=(WIDTH, 2)), f"no slice has {FEWEST} questions")
    slicings = list(dict.fromkeys(scores["slicing"]))
    heights = [scores.loc[scores["slicing"] == slicing, "slice"].nunique() for slicing in slicings]
    row = 0.2 + 0.08 * len(colours)  # inches
    figure, panels = plt.subplots(
        len(slicings), 1, figsize=(WIDTH, 1.2 + 0.3 * len(slicings) + row * sum(heights)), sharex=True,
        height_ratios=[height + 0.4 for height in heights], squeeze=False,
    )  # fmt: skip
    shifts = np.linspace(-0.26, 0.26, len(colours)) if len(colours) > 1 else [0.0]
    for axes, slicing in zip(panels[:, 0], slicings, strict=True):
        chosen = scores[scores["slicing"] == slicing]
        places = {name: i for i, name in enumerate(dict.fromkeys(chosen["slice"]))}
        for (model, colour), shift in zip(colours.items(), shifts, strict=True):
            rows = chosen[chosen["model"] == model]
            y = rows["slice"].map(places) + shift
            error = [rows["f1"] - rows["f1_low"], rows["f1_high"] - rows["f1"]]
            label = name_of(model, colours)
            axes.errorbar(rows["f1"], y, xerr=error, fmt="o", markersize=4, capsize=2, color=colour, label=label)
        for name in chosen.loc[chosen["f1"].isna(), "slice"].unique():
            axes.text(0.01, places[name], "too few", color="0.4", va="center", transform=axes.get_yaxis_transform())
        sizes = chosen.drop_duplicates("slice")["n"]
        labels = [f"{name} ({n:,})" for name, n in zip(places, sizes, strict=True)]
        axes.set_yticks(list(places.values()), labels=labels)
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.set_title(f"by {slicing} (questions)", loc="left", fontsize="medium")
        axes.grid(axis="y", visible=False)
    panels[-1, 0].set_xlabel("F1 (points, 95 % interval over questions)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(colours), frameon=False, fontsize="small")
    return figure


def by_passage(widths: pd.DataFrame) -> display.Html:
    """How wide intervals would be had passages been drawn; none where that is the same or cannot be estimated."""
    questions, passages = widths[["questions", "passages"]].iloc[0]
    if passages == questions:
        return display.paragraphs(["None: every question has a passage of its own."])
    if passages < _FEWEST_PASSAGES:
        return display.paragraphs([f"None: fewer than {_FEWEST_PASSAGES} passages do not show how alike they are."])
    cells = pd.DataFrame(
        {
            "F1 of": [f"{row.model} − {row.other}" if row.other else row.model for row in widths.itertuples()],
            "width over passages": ["–" if pd.isna(width) else f"{width:.2f} times" for width in widths["width"]],
            "verdict": widths["verdict"],
        }
    )
    caption = f"Width of intervals had the {passages:,} passages been drawn instead of the {questions:,} questions"
    return display.table(cells, caption, data=widths)


def agreement_table(table: pd.DataFrame) -> display.Html:
    """How often every two models are right together, and what an ideal choice between them would gain."""
    if table.empty:
        return display.paragraphs([_ONE_MODEL])
    return display.table(agreement_cells(table), "Per cent of the questions, 95 % intervals", data=table)


def agreement_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The agreement as a reader sees it."""
    names = {
        "both": "both right", "first": "only the first", "second": "only the second", "neither": "both wrong",
        "equal": "same answer", "either": "either right",
    }  # fmt: skip
    shares = {
        name: [points(*row) for row in table[[share, f"{share}_low", f"{share}_high"]].to_numpy()]
        for share, name in names.items()
    }
    gains = [signed(row.either - row.better) for row in table.itertuples()]
    return pd.DataFrame({"first": table["model"], "second": table["other"], **shares, "over the better one": gains})


def examples(splits: Sequence[Split]) -> display.Html:
    """For every ordered two models some questions to read, folded."""
    if not splits:
        return display.paragraphs([_ONE_MODEL])
    return display.together(*(display.fold(_title(split), *(_case(split, c) for c in split.cases)) for split in splits))


def _verdict(rows: pd.DataFrame) -> str:
    """'B significantly higher than A: 50.0 (38.1–61.9)' for each significant difference in a slice."""
    significant = []
    for row in rows.itertuples():
        low, high = sorted((abs(row.low), abs(row.high)))
        size = points(abs(row.f1_difference), low, high)
        if row.verdict == "better":
            significant.append(f"{row.model} significantly higher than {row.other}: {size}")
        elif row.verdict == "worse":
            significant.append(f"{row.other} significantly higher than {row.model}: {size}")
    return "; ".join(significant) or "not significant"


def _title(split: Split) -> str:
    number = f"{len(split.cases)} of {split.n:,} questions" if split.n else "no question"
    return f"{split.right} right, {split.wrong} wrong: {number}"


def _case(split: Split, case: Case) -> display.Html:
    references = " | ".join(dict.fromkeys(case.example.answers)) or _NONE
    answers = [
        (kind, f"{label}, {kind}", f"{answer.text or _NONE} ({100 * answer.confidence:.0f} % sure)")
        for kind, label, answer in (("right", split.right, case.right), ("wrong", split.wrong, case.wrong))
    ]
    return display.passage(case.example.question, case.context, [("reference", "Reference", references), *answers])
