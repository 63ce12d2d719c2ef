"""One notebook as several pages, by the levels of its headings."""

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from qa_tradeoffs.report import chapters

QUESTION = "### Is it so?\n\nYes.\n\n#### Always?"
CELLS = ["# All", "## A", QUESTION, "a = 1", "### How much?", "## B", "b = 2", "### Is it so?"]


def notebook() -> NotebookNode:
    return new_notebook(cells=[new_markdown_cell(c) if "#" in c else new_code_cell(c) for c in CELLS])


def sources(page: NotebookNode) -> list[str]:
    return [cell.source for cell in page.cells]


def test_the_index_has_a_link_in_place_of_each_page_and_one_list_of_neighbours():
    index, _ = chapters.split(notebook())
    assert sources(index) == [
        "# All", "## A", "- [Is it so?](is-it-so.html)\n- [How much?](how-much.html)", "## B", "b = 2",
        "- [Is it so?](is-it-so-2.html)",
    ]  # fmt: skip


def test_a_page_has_its_cells_with_its_headings_two_levels_up():
    _, pages = chapters.split(notebook())
    assert [(page.title, sources(page.notebook)) for page in pages] == [
        ("Is it so?", ["# Is it so?\n\nYes.\n\n## Always?", "a = 1"]),
        ("How much?", ["# How much?"]),
        ("Is it so?", ["# Is it so?"]),
    ]


def test_addresses_are_plain_names_and_none_is_taken_twice():
    assert chapters.address("What's F1, then?", set()) == "what-s-f1-then.html"
    assert chapters.address("Index", set()) != "index.html"
    assert chapters.address("模型", {"page.html"}) == "page-2.html"


def test_a_notebook_that_is_one_page_has_the_title_of_its_first_heading():
    assert chapters.alone(notebook(), "x.html").title == "All"
    assert chapters.alone(new_notebook(), "x.html").title == "x.html"
