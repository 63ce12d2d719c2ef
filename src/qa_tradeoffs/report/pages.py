"""Executed notebooks → a folder of self-contained pages: no request to anywhere, no script.

python -m qa_tradeoffs.report.pages studies/demo.yaml runs/demo reports/demo runs/demo/bert/3-profile.ipynb ...
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import bleach
import jinja2
import nbformat
from bs4 import BeautifulSoup
from markupsafe import Markup
from nbconvert import HTMLExporter
from traitlets.config import Config

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import read_bytes, without_machine, write_text
from qa_tradeoffs.report.display import MADE_HERE, TEMPLATES
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config

ANALYSIS = "5-analysis.ipynb"
MOST_BYTES = 3_000_000  # of index.html: what a mail program takes and a phone opens at once
# The kinds of output that a page has, best first: none needs a script. The first only where display.py made it.
_KINDS = ["text/html", "image/png", "image/jpeg", "text/plain"]
# What prose may be marked up with. A picture is one that the cell carries in itself, a link leads to a page.
_PROSE = set("h1 h2 h3 h4 p em strong del code pre blockquote ul ol li a br hr table thead tbody tr th td img div span"
             .split())  # fmt: skip
_ADDRESS = {
    ("a", "href"): re.compile(r"https?://\S+|[\w./-]*(?:#\S*)?"),
    ("img", "src"): re.compile(r"data:image/(?:png|jpeg|gif);base64,[\w+/=\s]*"),
}


def render(run: RunPaths, pages: Path, title: str, notebooks: list[Path]) -> Path:
    """Write index.html from the executed analysis, and a page with its code for it and each of the ``notebooks``.

    Returns the path of index.html, which is written last: where it is there, its links lead somewhere. Raises
    StudyError for a notebook that is not of this run, is missing or cannot be read.
    """
    analysis = run.folder / ANALYSIS
    for notebook in (*(path.resolve() for path in notebooks), analysis):
        if not notebook.is_relative_to(run.folder):
            raise StudyError(f"{notebook}: is not in the folder of the run, {run.folder}; give notebooks of this run")
        name = str(notebook.relative_to(run.folder).with_suffix(""))
        write_text(pages / run.page_name(notebook), _page(_read(notebook), name, back="index.html"))
    index = pages / "index.html"
    write_text(index, _page(_read(analysis), title, show_code=False))
    return index


class _Exporter(HTMLExporter):  # type: ignore[misc]
    """nbconvert's basic page, with no more markup from prose than prose needs."""

    @jinja2.pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        made = super().markdown2html(context, source)
        return str(bleach.clean(made, tags=_PROSE, attributes=_is_harmless, protocols={"http", "https", "data"}))


def _is_harmless(tag: str, name: str, value: str) -> bool:
    """Whether a tag in prose may have this attribute."""
    if pattern := _ADDRESS.get((tag, name)):
        return pattern.fullmatch(value) is not None
    return (tag, name) in {("img", "alt"), ("div", "class"), ("span", "class")}


def _page(notebook: nbformat.NotebookNode, title: str, *, show_code: bool = True, back: str = "") -> str:
    """One notebook as a page of its own."""
    exporter: Any = _Exporter(
        template_name="basic",
        exclude_input=not show_code,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        exclude_raw=True,
        config=Config({"NbConvertBase": {"display_data_priority": _KINDS}}),
    )
    body, _ = exporter.from_notebook_node(_stripped(notebook))
    soup = BeautifulSoup(body, "html.parser")
    for picture in soup.select("img:not([src])"):  # it was not in the notebook
        picture.decompose()
    contents = _contents(soup)
    return TEMPLATES.get_template("page.html").render(title=title, body=Markup(soup), contents=contents, back=back)


def _stripped(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without metadata, names of this machine, and markup that display.py did not make."""
    notebook.metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.source = without_machine(cell.source)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = without_machine(output.text)
            elif output.output_type == "error":
                output.traceback = [without_machine(line) for line in output.traceback]
            else:
                output.data, output.metadata = _shown(output), {}
    return notebook


def _shown(output: nbformat.NotebookNode) -> dict[str, str]:
    """What a page has of an output, by kind."""
    allowed = _KINDS if output.metadata.get("text/html") == MADE_HERE else _KINDS[1:]
    data = {kind: output.data[kind] for kind in allowed if kind in output.data}
    if not data or "text/plain" in data:
        data["text/plain"] = without_machine(data.get("text/plain", "an output that this page cannot show"))
    return data


def _contents(soup: BeautifulSoup) -> list[tuple[str, str]]:
    """Give every section an id made of its title, to be linked to; return (id, title) of each."""
    contents: dict[str, str] = {}
    for heading in soup.find_all("h2"):
        title = heading.get_text()
        name = "-".join(re.findall(r"[a-z0-9]+", title.lower()))
        heading["id"] = name if name and name not in {"top", "content", *contents} else f"section-{len(contents) + 1}"
        contents[str(heading["id"])] = title
    return list(contents.items())


def _read(path: Path) -> nbformat.NotebookNode:
    """An executed notebook, checked."""
    content = read_bytes(path, "is missing; run the stage that writes it (make all does)").decode(errors="replace")
    try:
        return nbformat.reads(content, as_version=4)
    except Exception as error:  # nbformat has several types for a file that is no notebook
        raise StudyError(f"{path}: is no notebook ({type(error).__name__}); run the stage again") from None


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module: prints the path of the report and its size."""
    parser = argparse.ArgumentParser(description="Render a run's executed notebooks as HTML.")
    parser.add_argument("study", type=Path, help="study file, for the report's title")
    parser.add_argument("run", type=Path, help="folder of the run, with the executed analysis")
    parser.add_argument("pages", type=Path, help="folder to write")
    parser.add_argument("notebooks", type=Path, nargs="*", help="executed notebooks to give a page each")
    options = parser.parse_args(arguments)
    run, title = RunPaths(options.run.resolve()), config.load(options.study).title
    index = render(run, options.pages, title, options.notebooks)
    size = index.stat().st_size
    print(f"{index}: {size / 1e6:.1f} MB")
    if size > MOST_BYTES:
        print(f"warning: {index}: is larger than {MOST_BYTES / 1e6:.0f} MB, too large to mail", file=sys.stderr)


if __name__ == "__main__":
    exit_cleanly(main)
