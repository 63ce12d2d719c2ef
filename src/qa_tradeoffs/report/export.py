"""A notebook's cells as HTML that loads nothing: prose cleaned, only markup that was made here, no machine named."""

import re
from typing import Any, Literal

import bleach
import jinja2
import nbformat
from bs4 import BeautifulSoup, Tag
from nbconvert import HTMLExporter
from traitlets.config import Config

from qa_tradeoffs.core.files import without_machine
from qa_tradeoffs.report.display import LEFT_OUT, MADE_HERE, OF_DATA

Code = Literal["hidden", "folded", "shown"]

# The kinds of output that a page shows, best first; none needs a script. HTML is shown only if display.py made it.
_KINDS = ["text/html", "image/png", "image/jpeg", "text/plain"]
# The markup allowed in prose. Pictures must be embedded in the cell, and links must lead to a page.
_PROSE = set("h1 h2 h3 h4 p em strong del code pre blockquote ul ol li a br hr table thead tbody tr th td img div span"
             .split())  # fmt: skip
_ADDRESS = {
    ("a", "href"): re.compile(r"https?://\S+|[\w./-]*(?:#\S*)?"),
    ("img", "src"): re.compile(r"data:image/(?:png|jpeg|gif);base64,[\w+/=\s]*"),
}


def body(notebook: nbformat.NotebookNode, code: Code, *, texts: bool = True) -> BeautifulSoup:
    """The part of the notebook that a page shows; without ``texts``, nothing that may hold text of the data set."""
    exporter: Any = _Exporter(
        template_name="basic",
        exclude_input=code == "hidden",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        exclude_raw=True,
        config=Config({"NbConvertBase": {"display_data_priority": _KINDS}}),
    )
    made, _ = exporter.from_notebook_node(_stripped(notebook, texts=texts))
    soup = BeautifulSoup(made, "html.parser")
    for picture in soup.select("img:not([src])"):  # it was not embedded in the notebook
        picture.decompose()
    if not texts:
        for part in soup.select(f".{OF_DATA}"):
            part.replace_with(_paragraph(soup, LEFT_OUT))
    if code == "folded":
        for cell in soup.select(".input"):
            _fold(soup, cell)
    return soup


class _Exporter(HTMLExporter):  # type: ignore[misc]
    """nbconvert's basic page, with only the markup that prose needs."""

    @jinja2.pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        made = super().markdown2html(context, source)
        return str(bleach.clean(made, tags=_PROSE, attributes=_is_harmless, protocols={"http", "https", "data"}))


def _is_harmless(tag: str, name: str, value: str) -> bool:
    """Whether a tag in prose may have this attribute."""
    if pattern := _ADDRESS.get((tag, name)):
        return pattern.fullmatch(value) is not None
    return (tag, name) in {("img", "alt"), ("div", "class"), ("span", "class")}


def _stripped(notebook: nbformat.NotebookNode, *, texts: bool) -> nbformat.NotebookNode:
    """The notebook without metadata, names of this machine, and markup that display.py did not make.

    Without ``texts``, outputs that display.py did not make are left out, since they may hold anything.
    """
    notebook.metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = {}, f"cell-{number}"  # the id of an added cell is random
        if cell.cell_type == "code":
            cell.source = without_machine(cell.source)
            cell.outputs = [output for output in cell.outputs if texts or _made_here(output)]
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = without_machine(output.text)
            elif output.output_type == "error":
                output.traceback = [without_machine(line) for line in output.traceback]
            else:
                output.data, output.metadata = _shown(output), {}
    return notebook


def _made_here(output: nbformat.NotebookNode) -> bool:
    return bool(output.get("metadata", {}).get("text/html") == MADE_HERE)


def _shown(output: nbformat.NotebookNode) -> dict[str, str]:
    """The data of an output that a page shows, by kind."""
    allowed = _KINDS if _made_here(output) else _KINDS[1:]
    data = {kind: output.data[kind] for kind in allowed if kind in output.data}
    if not data or "text/plain" in data:
        data["text/plain"] = without_machine(data.get("text/plain", "an output that this page cannot show"))
    return data


def _paragraph(soup: BeautifulSoup, text: str) -> Tag:
    made = soup.new_tag("p")
    made.string = text
    return made


def _fold(soup: BeautifulSoup, cell: Tag) -> None:
    """The code of a cell behind a line that opens it."""
    folded = cell.wrap(soup.new_tag("details", attrs={"class": "code"}))
    summary = soup.new_tag("summary")
    summary.string = "Code"
    folded.insert(0, summary)
