"""What notebook 4 shows: each model's time relative to the first model's, in every kind of work."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qa_tradeoffs.metrics import timing
from qa_tradeoffs.metrics.passes import SideBySide
from qa_tradeoffs.profiling import outcomes
from qa_tradeoffs.profiling.side_by_side import Measured
from qa_tradeoffs.report import charts, display
from qa_tradeoffs.study import engines
from qa_tradeoffs.study.config import Study

_APART = 0.25  # engines of one model, in rows
_LOGARITHMIC = 3  # highest ratio over the lowest, from which the axis is logarithmic


def ratios(measured: Sequence[Measured], network: str, study: Study) -> display.Html:
    """A forest plot of each model's time over the first model's in torch, with 95 % intervals over passes.

    A panel per work on networks of this kind, a row per model, a marker per engine.
    """
    works = [one for one in map(outcomes.side_by_side, measured) if one.network == network and len(one.models) > 1]
    if not works:
        return display.none("fewer than two models were timed here")
    tables = [_over_the_first(one, study) for one in works]
    found = pd.concat(tables)
    colours = charts.palette(found.drop_duplicates("slug"))
    models, names = list(found["of"].unique()), list(found["engine"].unique())
    row = 0.22 + 0.1 * len(names)  # inches
    figure, panels = charts.subplots(0.6 + (row * len(models) + 0.55) * len(works), rows=len(works), sharex=True)
    for axes, one, table in zip(np.atleast_1d(panels), works, tables, strict=True):
        axes.axvline(1, color="0.4", linewidth=1)
        below = table.groupby("of").cumcount() - (table.groupby("of")["of"].transform("size") - 1) / 2
        for (_, at), shift in zip(table.iterrows(), _APART * below, strict=True):
            axes.errorbar(
                at["ratio"], models.index(at["of"]) + shift, xerr=charts.errors(at, "ratio")[:, None],
                fmt=charts.MARKERS[at["engine"]], color=colours[at["model"]], markersize=5, capsize=2,
            )  # fmt: skip
        axes.set_yticks(range(len(models)), labels=[charts.name(model, colours) for model in models])
        axes.set(title=_work(one), ylim=(len(models) - 0.5, -0.5))
        axes.grid(axis="y", visible=False)
    low, high = found["ratio_low"].min(), found["ratio_high"].max()
    if high > _LOGARITHMIC * low:
        charts.logarithmic(figure.axes[0], "x", low, high)
    figure.axes[-1].set_xlabel(f"time relative to {charts.name(found['model'].iloc[0], colours)} (95 % interval)")
    if len(names) > 1:
        charts.engine_legend(figure, names)
    named = [
        f"{_work(one)}, {at.model} {at.ratio:.2f} ({at.ratio_low:.2f} to {at.ratio_high:.2f})"
        for one, table in zip(works, tables, strict=True)
        for at in table.iloc[1:].itertuples()
    ]
    caption = (
        "Times relative to the first model's. Left of the line: faster. An interval across the line: not significant."
    )
    return display.figure(figure, "Forest plot of ratios of times", named, caption)


def _over_the_first(one: SideBySide, study: Study) -> pd.DataFrame:
    """A row per model and engine, without controls: its time over the first model's, 1 for the first itself."""
    first, *_ = one.models
    rows = []
    for point in one.models:
        if (name := engines.engine(point)) not in engines.LABELS:  # a control with eager attention
            continue
        label = study.models[engines.model(point)].label
        value, low, high = (1.0,) * 3 if point == first else timing.ratio(one.seconds(point), one.seconds(first))[:3]
        whole = label if name == engines.REFERENCE else f"{label} ({engines.LABELS[name]})"
        rows.append(
            {"slug": point, "model": whole, "of": label, "engine": name, "ratio": value, "ratio_low": low,
             "ratio_high": high}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _work(one: SideBySide) -> str:
    """'single stream', 'forward, 1 × 128'."""
    size = " × ".join(str(one.conditions[key]) for key in ("batch_size", "length") if key in one.conditions)
    return one.work.replace("_", " ") + (f", {size}" if size else "")
