"""The executed analysis as pages of the report: the index, and a page for each question that few readers ask.

A section with a heading of the third level becomes a page of its own. The index has a link in its place, whose text is
the heading, a question.
"""

import re
from copy import deepcopy
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

_HEADING = re.compile(r"(#{1,6}) +(.*)")
_OWN_PAGE = 3  # the level of the heading of a section that becomes a page


@dataclass(frozen=True)
class Chapter:
    """One page: the name of its file, its title, and its cells."""

    address: str
    title: str
    notebook: NotebookNode


def split(notebook: NotebookNode) -> tuple[NotebookNode, list[Chapter]]:
    """The cells of the index, and the other pages in the notebook's order, with headings raised by two levels."""
    index: list[NotebookNode] = []
    chapters: list[Chapter] = []
    cells = index
    for cell in notebook.cells:
        level, title = _heading(cell)
        if level == _OWN_PAGE:
            chapter = Chapter(address(title, {other.address for other in chapters}), title, _of([]))
            chapters.append(chapter)
            _link(index, chapter, follows=cells is not index)
            cells = chapter.notebook.cells
        elif level in range(1, _OWN_PAGE):
            cells = index
        cells.append(cell if cells is index else _raised(cell))
    return _of(index), chapters


def alone(notebook: NotebookNode, address: str) -> Chapter:
    """A notebook that is one page, with its first heading as the title."""
    titles = [title for level, title in map(_heading, notebook.cells) if level == 1]
    return Chapter(address, titles[0] if titles else address, notebook)


def address(title: str, taken: set[str]) -> str:
    """'Do the models know?' → 'do-the-models-know.html', the name of a page's file."""
    name = "-".join(re.findall(r"[a-z0-9]+", title.lower())) or "page"
    same = sum(other == f"{name}.html" or re.fullmatch(rf"{name}-\d+\.html", other) is not None for other in taken)
    return f"{name}-{same + 1}.html" if same or name == "index" else f"{name}.html"


def _heading(cell: NotebookNode) -> tuple[int, str]:
    """Level and text of the heading that a cell begins with; level 0 if it begins with none."""
    found = _HEADING.match(cell.source) if cell.cell_type == "markdown" else None
    return (len(found[1]), found[2].strip()) if found else (0, "")


def _link(index: list[NotebookNode], chapter: Chapter, *, follows: bool) -> None:
    """Add a link to the page, in the list of the previous page's link if the page ``follows`` that one directly."""
    line = f"- [{chapter.title}]({chapter.address})"
    if follows:
        index[-1].source += f"\n{line}"
    else:
        index.append(new_markdown_cell(line))


def _raised(cell: NotebookNode) -> NotebookNode:
    """A copy of the cell with every heading of its prose raised by two levels."""
    copied = deepcopy(cell)
    if cell.cell_type == "markdown":
        copied.source = re.sub(rf"^#{{{_OWN_PAGE - 1}}}(?=#+ )", "", cell.source, flags=re.MULTILINE)
    return copied


def _of(cells: list[NotebookNode]) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=cells)
