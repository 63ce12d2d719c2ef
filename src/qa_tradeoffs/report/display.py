"""What a notebook displays: tables and figures as plain HTML, every text escaped, every picture described.

A table carries itself as a CSV file in a ``data:`` link, so that saving it needs neither a server nor a script.
"""

import base64
import csv
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from qa_tradeoffs.core.files import without_machine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_UNBROKEN = 40  # characters of a cell that stay on one line
_LONGEST_FILE_NAME = 60  # characters, without the ending
# A spreadsheet runs a cell that begins so as a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?")
# The metadata of an output whose markup was made here. The report has no other markup.
MADE_HERE = {"made_by": __name__}


@dataclass(frozen=True)
class Html:
    """Markup that a notebook displays as it is; only this module makes it, from escaped texts."""

    markup: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """The output that a notebook stores, and that it was made here."""
        return {"text/html": self.markup, "text/plain": "displayed as HTML"}, {"text/html": MADE_HERE}


def table(frame: pd.DataFrame, caption: str, data: pd.DataFrame | None = None) -> Html:
    """The frame as a table with header cells, numbers on the right; 'none' for no rows.

    The link below it saves ``data``, the unrounded numbers behind the frame, where given, else the frame.
    """
    if frame.empty:
        return paragraphs([f"{caption}: none."])
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    head = "".join(
        f'<th scope="col"{_class("number" if n else "")}>{_text(column)}</th>'
        for column, n in zip(frame.columns, numeric, strict=True)
    )
    body = "".join(_row(values, numeric) for values in frame.itertuples(index=False, name=None))
    return _table(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", caption, frame if data is None else data)


def facts(pairs: Mapping[str, Any], caption: str) -> Html:
    """Names and values as a table of two columns."""
    rows = "".join(f'<tr><th scope="row">{_text(k)}</th><td>{_text(v)}</td></tr>' for k, v in pairs.items())
    data = pd.DataFrame({"name": pairs.keys(), "value": pairs.values()}, dtype=object)
    return _table(f"<tbody>{rows}</tbody>", caption, data)


def text(content: str, caption: str) -> Html:
    """A file's text as it is, under its caption."""
    inner = f'<pre class="scroll" {_region(caption)}>{_text(content)}</pre>'
    return Html(f"<figure><figcaption>{_text(caption)}</figcaption>{inner}</figure>")


def figure(drawn: "Figure", *, alt: str, caption: str) -> Html:
    """The figure as an embedded vector picture with a text that says what it shows; it is closed afterwards."""
    data = base64.b64encode(svg(drawn)).decode()
    picture = f'<img src="data:image/svg+xml;base64,{data}" alt="{_text(alt)}">'
    return Html(f"<figure>{_scrolled(picture, caption)}<figcaption>{_text(caption)}</figcaption></figure>")


def svg(drawn: "Figure") -> bytes:
    """The figure as a vector picture without a date, so that equal figures are equal files; closed afterwards."""
    from matplotlib import pyplot

    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(drawn)
    return buffer.getvalue()


def paragraphs(sentences: Sequence[str], kind: str = "") -> Html:
    """Each sentence a paragraph, nothing for none; ``kind`` is a style class such as 'notice'."""
    inner = "".join(f"<p>{_text(sentence)}</p>" for sentence in sentences)
    return Html(f"<div{_class(kind)}>{inner}</div>" if kind and inner else inner)


def links(targets: Mapping[str, Sequence[tuple[str, str]]]) -> Html:
    """A list: each name, then its links, given as (text, address of a page beside this one)."""
    items = []
    for name, pages in targets.items():
        anchors = ", ".join(f'<a href="{_text(address)}">{_text(label)}</a>' for label, address in pages)
        items.append(f"<li>{_text(name)}: {anchors}</li>")
    return Html(f"<ul>{''.join(items)}</ul>")


def together(*parts: Html) -> Html:
    """The parts one below the other, as one output."""
    return Html("".join(part.markup for part in parts))


def fold(title: str, *parts: Html) -> Html:
    """The parts one below the other, behind a line that opens and closes them; works without a script."""
    return Html(f"<details><summary>{_text(title)}</summary>{together(*parts).markup}</details>")


def passage(
    question: str, pieces: Iterable[tuple[str, Sequence[str]]], answers: Iterable[tuple[str, str, str]]
) -> Html:
    """A question, a text with marks, and named answers, each in the direction of its own script.

    ``pieces`` are texts with the style classes of the marks that they are in, ``answers`` (class of the name's mark,
    name, answer).
    """
    context = "".join(_mark(*piece) for piece in pieces)
    rows = "".join(
        f'<dt>{_mark(name, [kind])}</dt><dd dir="auto">{_text(answer)}</dd>' for kind, name, answer in answers
    )
    return Html(
        f'<div class="case"><p class="question" dir="auto">{_text(question)}</p>'
        f'<p class="passage" dir="auto">{context}</p><dl>{rows}</dl></div>'
    )


def to_csv(frame: pd.DataFrame) -> str:
    """The frame as CSV (RFC 4180): numbers in full, nothing for a missing one.

    A text that a spreadsheet would run as a formula gets a leading apostrophe, and stays a text.
    """
    file = io.StringIO(newline="")
    rows = [frame.columns, *frame.itertuples(index=False, name=None)]
    csv.writer(file).writerows([_csv_cell(value) for value in row] for row in rows)
    return file.getvalue()


def _table(rows: str, caption: str, data: pd.DataFrame) -> Html:
    """A table with its caption, in a span so that it can be narrower than a table that is scrolled, and its link."""
    inner = f"<table><caption><span>{_text(caption)}</span></caption>{rows}</table>"
    return Html(_scrolled(inner, caption) + _csv_link(data, caption))


def _row(values: tuple[Any, ...], numeric: Sequence[bool]) -> str:
    """A row of a table; its first cell names it."""
    cells = []
    for i, (value, number) in enumerate(zip(values, numeric, strict=True)):
        content = _text(value)
        style = "number" if number else "prose" if len(content) > _LONGEST_UNBROKEN else ""
        tag, scope = ("td", "") if i else ("th", ' scope="row"')
        cells.append(f"<{tag}{scope}{_class(style)}>{content}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"


def _csv_link(frame: pd.DataFrame, caption: str) -> str:
    """The link that saves a table, named after its caption; the byte order mark makes spreadsheets read it as UTF-8."""
    name = "-".join(re.findall(r"[a-z0-9]+", caption.lower()))[:_LONGEST_FILE_NAME].rstrip("-") or "table"
    content = base64.b64encode(to_csv(frame).encode("utf-8-sig")).decode()
    return (
        f'<p class="csv"><a download="{name}.csv" href="data:text/csv;charset=utf-8;base64,{content}" '
        f'aria-label="Download CSV: {_text(caption)}">Download CSV</a></p>'
    )


def _csv_cell(value: Any) -> Any:
    """A text made harmless, nothing for what is missing, anything else as it is."""
    if not isinstance(value, str):
        return "" if pd.api.types.is_scalar(value) and pd.isna(value) else value
    content = without_machine(value)
    return f"'{content}" if content.startswith(_FORMULA) and not _NUMBER.fullmatch(content) else content


def _scrolled(inner: str, name: str) -> str:
    """What may be wider than a page, in a box that is scrolled, with the keyboard too."""
    return f'<div class="scroll" {_region(name)}>{inner}</div>'


def _region(name: str) -> str:
    return f'role="region" tabindex="0" aria-label="{_text(name)}"'


def _mark(content: str, kinds: Sequence[str]) -> str:
    return f"<mark{_class(' '.join(kinds))}>{_text(content)}</mark>" if kinds else _text(content)


def _class(name: str) -> str:
    return f' class="{_text(name)}"' if name else ""


def _text(value: Any) -> str:
    """Any value as escaped text; nothing that came from a data set is ever markup."""
    content = f"{value:.4g}" if isinstance(value, float) else str(value)
    return html.escape(without_machine(content), quote=True)
