"""A table as a file that a page carries in itself: the address of a link, no server and no script."""

import base64
import csv
import io
import re
from typing import Any

import pandas as pd

from qa_tradeoffs.core.files import without_machine

# A spreadsheet runs a cell that begins so as a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_NAME = 60  # characters of a file name, without its ending


def content(frame: pd.DataFrame) -> str:
    """The frame as CSV (RFC 4180): numbers in full, nothing for a missing one.

    A text that a spreadsheet would run as a formula gets a leading apostrophe, and stays a text.
    """
    file = io.StringIO(newline="")
    rows = [frame.columns, *frame.itertuples(index=False, name=None)]
    csv.writer(file).writerows([_cell(value) for value in row] for row in rows)
    return file.getvalue()


def address(frame: pd.DataFrame) -> str:
    """The CSV as a ``data:`` address; its byte order mark makes spreadsheets read it as UTF-8."""
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(content(frame).encode('utf-8-sig')).decode()}"


def file_name(caption: str) -> str:
    """'Peak memory of a forward pass' → 'peak-memory-of-a-forward-pass.csv': letters and digits of the caption."""
    words = re.findall(r"[a-z0-9]+", caption.lower())
    name = "-".join(words)[:_LONGEST_NAME].rstrip("-")
    return f"{name or 'table'}.csv"


def _cell(value: Any) -> Any:
    """A text made harmless, nothing for what is missing, anything else as it is."""
    if not isinstance(value, str):
        return "" if pd.api.types.is_scalar(value) and pd.isna(value) else value
    text = without_machine(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?", text) is not None
