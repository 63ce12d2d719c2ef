"""What a notebook displays: tables and figures as plain HTML, every text escaped, every picture described.

A table carries itself as a CSV file in a ``data:`` link, so that saving it needs neither a server nor a script.
"""

import base64
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from qa_tradeoffs.core.files import without_machine
from qa_tradeoffs.core.words import counted, points, seconds, signed
from qa_tradeoffs.metrics.estimates import Clusters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST_FILE_NAME = 60  # characters, without the ending
# A spreadsheet runs a cell with such a beginning as a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?")
# The metadata of an output whose markup was made here. The report has no other markup.
MADE_HERE = {"made_by": __name__}
# The class of elements with text of the data set, and the sentence in their place if it may not be published.
OF_DATA = "of-data"
LEFT_OUT = (
    "Left out: questions, contexts and answers of the data set. To publish them, say publish_texts: true in the study "
    "file."
)


def _plain(value: Any) -> Any:
    """A value as text to be escaped; markup that was made here stays as it is."""
    if isinstance(value, Markup):
        return value
    return without_machine(f"{value:.4g}" if isinstance(value, float) else str(value))


TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, finalize=_plain
)
_PARTS = TEMPLATES.get_template("parts.html").module


def _filled(part: str, *values: Any) -> str:
    """The template's macro ``part`` with these values."""
    return str(getattr(_PARTS, part)(*values))


@dataclass(frozen=True)
class Html:
    """Markup that a notebook displays as it is; only this module makes it, from escaped texts."""

    markup: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """The output that a notebook stores, with metadata that it was made here."""
        return {"text/html": self.markup, "text/plain": "displayed as HTML"}, {"text/html": MADE_HERE}


@dataclass(frozen=True)
class Table(Html):
    """A displayed table, with its cells as a reader sees them."""

    cells: pd.DataFrame = field(compare=False, repr=False)


@dataclass(frozen=True)
class Picture(Html):
    """A displayed figure and its parts; ``alt`` says what it shows."""

    figure: "Figure" = field(compare=False, repr=False)
    svg: bytes = field(repr=False)
    alt: str
    caption: str


def table(columns: Mapping[str, Any] | pd.DataFrame, caption: str, data: pd.DataFrame | None = None) -> Table:
    """The columns as a table with header cells, numbers on the right; 'none' for no rows.

    The link below it saves ``data``, the unrounded numbers behind the cells, or the cells if there is no ``data``.
    """
    cells = pd.DataFrame(columns)
    if cells.empty:
        return Table(paragraphs([f"{caption}: none."]).markup, cells)
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in cells.dtypes]
    rows, saved = cells.itertuples(index=False, name=None), _saved(cells if data is None else data, caption)
    return Table(_filled("table", cells.columns, rows, numeric, caption, *saved), cells)


def facts(pairs: Mapping[str, Any], caption: str) -> Table:
    """Names and values as a table of two columns."""
    data = pd.DataFrame({"name": pairs.keys(), "value": pairs.values()}, dtype=object)
    return Table(_filled("facts", pairs.items(), caption, *_saved(data, caption)), data)


def text(content: str, caption: str) -> Html:
    """A file's text as it is, under its caption."""
    return Html(_filled("text", content, caption))


def figure(drawn: "Figure", what: str, values: Iterable[str], caption: str, points: Sequence["Point"] = ()) -> Picture:
    """The figure as an embedded vector picture, described by ``what`` it shows and its ``values``; it is then closed.

    Each of the ``points`` shows its own figures under the mouse.
    """
    from matplotlib import pyplot

    buffer = io.BytesIO()
    # Without a date, so that equal figures are equal files.
    drawn.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    places = _places(drawn, points)
    pyplot.close(drawn)
    svg, alt = buffer.getvalue(), f"{what}: {'; '.join(values)}."
    encoded = Markup(base64.b64encode(svg).decode())
    return Picture(_filled("figure", encoded, alt, caption, places, drawn.get_figwidth()), drawn, svg, alt, caption)


@dataclass(frozen=True)
class Point:
    """A point of a chart, in the units of its axes, and its figures in words."""

    axes: "Axes"
    x: float
    y: float
    figures: str


def _places(drawn: "Figure", points: Sequence[Point]) -> list[tuple[str, str, str]]:
    """The place of each point in the saved picture, in per cent from the left and from the top, with its figures."""
    from matplotlib import rcParams

    if not points:
        return []
    drawn.draw_without_rendering()
    box = drawn.get_tightbbox().padded(rcParams["savefig.pad_inches"])  # the saved part of the figure, in inches
    found = []
    for point in points:
        x, y = point.axes.transData.transform((point.x, point.y)) / drawn.dpi
        left, top = 100 * (x - box.x0) / box.width, 100 * (1 - (y - box.y0) / box.height)
        found.append((f"{left:.1f}", f"{top:.1f}", point.figures))
    return found


def paragraphs(sentences: Sequence[str], kind: str = "") -> Html:
    """A paragraph for each sentence, with code in backticks; ``kind``: a style class such as 'notice'."""
    return Html(_filled("paragraphs", [_with_code(sentence) for sentence in sentences], kind))


def _with_code(sentence: str) -> Markup:
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(_plain(sentence)))))


def none(why: str) -> Html:
    """The reason why there is no table or chart, in its place."""
    return paragraphs([f"None: {why}."])


def links(targets: Mapping[str, Sequence[tuple[str, str]]]) -> Html:
    """A list: each name, then its links, given as (text, address of a page beside this one)."""
    return Html(_filled("links", targets.items()))


def together(*parts: Html) -> Html:
    """The parts one below the other, as one output."""
    return Html("".join(part.markup for part in parts))


def fold(title: str, *parts: Html) -> Html:
    """The parts one below the other, behind a line that opens and closes them; works without a script."""
    return Html(_filled("fold", title, Markup(together(*parts).markup)))


def of_data(*parts: Html) -> Html:
    """The parts, marked as text of the data set: published only if the study allows it. ``passage`` marks its own."""
    return Html(_filled("of_data", Markup(together(*parts).markup)))


def passage(
    question: str, pieces: Iterable[tuple[str, Sequence[str]]], answers: Iterable[tuple[str, str, str]]
) -> Html:
    """A question, a text in pieces (text, classes of its marks), and answers (class of the name's mark, name, answer).

    Each is in the direction of its own script.
    """
    return Html(_filled("passage", question, pieces, answers))


def with_interval(rows: pd.DataFrame, column: str) -> list[str]:
    """'81.2 (80.4–82.0)' of each row: points in ``column``, their interval in ``column_low`` and ``column_high``."""
    return [points(*row) for row in rows[[column, f"{column}_low", f"{column}_high"]].to_numpy(dtype=float)]


def questions(clusters: Clusters) -> str:
    """'600 questions about 150 passages': how many there are, and how many articles or passages they are about."""
    number = counted(len(clusters.codes), "question")
    return number if clusters.unit == "questions" else f"{number} about {len(clusters.sizes):,} {clusters.unit}"


def covered(sample: str, seeds: "pd.Series[int]") -> str:
    """What intervals of scores are over: a ``sample`` of questions and, with several ``seeds``, training runs."""
    if seeds.max() == 1:
        return sample
    return f"{sample} and{', for models with several seeds,' if seeds.min() == 1 else ''} training runs"


def timed(rows: pd.DataFrame) -> list[str]:
    """'1.4 ms' of each row: seconds of a ``question``, marked if passes were ``contended``."""
    return [f"{seconds(r.question)}{' (contended)' if r.contended else ''}" for r in rows.itertuples()]


def signed_interval(values: Iterable[float], low: Iterable[float], high: Iterable[float]) -> list[str]:
    """'+2.1 (-0.4 to +4.6)' of each row: points of a difference with their interval."""
    return [f"{signed(v)} ({signed(a)} to {signed(b)})" for v, a, b in zip(values, low, high, strict=True)]


def column_per_model(rows: pd.DataFrame, index: list[str], cells: Iterable[str]) -> pd.DataFrame:
    """The ``cells``, one per row of ``rows``, with a row for each ``index`` and a column per model, in their order."""
    wide = rows.assign(cell=list(cells))
    wide = wide.pivot_table(index=index, columns="model", values="cell", aggfunc="first", sort=False)
    wide = wide[list(rows["model"].unique())].reset_index()
    return wide.rename(columns={"batch_size": "batch", "length": "tokens per row"})


def span(values: Sequence[float], digits: int) -> str:
    """'2.9 to 3.1', or one figure if both ends read the same."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def known(values: Iterable[Any], words: Callable[[Any], str], missing: str) -> list[str]:
    """Each value in words; ``missing`` for an unknown one."""
    return [missing if pd.isna(value) else words(value) for value in values]


def to_csv(frame: pd.DataFrame) -> str:
    """The frame as CSV (RFC 4180): numbers in full, empty cells for missing ones.

    A text that a spreadsheet would run as a formula gets a leading apostrophe, and stays a text.
    """
    rows = [[_harmless(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    harmless = pd.DataFrame(rows, columns=map(_harmless, frame.columns), dtype=object)
    return str(harmless.to_csv(index=False, lineterminator="\r\n"))


def _saved(frame: pd.DataFrame, caption: str) -> tuple[str, Markup]:
    """A table's file, named after its caption; the byte order mark makes spreadsheets read it as UTF-8."""
    name = "-".join(re.findall(r"[a-z0-9]+", caption.lower()))[:_LONGEST_FILE_NAME].rstrip("-") or "table"
    return f"{name}.csv", Markup(base64.b64encode(to_csv(frame).encode("utf-8-sig")).decode())


def _harmless(value: Any) -> Any:
    """A text without names of this machine that no spreadsheet runs; any other value stays as it is."""
    if not isinstance(value, str):
        return value
    content = without_machine(value)
    return f"'{content}" if content.startswith(_FORMULA) and not _NUMBER.fullmatch(content) else content
