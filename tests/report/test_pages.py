"""The report asks for nothing, runs nothing, and leads nowhere that is not there."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.report import display
from qa_tradeoffs.report import pages as report
from qa_tradeoffs.runs.paths import RunPaths

HOSTILE = "<script>alert(1)</script><img src=http://x.example/y onerror=alert(1)>"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Page(HTMLParser):
    """Collects the tags with their attributes and, apart, the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data):
        self.text += data

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def displayed(html: display.Html) -> nbformat.NotebookNode:
    data, metadata = html._repr_mimebundle_()
    return new_output("execute_result", data, metadata=metadata, execution_count=1)


def shown(**data: str) -> nbformat.NotebookNode:
    kinds = {"html": "text/html", "plain": "text/plain", "png": "image/png", "js": "application/javascript",
             "svg": "image/svg+xml", "latex": "text/latex", "mermaid": "text/vnd.mermaid"}  # fmt: skip
    return new_output("execute_result", {kinds[name]: value for name, value in data.items()}, execution_count=1)


def code(source: str, *outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return new_code_cell(source, outputs=list(outputs), execution_count=1)


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    """An executed analysis and one executed notebook of a model."""
    paths = RunPaths(tmp_path / "run")
    links = display.links({"BERT": [("3-profile", "bert-3-profile.html")]})
    analysis = [
        new_markdown_cell("# What it costs\n\nSome $prose$."),
        code("secret_code()", displayed(links)),
        code("more()", shown(plain=HOSTILE)),
    ]
    profile = [
        code("print('printed')", new_output("stream", name="stdout", text=HOSTILE)),
        code("frame", displayed(display.paragraphs([HOSTILE]))),
        code("foreign", shown(html="<b>bold</b>", plain="a frame")),
        code("picture", shown(png=PIXEL)),
        code("script", shown(js="alert(1)", plain="a script")),
        code("drawing", shown(svg="<svg onload='alert(1)'/>", plain="a drawing")),
        code("formula", shown(latex="$x$", mermaid="graph", plain="a formula")),
        code("warn()", new_output("stream", name="stderr", text="careful")),
    ]
    write(paths.folder / "4-analysis.ipynb", analysis)
    write(paths.folder / "bert" / "3-profile.ipynb", profile)
    return paths


def write(path: Path, cells: list[nbformat.NotebookNode]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)


def render(run: RunPaths) -> tuple[Page, Page]:
    pages = run.folder.parent / "pages"
    index = report.render(run, pages, "A & B", [run.folder / "bert" / "3-profile.ipynb"])
    assert index == pages / "index.html"
    assert {path.name for path in pages.iterdir()} == {"index.html", "bert-3-profile.html", "4-analysis.html"}
    return Page(index), Page(pages / "bert-3-profile.html")


def test_pages_have_no_script_and_load_nothing_from_elsewhere(run):
    for page in render(run):
        assert not page.all("script")
        for tag, attributes in page.tags:
            assert not any(name.startswith("on") for name in attributes)
            assert re.match(r"data:|[\w-]+\.html$|#|$", attributes.get("src", "") + attributes.get("href", "")), tag
        (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline';")


def test_hostile_text_is_shown_as_text(run):
    index, profile = render(run)
    assert HOSTILE in index.text
    assert profile.text.count(HOSTILE) == 2  # printed, and in a paragraph


def test_outputs_that_need_a_script_are_shown_as_plain_text(run):
    _, profile = render(run)
    for text in ("a script", "a drawing", "a formula"):
        assert text in profile.text
    assert not profile.all("svg")


def test_every_picture_has_a_text(run):
    _, profile = render(run)
    (picture,) = profile.all("img")
    assert picture["src"].startswith("data:image/png;base64,")
    assert picture["alt"]


def test_links_lead_to_pages_that_were_written(run):
    index, profile = render(run)
    around = ["#content", "#top"]
    assert [link["href"] for link in index.all("a")] == [around[0], "bert-3-profile.html", around[1]]
    assert [link["href"] for link in profile.all("a")] == [around[0], "index.html", around[1]]


def test_only_a_notebooks_own_page_shows_its_code(run):
    index, profile = render(run)
    assert "secret_code" not in index.text
    assert "printed" in profile.text
    assert "What it costs" in index.text


def test_pages_are_titled_and_fit_a_phone(run):
    index, profile = render(run)
    assert "<title>A &amp; B</title>" in (run.folder.parent / "pages" / "index.html").read_text()
    assert "bert/3-profile" in profile.text
    for page in (index, profile):
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
        assert page.all("html") == [{"lang": "en"}]


@pytest.mark.parametrize("missing", ["4-analysis.ipynb", "bert/3-profile.ipynb"])
def test_a_missing_notebook_is_named_and_no_index_is_written(run, missing):
    (run.folder / missing).unlink()
    with pytest.raises(StudyError, match=f"{missing}: is missing"):
        render(run)
    assert not (run.folder.parent / "pages" / "index.html").exists()


def test_a_file_that_is_no_notebook_is_named(run):
    (run.folder / "4-analysis.ipynb").write_text("{}")
    with pytest.raises(StudyError, match=r"4-analysis.ipynb: is no notebook"):
        render(run)


def test_the_index_is_written_last(run, monkeypatch):
    written: list[str] = []
    real = report.write_text
    monkeypatch.setattr(report, "write_text", lambda path, text: (written.append(path.name), real(path, text)))
    render(run)
    assert written == ["bert-3-profile.html", "4-analysis.html", "index.html"]


def test_rendering_twice_gives_the_same_files(run):
    render(run)
    index = run.folder.parent / "pages" / "index.html"
    before = index.read_bytes()
    render(run)
    assert index.read_bytes() == before


def test_the_command_prints_where_the_report_is_and_its_size(run, tmp_path, capsys):
    study, notebook = ROOT / "studies" / "smoke.yaml", run.folder / "bert" / "3-profile.ipynb"
    report.main([str(study), str(run.folder), str(tmp_path / "pages"), str(notebook)])
    printed = capsys.readouterr()
    assert printed.out.strip() == f"{tmp_path / 'pages' / 'index.html'}: 0.0 MB"
    assert printed.err == ""


def test_a_report_too_large_to_mail_is_warned_of(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "MOST_BYTES", 1000)
    report.main([str(ROOT / "studies" / "smoke.yaml"), str(run.folder), str(tmp_path / "pages")])
    assert "index.html: is larger than 0 MB, too large to mail" in capsys.readouterr().err


def test_markup_that_display_did_not_make_is_shown_as_plain_text(run):
    _, profile = render(run)
    assert "a frame" in profile.text
    assert not profile.all("b")


def test_sections_are_listed_and_can_be_linked_to(run):
    cells = [new_markdown_cell(f"## {title}") for title in ("The answer", "Top", "The answer", "?")]
    write(run.folder / "4-analysis.ipynb", cells)
    index, _ = render(run)
    ids = ["the-answer", "section-2", "section-3", "section-4"]
    assert [heading["id"] for heading in index.all("h2")] == ids
    assert [link["href"] for link in index.all("a")][2:-1] == [f"#{name}" for name in ids]


def test_a_notebook_of_another_run_is_refused(run, tmp_path):
    with pytest.raises(StudyError, match=r"other.ipynb: is not in the folder of the run"):
        report.main(
            [str(ROOT / "studies" / "smoke.yaml"), str(run.folder), str(tmp_path), str(tmp_path / "other.ipynb")]
        )
