"""What a notebook shows: tables and figures as plain HTML, every text escaped, every picture described."""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from qa_tradeoffs.core.files import without_machine
from qa_tradeoffs.report import download

_LONGEST_UNBROKEN = 40  # characters of a cell that stay on one line

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# What an output's metadata say of markup that was made here. The report shows no other markup.
MADE_HERE = {"made_by": __name__}


@dataclass(frozen=True)
class Html:
    """Markup that a notebook displays as it is; only this module makes it, from escaped texts."""

    markup: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """What a notebook keeps of it, and that it was made here."""
        return {"text/html": self.markup, "text/plain": "shown as HTML"}, {"text/html": MADE_HERE}


def table(frame: pd.DataFrame, caption: str, data: pd.DataFrame | None = None) -> Html:
    """The frame as a table with a caption and header cells; texts escaped, numbers on the right. 'none' for no rows.

    Below it a link saves it as CSV: ``data``, the unrounded numbers behind the frame, where given, else what is shown.
    """
    if frame.empty:
        return paragraphs([f"{caption}: none."])
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    head = "".join(
        f'<th scope="col"{_right(n)}>{_text(column)}</th>' for column, n in zip(frame.columns, numeric, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, numeric)}</tr>" for row in frame.itertuples(index=False, name=None))
    inner = f"<table>{_caption(caption)}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return Html(_region(caption, inner) + _csv(frame if data is None else data, caption))


def facts(pairs: Mapping[str, Any], caption: str) -> Html:
    """Names and values, two columns."""
    rows = "".join(f'<tr><th scope="row">{_text(k)}</th><td>{_text(v)}</td></tr>' for k, v in pairs.items())
    frame = pd.DataFrame({"name": pairs.keys(), "value": pairs.values()}, dtype=object)
    return Html(_region(caption, f"<table>{_caption(caption)}<tbody>{rows}</tbody></table>") + _csv(frame, caption))


def text(content: str, caption: str) -> Html:
    """A file's text as it is, under its caption."""
    inner = f'<pre class="scroll" {_named_region(caption)}>{_text(content)}</pre>'
    return Html(f"<figure><figcaption>{_text(caption)}</figcaption>{inner}</figure>")


def figure(drawn: "Figure", *, alt: str, caption: str) -> Html:
    """The figure as an embedded vector picture with a text that says what it shows, closed afterwards."""
    data = base64.b64encode(svg(drawn)).decode()
    inner = f'<img src="data:image/svg+xml;base64,{data}" alt="{_text(alt)}">'
    return Html(f"<figure>{_region(caption, inner)}<figcaption>{_text(caption)}</figcaption></figure>")


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
    return Html(f'<div class="{_text(kind)}">{inner}</div>' if kind and inner else inner)


def sections(parts: Sequence[tuple[str, Mapping[str, str]]]) -> Html:
    """Each part a heading of the third level and, below it, named sentences."""

    def section(title: str, sentences: Mapping[str, str]) -> str:
        rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(sentence)}</dd>" for name, sentence in sentences.items())
        return f"<h3>{_text(title)}</h3><dl>{rows}</dl>"

    return Html("".join(section(*part) for part in parts))


def together(*parts: Html) -> Html:
    """The parts one below the other, as one output."""
    return Html("".join(part.markup for part in parts))


def links(targets: Mapping[str, Sequence[tuple[str, str]]]) -> Html:
    """A list: each name, then its links, given as (text, address of a page beside this one)."""

    def item(name: str, pages: Sequence[tuple[str, str]]) -> str:
        anchors = (f'<a href="{_text(address)}">{_text(text)}</a>' for text, address in pages)
        return f"<li>{_text(name)}: {', '.join(anchors)}</li>"

    return Html(f"<ul>{''.join(item(*row) for row in targets.items())}</ul>")


def fold(title: str, *parts: Html) -> Html:
    """The parts one below the other, behind a line that opens and closes them; works without a script."""
    return Html(f"<details><summary>{_text(title)}</summary>{''.join(part.markup for part in parts)}</details>")


def passage(
    question: str, pieces: Iterable[tuple[str, Sequence[str]]], answers: Iterable[tuple[str, str, str]]
) -> Html:
    """A question, a text with marks, and named answers.

    ``pieces`` are texts with the style classes of the marks that they are in, ``answers`` (class of the name's mark,
    name, answer). Every text may be in a script of its own direction and is kept apart from the others.
    """
    context = "".join(_mark(*piece) for piece in pieces)
    rows = "".join(
        f'<dt>{_mark(name, [kind])}</dt><dd dir="auto">{_text(answer)}</dd>' for kind, name, answer in answers
    )
    return Html(
        f'<div class="case"><p class="question" dir="auto">{_text(question)}</p>'
        f'<p class="passage" dir="auto">{context}</p><dl>{rows}</dl></div>'
    )


def _region(name: str, inner: str) -> str:
    """What may be wider than a page, in a box that is scrolled, with the keyboard too."""
    return f'<div class="scroll" {_named_region(name)}>{inner}</div>'


def _named_region(name: str) -> str:
    return f'role="region" tabindex="0" aria-label="{_text(name)}"'


def _csv(frame: pd.DataFrame, caption: str) -> str:
    """The link that saves a table; a screen reader says which."""
    return (
        f'<p class="csv"><a download="{download.file_name(caption)}" href="{download.address(frame)}" '
        f'aria-label="Download CSV: {_text(caption)}">Download CSV</a></p>'
    )


def _caption(text: str) -> str:
    """The caption, in an element of its own so that it can be narrower than a table that is scrolled."""
    return f"<caption><span>{_text(text)}</span></caption>"


def _cells(row: tuple[Any, ...], numeric: Sequence[bool]) -> str:
    """The first cell names the row."""
    tags = ["th", *["td"] * (len(row) - 1)]
    return "".join(_cell(*cell) for cell in zip(tags, row, numeric, strict=True))


def _cell(tag: str, value: Any, number: bool) -> str:
    scope = ' scope="row"' if tag == "th" else ""
    shown = _text(value)
    style = ' class="prose"' if not number and len(shown) > _LONGEST_UNBROKEN else _right(number)
    return f"<{tag}{scope}{style}>{shown}</{tag}>"


def _mark(text: str, kinds: Sequence[str]) -> str:
    return f'<mark class="{_text(" ".join(kinds))}">{_text(text)}</mark>' if kinds else _text(text)


def _right(number: bool) -> str:
    return ' class="number"' if number else ""


def _text(value: Any) -> str:
    """Any value as escaped text; nothing that came from a data set is ever markup."""
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return html.escape(without_machine(shown), quote=True)
