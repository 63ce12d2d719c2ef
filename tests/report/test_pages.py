"""The report loads nothing, runs nothing, its pages lead to each other, and its texts are legible."""

import base64
import hashlib
import re
from itertools import product
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.report import display, pages
from qa_tradeoffs.runs.paths import RunPaths
from tests.report.conftest import Reader, contrast, output_of

HOSTILE = "<script>alert(1)</script><img src=http://x.example/y onerror=alert(1)>"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CSS = (ROOT / "src" / "qa_tradeoffs" / "report" / "templates" / "page.css").read_text()
LIGHT, DARK, PRINT = (
    dict(re.findall(r"--(\w+): (#\w+);", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
)


def output(**data: str) -> nbformat.NotebookNode:
    kinds = {"html": "text/html", "plain": "text/plain", "png": "image/png", "js": "application/javascript",
             "svg": "image/svg+xml", "latex": "text/latex"}  # fmt: skip
    return new_output("execute_result", {kinds[name]: value for name, value in data.items()})


def code(source: str, *outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return new_code_cell(source, outputs=list(outputs))


NAMES = {"index.html", "which-is-right.html", "audit.html", "anomaly.html", "5-analysis.html", "bert-3-profile.html"}


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    """An executed analysis with a further question, both excursions, and one executed notebook of a model."""
    paths = RunPaths(tmp_path / "run")
    links = display.links({"BERT": [("3-profile", "bert-3-profile.html")], "all": [("5", "5-analysis.html")]})
    more = "## More\n\n- [Right?](audit.html)\n- [Slow?](anomaly.html)"
    analysis = [
        new_markdown_cell("# What it costs\n\nSome $prose$."),
        code("secret_code()", output_of(links)),
        code("more()", output(plain=HOSTILE)),
        new_markdown_cell("### Which is right?\n\nA detail."),
        code("cases()", output_of(display.of_data(display.paragraphs(["Where is Nauru?"])))),
        new_markdown_cell("#### And how often?"),
        new_markdown_cell(more),
    ]
    for name, title in (("audit", "Right?"), ("anomaly", "Slow?")):
        write(paths.folder / f"{name}.ipynb", [new_markdown_cell(f"# {title}"), code(f"{name}_code()")])
    profile = [
        code("print('printed')", new_output("stream", name="stdout", text=HOSTILE)),
        code("frame", output_of(display.paragraphs([HOSTILE]))),
        code("foreign", output(html="<b>bold</b>", plain="a frame"), output(html="<b>bold</b>")),
        code("picture", output(png=PIXEL)),
        code("script", output(js="alert(1)", plain="a script")),
        code("drawing", output(svg="<svg onload='alert(1)'/>", plain="a drawing")),
        code("formula", output(latex="$x$", plain="a formula")),
    ]
    write(paths.folder / "5-analysis.ipynb", analysis)
    write(paths.folder / "bert" / "3-profile.ipynb", profile)
    return paths


def write(path: Path, cells: list[nbformat.NotebookNode]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)


def render(run: RunPaths) -> tuple[Reader, Reader]:
    folder = run.folder.parent / "pages"
    index = pages.render(run, folder, "A & B", [run.folder / "bert" / "3-profile.ipynb"])
    assert index == folder / "index.html"
    assert {path.name for path in folder.iterdir()} == NAMES
    return Reader(index.read_text()), Reader((folder / "bert-3-profile.html").read_text())


def test_pages_have_the_one_script_that_their_policy_allows_and_load_nothing_from_elsewhere(run):
    render(run)
    for page in (run.folder.parent / "pages").iterdir():
        (script,) = re.findall(r"<script>(.*?)</script>", page.read_text(), re.DOTALL)
        made = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{made}'; base-uri" in page.read_text()
    for page in render(run):
        assert page.all("script") == [{}]
        for tag, attributes in page.tags:
            assert not any(name.startswith("on") for name in attributes)
            assert re.match(r"data:|[\w-]+\.html$|#|$", attributes.get("src", "") + attributes.get("href", "")), tag
        (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")


def test_hostile_text_stays_text_and_so_do_outputs_that_need_a_script_or_were_made_elsewhere(run):
    index, profile = render(run)
    assert HOSTILE in index.text
    assert profile.text.count(HOSTILE) == 2  # printed, and in a paragraph
    for text in ("a script", "a drawing", "a formula", "a frame", "an output that this page cannot show"):
        assert text in profile.text
    assert not profile.all("svg") and not profile.all("b")
    (picture,) = profile.all("img")
    assert picture["src"].startswith("data:image/png;base64,") and picture["alt"]


def links(page: Path) -> list[str]:
    return [link["href"] for link in Reader(page.read_text()).all("a")]


def test_every_page_is_reached_from_the_index_and_leads_back_to_it(run):
    render(run)
    folder = run.folder.parent / "pages"
    from_index = {address for address in links(folder / "index.html") if not address.startswith("#")}
    assert from_index == NAMES - {"index.html"}
    for name in NAMES - {"index.html"}:
        assert "index.html" in links(folder / name)
        assert {address for address in links(folder / name) if not address.startswith("#")} <= NAMES


def test_a_further_question_is_a_page_with_its_question_as_title_and_a_link_in_its_place(run):
    index, _ = render(run)
    page = Reader((run.folder.parent / "pages" / "which-is-right.html").read_text())
    assert "A detail." not in index.text and "A detail." in page.text
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")] == ["h1", "h2"]
    assert page.text.count("Which is right?") == 3  # the window's title, the menu and the heading
    assert {"aria-current": "page"} in page.all("span")


def test_an_excursion_has_its_code_behind_a_fold(run):
    render(run)
    page = Reader((run.folder.parent / "pages" / "audit.html").read_text())
    assert page.text.index("Code") < page.text.index("audit_code")
    assert {"class": "code"} in page.all("details")


def test_without_texts_of_the_data_set_a_page_says_that_they_are_left_out(run):
    folder = run.folder.parent / "pages"
    render(run)
    assert "Where is Nauru?" in (folder / "which-is-right.html").read_text()
    pages.render(run, folder, "A & B", [run.folder / "bert" / "3-profile.ipynb"], texts=False)
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert not [name for name, text in written.items() if "Nauru" in text]
    assert display.LEFT_OUT in written["which-is-right.html"] and display.LEFT_OUT not in written["index.html"]
    assert Reader(written["bert-3-profile.html"]).text.count(HOSTILE) == 1  # not what was printed: anyone's text


def test_sections_are_listed_and_can_be_linked_to(run):
    cells = [new_markdown_cell(f"## {title}") for title in ("The answer", "Top", "The answer", "?")]
    write(run.folder / "5-analysis.ipynb", cells)
    index = Reader(pages.render(run, run.folder.parent / "pages", "A & B", []).read_text())
    ids = ["the-answer", "section-2", "section-3", "section-4"]
    assert [heading["id"] for heading in index.all("h2")] == ids
    assert [link["href"] for link in index.all("a")][2:6] == [f"#{name}" for name in ids]


def test_only_a_notebooks_own_page_has_its_code(run):
    index, profile = render(run)
    assert "secret_code" not in index.text and "What it costs" in index.text
    assert "printed" in profile.text


def test_pages_are_titled_and_fit_a_phone(run):
    for page, title in zip(render(run), ("A & B", "bert/3-profile"), strict=True):
        assert title in page.text
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
        assert page.all("html") == [{"lang": "en"}]


@pytest.mark.parametrize("missing", ["5-analysis.ipynb", "audit.ipynb", "bert/3-profile.ipynb"])
def test_a_missing_notebook_is_named_and_no_index_is_written(run, missing):
    (run.folder / missing).unlink()
    with pytest.raises(StudyError, match=f"{missing}: is missing"):
        render(run)
    assert not (run.folder.parent / "pages" / "index.html").exists()


def test_a_file_that_is_no_notebook_or_of_another_run_is_named(run, tmp_path):
    with pytest.raises(StudyError, match=r"other.ipynb: is not in the folder of the run"):
        pages.render(run, tmp_path / "pages", "A", [tmp_path / "other.ipynb"])
    (run.folder / "5-analysis.ipynb").write_text("{}")
    with pytest.raises(StudyError, match=r"5-analysis.ipynb: is no notebook"):
        render(run)


def test_the_index_is_written_last_and_rendering_twice_gives_the_same_files(run, monkeypatch):
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(pages, "write_text", lambda path, text: written.append((path.name, text)))
    for _ in range(2):
        pages.render(run, run.folder.parent / "pages", "A & B", [run.folder / "bert" / "3-profile.ipynb"])
    assert {name for name, _ in written[:6]} == NAMES
    assert written[5][0] == "index.html"
    assert written[:6] == written[6:]


@pytest.mark.parametrize(("most", "warning"), [(3_000_000, ""), (1000, "too large to mail")])
def test_the_command_prints_the_path_and_warns_of_the_size(run, tmp_path, capsys, monkeypatch, most, warning):
    monkeypatch.setattr(pages, "MOST_BYTES", most)
    study, notebook = ROOT / "studies" / "smoke.yaml", run.folder / "bert" / "3-profile.ipynb"
    pages.main([str(study), str(run.folder), str(tmp_path / "pages"), str(notebook)])
    printed = capsys.readouterr()
    assert printed.out.strip() == f"{tmp_path / 'pages' / 'index.html'}: 0.0 MB"
    assert warning in printed.err and bool(warning) == bool(printed.err)


def test_contrast_is_as_in_the_standard():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_every_text_is_legible_on_every_background_and_marks_are_visible(scheme):
    pairs = [*product(("ink", "soft", "accent"), ("paper", "tint", "notice")), ("ink", "reference")]
    assert all(contrast(scheme[text], scheme[ground]) >= 4.5 for text, ground in pairs)
    assert all(contrast(scheme[line], scheme["paper"]) >= 3 for line in ("right", "wrong"))  # asked of graphics


def test_texts_have_no_other_colours_and_the_style_refers_to_nothing_outside():
    rules = re.sub(r":root \{.*?\}", "", CSS, flags=re.DOTALL)
    assert set(re.findall(r"[{;]\s*color: ([^;]+);", rules)) <= {
        "var(--ink)", "var(--soft)", "var(--accent)", "inherit"
    }  # fmt: skip
    assert DARK.keys() == LIGHT.keys() == PRINT.keys()
    assert not re.search(r"url\(|@import|@font-face", CSS)
