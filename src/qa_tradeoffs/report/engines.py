"""The effect of each engine on each model, as a table."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from qa_tradeoffs.core.words import plain, signed, size
from qa_tradeoffs.report import display


def table(served: pd.DataFrame, keeps: float, device: Mapping[str, Any]) -> display.Html:
    """Each model in each engine, against itself in torch.

    ``keeps``: the required share of the F1. ``device``: the machine, with the instruction sets on which ratios
    depend.
    """
    if served.empty:
        return display.none("the only engine of this study is torch")
    columns = {
        "model": served["model"],
        "engine": served["engine"],
        "EM": _cells(served, "exact_match", lambda row: f"{row.exact_match:.1f}"),
        "F1": _cells(served, "f1", lambda row: f"{row.f1:.1f}"),
        "F1 minus torch's": _cells(served, "f1_difference", _gap),
        "answers changed": _cells(served, "differing", lambda row: f"{row.differing:,.0f} of {row.answers:,.0f}"),
        f"keeps at least {100 * keeps:g} %": _cells(served, "kept", lambda row: row.kept),
        "one question, times as fast": _cells(served, "times", lambda row: _times(row, "times")),
        "at full size, times as fast": _cells(served, "full_size_times", lambda row: _times(row, "full_size_times")),
        "on disk": _cells(served, "bytes", lambda row: size(row.bytes)),
        # Memory is measured of full-size networks, which are not the study's own where those have twins.
        "memory at full size" if "full_size_times" in served else "memory": _cells(
            served, "memory", lambda row: size(row.memory)
        ),
        "not used": served["reason"],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    caption = (
        f"Each model in each engine, compared with itself in torch, on {device['name']} ({device['software']}); 95 % "
        "intervals of F1 over questions and, with several seeds, training runs; of times over passes"
    )
    return display.table(shown, caption, data=served)


def _cells(served: pd.DataFrame, column: str, words: Callable[[Any], str]) -> list[str]:
    """Each row's figure in words; '' if it has none."""
    if column not in served:
        return [""] * len(served)
    return ["" if pd.isna(getattr(row, column)) else words(row) for row in served.itertuples()]


def _gap(row: Any) -> str:
    """'-0.5 (-1.0 to 0.0)'."""
    return f"{signed(row.f1_difference)} ({signed(row.low)} to {signed(row.high)})"


def _times(row: Any, column: str) -> str:
    """'2.10 (2.00 to 2.20)', or 'not significant'."""
    value, low, high, pace = (getattr(row, f"{column}{end}") for end in ("", "_low", "_high", "_pace"))
    return pace if pace == "not significant" else f"{plain(value)} ({plain(low)} to {plain(high)})"
