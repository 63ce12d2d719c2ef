"""Executed notebooks → a folder of self-contained pages: no request to anywhere, no script.

python -m qa_tradeoffs.report studies/demo.yaml runs/demo reports/demo runs/demo/bert/3-profile.ipynb ...
"""

import argparse
from pathlib import Path
from typing import Any

import jinja2
import nbformat
from markupsafe import escape
from nbconvert import HTMLExporter
from traitlets.config import Config

from qa_tradeoffs import config
from qa_tradeoffs.errors import StudyError, exit_cleanly
from qa_tradeoffs.paths import RunPaths, write_text

_TEMPLATES = Path(__file__).parent / "templates"
ANALYSIS = "4-analysis.ipynb"
# What of an output is shown, best first: no kind that needs a script.
_SHOWN = Config({"NbConvertBase": {"display_data_priority": ["text/html", "image/png", "image/jpeg", "text/plain"]}})


def render(run: RunPaths, pages: Path, title: str, notebooks: list[Path]) -> Path:
    """Write index.html from the executed analysis, and a page for each of the executed ``notebooks`` with its code.

    Returns the path of index.html, which is written last: where it is there, its links lead somewhere.
    """
    for notebook in notebooks:
        page = _page(_read(notebook), str(notebook.relative_to(run.folder).with_suffix("")), back="index.html")
        write_text(pages / run.page_name(notebook), page)
    index = pages / "index.html"
    write_text(index, _page(_read(run.folder / ANALYSIS), title, show_code=False))
    return index


def _page(notebook: nbformat.NotebookNode, title: str, *, show_code: bool = True, back: str = "") -> str:
    """One notebook as a page of its own."""
    exporter: Any = HTMLExporter(
        template_name="basic",
        exclude_input=not show_code,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        config=_SHOWN,
    )
    for cell in notebook.cells:  # the widths that JupyterLab remembers and the like are no business of a reader
        cell.metadata = {"tags": cell.metadata.get("tags", [])}
    body, _ = exporter.from_notebook_node(notebook)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=False)
    fields = {"title": escape(title), "style": (_TEMPLATES / "page.css").read_text(), "body": body, "back": back}
    return environment.get_template("page.html").render(fields)


def _read(path: Path) -> nbformat.NotebookNode:
    """An executed notebook, or a StudyError that names it."""
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise StudyError(f"{path}: is missing; run the stage that writes it (make all does)") from None
    except Exception as error:  # nbformat has several types for a file that is no notebook
        raise StudyError(f"{path}: is no notebook ({type(error).__name__}); run the stage again") from None


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module: prints the path of the report."""
    parser = argparse.ArgumentParser(description="Render a run's executed notebooks as HTML.")
    parser.add_argument("study", type=Path, help="study file, for the report's title")
    parser.add_argument("run", type=Path, help="folder of the run, with the executed analysis")
    parser.add_argument("pages", type=Path, help="folder to write")
    parser.add_argument("notebooks", type=Path, nargs="*", help="executed notebooks to give a page each")
    options = parser.parse_args(arguments)
    title = config.load(options.study).title
    folder, notebooks = options.run.resolve(), [notebook.resolve() for notebook in options.notebooks]
    for notebook in notebooks:
        if not notebook.is_relative_to(folder):
            raise StudyError(f"{notebook}: is not in the folder of the run, {folder}; give notebooks of this run")
    print(render(RunPaths(folder), options.pages, title, notebooks))


if __name__ == "__main__":
    exit_cleanly(main)
