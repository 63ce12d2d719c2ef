"""Executed notebooks → a folder of self-contained pages: an index, a page for each further question, and the code.

No page loads anything. The one script, which sorts tables, is in the page, and its policy allows no other.

python -m qa_tradeoffs.report.pages studies/demo.yaml runs/demo reports/demo runs/demo/bert/3-profile.ipynb ...
"""

import argparse
import base64
import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from markupsafe import Markup

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import read_bytes, write_text
from qa_tradeoffs.report import chapters, export
from qa_tradeoffs.report.chapters import Chapter
from qa_tradeoffs.report.display import TEMPLATES
from qa_tradeoffs.runs.graph import EXCURSIONS
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config

ANALYSIS = "5-analysis.ipynb"
_SCRIPT = (Path(__file__).parent / "templates" / "page.js").read_text(encoding="utf-8")
MOST_BYTES = 3_000_000  # of index.html: mail programs accept that, and phones open it at once


def render(run: RunPaths, pages: Path, title: str, notebooks: Sequence[Path], *, texts: bool = True) -> Path:
    """Write index.html and a page for each further question of the analysis and for each excursion.

    The analysis and each of the ``notebooks`` also get a page with their code. Without ``texts``, no page has text of
    the data set. Returns the path of index.html, which is written last, so that its links always work.
    Raises StudyError for a notebook that is not of this run, is missing or cannot be read.
    """
    index, further = chapters.split(_read(run.folder / ANALYSIS))
    for name in EXCURSIONS:
        further.append(chapters.alone(_read(run.folder / f"{name}.ipynb"), f"{name}.html"))
    executed = {run.folder / ANALYSIS: ANALYSIS.removesuffix(".ipynb")}
    executed |= {path.resolve(): _name(path.resolve(), run) for path in notebooks}
    for notebook, name in executed.items():
        body, address = export.body(_read(notebook), "shown", texts=texts), run.page_name(notebook)
        write_text(pages / address, _page(body, name, name, address))
    for chapter in further:
        body = export.body(chapter.notebook, "folded" if _is_excursion(chapter) else "hidden", texts=texts)
        page = _page(body, f"{chapter.title} – {title}", title, chapter.address, further)
        write_text(pages / chapter.address, page)
    path = pages / "index.html"
    write_text(path, _page(export.body(index, "hidden", texts=texts), title, title, "", further))
    return path


def _page(body: BeautifulSoup, title: str, study: str, here: str, menu: Sequence[Chapter] = ()) -> str:
    """A page: the title of the ``study`` above its own, the list of its sections, then the pages of the ``menu``.

    ``here``: its own address; '' for the index.
    """
    digest = hashlib.sha256(_SCRIPT.encode()).digest()
    return TEMPLATES.get_template("page.html").render(
        title=title, study=study, contents=_contents(body), body=Markup(body), menu=menu, here=here,
        script=Markup(_SCRIPT), script_hash=f"sha256-{base64.b64encode(digest).decode()}",
    )  # fmt: skip


def _name(notebook: Path, run: RunPaths) -> str:
    """'bert/3-profile', the title of a notebook's page."""
    if not notebook.is_relative_to(run.folder):
        raise StudyError(f"{notebook}: is not in the folder of the run, {run.folder}; give notebooks of this run")
    return str(notebook.relative_to(run.folder).with_suffix(""))


def _is_excursion(chapter: Chapter) -> bool:
    return chapter.address.removesuffix(".html") in EXCURSIONS


def _contents(soup: BeautifulSoup) -> list[tuple[str, str]]:
    """Give every section an id made of its title, for links; return (id, title) of each."""
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
    except Exception as error:  # nbformat has several types for a file that is not a notebook
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
