"""The report in a real browser, opened from disk: it requests nothing, logs nothing, and can be used."""

import io
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from conftest import answers_of
from matplotlib import pyplot as plt
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, writes
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from qa_tradeoffs.analysis import cases
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.report import differences, display, pages
from qa_tradeoffs.runs.paths import RunPaths
from tests.report.conftest import output_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH"),
    pytest.mark.xdist_group("finished"),  # some of its pages are of the finished study
]

HOSTILE = [
    "<script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    "<img src=http://x.example/y>",
    "]]><svg/onload=\"document.title = 'owned'\">",
    "</table></div></details></main><h1>owned</h1>",
    "[link](javascript:document.title='owned') ![i](http://x.example/z) $\\href{javascript:alert(1)}{x}$ **bold**",
    '" onmouseover="document.title=1" x="',
    "=HYPERLINK(\"http://x.example\")",
]  # fmt: skip
HOSTILE_HTML = "<table><tr><td><b>owned</b><img src=http://x.example/y onerror=alert(1)></td></tr></table>"
MARKDOWN = """# One title

<script>document.title = 'owned'</script><img src=http://x.example/y onerror=alert(1)>

[a](javascript:alert(1)) [b](data:text/html,x) <a href="JaVaScRiPt:alert(1)" onclick="alert(1)">c</a>

<iframe src="http://x.example"></iframe><style>body { display: none }</style>

![picture](attachment:p.png) ![drawing](attachment:d.svg) ![far](http://x.example/far.png)

## A section
"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ATTACHED = {"p.png": {"image/png": PIXEL}, "d.svg": {"image/svg+xml": '"><script>alert(1)</script>'}}
FRAME = pd.DataFrame({"question": HOSTILE, "F1": [0.1 + 0.2, 1e-9, 3, 4, 5, 6, 7, 8], "answer": "x, \"y\"; 'z'\nü"})


def as_read() -> display.Html:
    """The hostile texts as questions, passages, references and answers, as the report shows those that models miss."""
    examples = [Example(f"q{row}", text, f"{text} {text}", text, (text,), (0,)) for row, text in enumerate(HOSTILE)]
    right, wrong = [1.0] * len(HOSTILE), [0.0] * len(HOSTILE)
    both = answers_of(examples, {HOSTILE[0]: [right], HOSTILE[1]: [wrong]}, {key: [HOSTILE] for key in HOSTILE[:2]})
    return differences.examples(cases.sample(both, at_most=len(HOSTILE)))


def write(path: Path, *cells: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(writes(new_notebook(cells=list(cells))))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose questions, and whatever else a notebook can hold, try to be markup."""
    run = RunPaths(tmp_path_factory.mktemp("hostile") / "run")
    text = "\n".join(HOSTILE)
    parts = [
        display.paragraphs(HOSTILE, "notice"),
        display.table(FRAME, HOSTILE[4]),
        display.facts({text: text for text in HOSTILE}, HOSTILE[0]),
        display.fold(HOSTILE[1], display.text(text, HOSTILE[2])),
        as_read(),
    ]
    own = new_code_cell("show()", outputs=[output_of(part) for part in parts])
    attached = new_markdown_cell(MARKDOWN, attachments=ATTACHED)
    links = display.links({"BERT": [("1", "hostile-1.html"), ("4", "5-analysis.html")]})
    write(run.folder / "5-analysis.ipynb", attached, own, new_code_cell("links", outputs=[output_of(links)]))
    for name in ("audit", "anomaly"):
        write(run.folder / f"{name}.ipynb", attached, own)
    foreign = [
        new_output("stream", name="stdout", text=text),
        new_output("stream", name="stderr", text=text),
        new_output("execute_result", {"text/plain": text}),
        new_output("execute_result", {"text/html": HOSTILE_HTML, "text/plain": text}),
        new_output("display_data", {"text/html": HOSTILE_HTML}),
        new_output("display_data", {"image/png": PIXEL}, metadata={"image/png": {"width": "1 onerror=alert(1)"}}),
        new_output("display_data", {"application/javascript": "document.title = 'owned'"}),
        new_output("error", ename="E", evalue=text, traceback=text.split("\n")),
    ]
    write(run.folder / "hostile" / "1.ipynb", attached, own, new_code_cell(f"'''{text}'''", outputs=foreign))
    return pages.render(run, run.folder.parent / "pages", HOSTILE[0], [run.folder / "hostile" / "1.ipynb"]).parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


PAGES = {
    "index of a study": "index.html",
    "question of a study": "which-differences-in-accuracy-are-significant.html",
    "notebook of a study": "bert-seed-0-2-evaluate.html",
    "hostile index": "index.html",
    "hostile notebook": "hostile-1.html",
    "hostile excursion": "audit.html",
}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page of the tiny study's report, or of the hostile one; fails on any request and any message in the console."""
    if "study" in request.param:
        folder: Path = request.getfixturevalue("finished").folder / "reports/tiny"
    else:
        folder = request.getfixturevalue("hostile")
    file = folder / PAGES[request.param]
    context = browser.new_context(offline=True)
    opened = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert {url.partition("#")[0] for url in asked if url.startswith("file:")} <= {
        other.as_uri() for other in file.parent.iterdir()
    }
    assert said == []


def test_nothing_is_run_and_every_picture_has_a_text_and_is_there(page):
    assert page.title() != "owned"
    forbidden = "script[src], iframe, object, embed, form, [onerror], [onclick], [onload], [onmouseover]"
    assert page.locator(forbidden).count() == 0
    assert page.locator("script").count() == 1
    for source, alt, width in page.evaluate("[...document.images].map(i => [i.src, i.alt, i.naturalWidth])"):
        assert source.startswith("data:image/")
        assert alt
        assert width > 0


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_never_scrolls_sideways(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_it_prints_on_a4_with_nothing_cut_and_folds_open(page):
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 962})  # A4 less its margins, in CSS pixels
    assert page.evaluate("document.documentElement.scrollWidth") == 680
    folded = "document.querySelectorAll('body:not(.index) details > :not(summary, .csv)')"
    hidden = f"[...{folded}].filter(e => !e.checkVisibility())"
    assert page.evaluate(f"{hidden}.map(e => e.outerHTML.slice(0, 80))") == []  # of a download, paper has no use
    assert page.pdf().startswith(b"%PDF")


def test_the_index_is_printed_as_a_summary_on_two_sheets(finished, browser):
    page = browser.new_page()
    page.goto((finished.folder / "reports/tiny/index.html").as_uri())
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))) <= 2
    page.close()


def test_the_index_fits_on_eight_screens(finished, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((finished.folder / "reports/tiny/index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollHeight") <= 9000
    page.close()


def test_a_table_is_sorted_by_the_heading_that_is_clicked(hostile, browser):
    page = browser.new_page()
    page.goto((hostile / "index.html").as_uri())
    heading = page.get_by_role("columnheader", name="F1")
    column = "[...document.querySelectorAll('thead')][0].parentElement.querySelectorAll('tbody td:nth-child(2)')"
    for order in ("ascending", "descending"):
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == order
        shown = [float(text) for text in page.evaluate(f"[...{column}].map(cell => cell.textContent)")]
        assert shown == sorted(shown, reverse=order == "descending") and len(shown) == len(FRAME)
    page.close()


def test_a_point_shows_its_figures_and_lies_where_it_is_drawn(browser, tmp_path):
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.plot([1, 2, 3], [4, 5, 6], "o", color="#ff0000", markersize=14)
    axes.set_ylabel("a label that makes room on the left")
    drawn = display.figure(figure, "Three points", ["1"], "Caption", [display.Point(axes, 2, 5, "BERT: <b>5</b>")])
    write(tmp_path / "run" / "5-analysis.ipynb", new_code_cell("show()", outputs=[output_of(drawn)]))
    for name in ("audit", "anomaly"):
        write(tmp_path / "run" / f"{name}.ipynb", new_markdown_cell("# A title"))
    page = browser.new_page()
    page.goto(pages.render(RunPaths(tmp_path / "run"), tmp_path / "pages", "A", []).as_uri())
    page.locator(".point").hover()
    assert page.locator(".point").evaluate("e => getComputedStyle(e, '::after').content") == '"BERT: <b>5</b>"'
    box = page.locator(".point").bounding_box()
    page.mouse.move(0, 0)
    clip = {"x": box["x"] + box["width"] / 2 - 2, "y": box["y"] + box["height"] / 2 - 2, "width": 4, "height": 4}
    seen = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"))
    assert (seen == (255, 0, 0)).all()
    page.close()


def test_headings_are_in_order_under_one_title(page):
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


def test_every_link_leads_somewhere(page):
    folder = Path(unquote(page.url.removeprefix("file://"))).parent
    ids = set(page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
    addresses = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))")
    assert "#top" in addresses
    for address in addresses:
        if address.startswith("#"):
            assert address[1:] in ids
        elif not address.startswith("data:text/csv;charset=utf-8;base64,"):
            assert (folder / address).is_file()


def test_the_contents_name_every_section(page):
    contents = page.locator("nav ol li").all_inner_texts()
    assert contents == page.locator("h2").all_inner_texts()


def test_what_scrolls_can_be_reached_and_has_a_name(page):
    page.set_viewport_size({"width": 360, "height": 800})
    wide = page.locator(".scroll")
    assert wide.count() > 0
    for region in wide.all():
        assert region.get_attribute("role") == "region"
        assert region.get_attribute("tabindex") == "0"
        assert region.get_attribute("aria-label")


def test_the_first_stop_of_the_keyboard_skips_to_the_content(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_every_table_has_headers_a_caption_and_a_file(page):
    tables = page.locator("table:not(.cell .text_cell_render table)")
    assert tables.count() == page.locator("a[download]").count() > 0
    for table in tables.all():
        assert table.locator("caption").count() == 1
        assert table.locator("th").count() > 0


def test_a_table_is_saved_as_the_csv_it_shows(hostile, browser):
    page = browser.new_page()
    page.goto((hostile / "index.html").as_uri())
    with page.expect_download() as saved:
        page.locator("a[download]").first.click()
    assert saved.value.suggested_filename == "table-div-details-main-h1-owned-h1.csv"
    content = Path(saved.value.path()).read_bytes().decode("utf-8-sig")
    read = pd.read_csv(io.StringIO(content))
    harmless = FRAME.assign(question=[*HOSTILE[:-1], f"'{HOSTILE[-1]}"])
    pd.testing.assert_frame_equal(read, harmless, check_exact=True)
    page.close()


def test_hostile_text_is_text(hostile, browser):
    page = browser.new_page()
    for name, times in (("index.html", 1), ("hostile-1.html", 5)):  # there also streams, plain text, error and code
        page.goto((hostile / name).as_uri())
        text = page.locator("main").text_content() or ""
        for attempt in HOSTILE:
            assert text.count(attempt) >= times
        assert page.locator("h1").all_inner_texts() == ["One title"]
        assert page.locator("b").count() == 0
        assert page.locator(".case .question").all_text_contents() == HOSTILE
        # Of prose, only the attached picture and links to pages are left.
        assert page.locator(".text_cell_render img[src]").count() == 1
        assert page.locator(".text_cell_render a[href]").count() == 0
        assert page.locator("body").is_visible()
    page.close()
