"""Markup for notebooks: no text can become markup, every table and picture can be read without eyes."""

import base64
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from qa_tradeoffs.core import words
from qa_tradeoffs.report import charts, display

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "]]><svg/onload=alert(1)>", "a & 'b'"]


class Reader(HTMLParser):
    """Collects the tags and, apart, the text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_shown_as_they_are_and_never_markup(text):
    frame = pd.DataFrame({text: [text, "plain"], "n": [1, 2]})
    for shown in (
        display.table(frame, text),
        display.facts({text: text}, text),
        display.paragraphs([text], text),
        display.links({text: [(text, "page.html")]}),
        display.text(text, text),
        display.fold(text, display.paragraphs([text])),
    ):
        read = Reader(shown.markup)
        assert text in read.text
        allowed = "div table caption span thead tbody tr th td p ul li a figure figcaption pre details summary"
        assert read.names() <= set(allowed.split())
        assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)


def test_an_address_cannot_leave_its_attribute():
    (_, attributes), = [
        tag for tag in Reader(display.links({"a": [("b", 'x" onclick="y')]}).markup).tags if tag[0] == "a"
    ]  # fmt: skip
    assert attributes == {"href": 'x" onclick="y'}


def test_a_table_has_a_caption_and_headers_for_rows_and_columns():
    read = Reader(display.table(pd.DataFrame({"model": ["A", "B"], "F1": [1.0, 22.5]}), "Scores").markup)
    scopes = [attributes.get("scope") for tag, attributes in read.tags if tag == "th"]
    assert scopes == ["col", "col", "row", "row"]
    assert [attributes.get("class") for tag, attributes in read.tags if tag == "td"] == ["number", "number"]
    assert read.text == "ScoresmodelF1A1B22.5Download CSV"


def test_what_may_be_wide_can_be_scrolled_with_the_keyboard_and_has_a_name():
    frame = pd.DataFrame({"a": [1]})
    for shown in (display.table(frame, "Scores"), display.facts({"a": 1}, "Scores"), display.text("a", "Scores")):
        (region,) = [attributes for _, attributes in Reader(shown.markup).tags if attributes.get("role") == "region"]
        assert region == {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "Scores"}


def saved(shown: display.Html) -> tuple[dict[str, str | None], str]:
    """A table's link and the text of the file behind it."""
    (link,) = [attributes for tag, attributes in Reader(shown.markup).tags if tag == "a"]
    return link, base64.b64decode(str(link["href"]).partition(",")[2]).decode("utf-8-sig")


def test_a_table_can_be_saved_as_shown_or_with_the_numbers_behind_it():
    frame = pd.DataFrame({"model": ["A"], "time": ["1.00 s"]})
    link, content = saved(display.table(frame, "Times"))
    assert (link["download"], link["aria-label"]) == ("times.csv", "Download CSV: Times")
    assert content == "model,time\r\nA,1.00 s\r\n"
    raw = pd.DataFrame({"model": ["A"], "seconds": [0.9999]})
    assert saved(display.table(frame, "Times", data=raw))[1] == "model,seconds\r\nA,0.9999\r\n"
    assert saved(display.facts({"seed": 0, "share": 0.12345}, ""))[1] == "name,value\r\nseed,0\r\nshare,0.12345\r\n"


def test_a_fold_shows_its_parts_below_its_title():
    folded = display.fold("More", display.paragraphs(["a"]), display.paragraphs(["b"]))
    assert folded.markup == "<details><summary>More</summary><p>a</p><p>b</p></details>"


@pytest.fixture
def picture() -> str:
    charts.use_style()
    plt.close("all")  # what other tests left open
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    return display.figure(figure, alt='A "line"', caption="<Rising>").markup


def test_a_figure_has_its_text_and_refers_to_nothing_outside(picture):
    read = Reader(picture)
    ((_, attributes),) = [tag for tag in read.tags if tag[0] == "img"]
    assert attributes["alt"] == 'A "line"'
    assert read.text == "<Rising>"
    svg = base64.b64decode(str(attributes["src"]).removeprefix("data:image/svg+xml;base64,")).decode()
    assert svg.startswith("<?xml")
    references = re.findall(r'href="([^"]*)"|url\(([^)]*)\)', svg)
    assert references
    assert all((a or b).startswith("#") for a, b in references)
    assert "<script" not in svg


def test_a_shown_figure_is_closed_and_equal_figures_are_equal_files(picture):
    assert plt.get_fignums() == []
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    assert display.figure(figure, alt='A "line"', caption="<Rising>").markup == picture


def test_a_notebook_shows_the_markup():
    data, metadata = display.paragraphs(["a"])._repr_mimebundle_()
    assert data["text/html"] == "<p>a</p>"
    assert metadata == {"text/html": display.MADE_HERE}
    assert display.paragraphs(["a"], "notice").markup == '<div class="notice"><p>a</p></div>'
    assert display.paragraphs([], "notice").markup == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.00101, "1.01 ms"), (0.9, "900 ms"), (1, "1.00 s"), (119, "119 s"), (120, "2.00 min"), (7200, "2.00 h"),
     (360_000, "100 h"), (float("nan"), "not trained")],
)  # fmt: skip
def test_seconds_have_the_unit_that_people_read_them_in(value, shown):
    assert words.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2.64e-5, "0.0000264"), (0.09996, "0.100"), (4.65, "4.65"), (99.96, "100"), (12_345, "12,300"), (0, "0")],
)
def test_three_digits_are_shown_without_an_exponent(value, shown):
    assert words.plain(value) == shown


def test_a_cost_is_one_figure_or_a_range():
    assert words.usd(4.65, 4.65) == "4.65"
    assert words.usd(0.001, 0.003) == "0.00100 to 0.00300"
    assert words.usd(float("nan"), float("nan")) == "not trained"


def test_points_sizes_and_numbers_of_parameters():
    assert words.points(81.24, 80.36, 82.0) == "81.2 (80.4–82.0)"
    assert [words.size(n) for n in (2**10 * 37, 2**20, 438e6)] == ["37 KiB", "1.0 MiB", "417.7 MiB"]
    assert [words.parameters(n) for n in (9_234, 940_000, 109.4e6)] == ["9,234", "0.94 M", "109.4 M"]


@pytest.mark.parametrize(("value", "shown"), [(1.04, "1.0"), (9.94, "9.9"), (9.96, "10"), (2604.0, "2,604")])
def test_ratios_are_never_in_powers_of_ten(value, shown):
    assert words.ratio(value) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_sections_have_a_heading_and_named_sentences_and_escape_both(text):
    read = Reader(display.sections([(text, {"Published": text, "It implies": "more"}), ("last", {})]).markup)
    assert [tag for tag, _ in read.tags] == ["h3", "dl", "dt", "dd", "dt", "dd", "h3", "dl"]
    assert read.text == f"{text}Published{text}It impliesmorelast"


def test_a_table_without_rows_says_none():
    assert Reader(display.table(pd.DataFrame(columns=["model"]), "Runs").markup).text == "Runs: none."
