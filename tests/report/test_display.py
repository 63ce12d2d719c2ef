"""Markup for notebooks: no text becomes markup, tables and pictures can be read aloud, and tables can be saved."""

import base64
import io
import re

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.report import display
from tests.report.conftest import Reader

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "]]><svg/onload=alert(1)>", "a & 'b'"]
TAGS = set("div table caption span thead tbody tr th td p ul li a figure figcaption pre details summary mark dl dt dd"
           .split())  # fmt: skip
SCORES = pd.DataFrame({"model": ["A", "B"], "F1": [1.0, 22.5]})


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_escaped_and_never_markup(text):
    for made in (
        display.table(pd.DataFrame({text: [text, "plain"], "n": [1, 2]}), text),
        display.facts({text: text}, text),
        display.paragraphs([text], text),
        display.links({text: [(text, "page.html")]}),
        display.text(text, text),
        display.fold(text, display.paragraphs([text])),
        display.passage(text, [(text, []), (text, [text])], [(text, text, text)]),
    ):
        read = Reader(made.markup)
        assert text in read.text
        assert {tag for tag, _ in read.tags} <= TAGS
        assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)


def test_an_address_cannot_leave_its_attribute():
    assert Reader(display.links({"a": [("b", 'x" onclick="y')]}).markup).all("a") == [{"href": 'x" onclick="y'}]


def test_a_table_has_a_caption_and_headers_for_rows_and_columns():
    read = Reader(display.table(SCORES, "Scores").markup)
    assert [head.get("scope") for head in read.all("th")] == ["col", "col", "row", "row"]
    assert [cell.get("class") for cell in read.all("td")] == ["number", "number"]
    assert read.text == "ScoresmodelF1A1B22.5Download CSV"


def test_a_table_without_rows_says_none():
    assert display.table(SCORES[:0], "Runs").markup == "<p>Runs: none.</p>"


def test_what_may_be_wide_can_be_scrolled_with_the_keyboard_and_has_a_name():
    for made in (display.table(SCORES, "Scores"), display.facts({"a": 1}, "Scores"), display.text("a", "Scores")):
        (region,) = [attributes for _, attributes in Reader(made.markup).tags if attributes.get("role") == "region"]
        assert region == {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "Scores"}


@pytest.fixture
def picture() -> display.Html:
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    return display.figure(figure, 'A "line"', ["1", "2"], "<Rising>")


def test_a_figure_has_its_text_and_refers_to_nothing_outside(picture):
    read = Reader(picture.markup)
    (image,) = read.all("img")
    assert (image["alt"], read.text) == (picture.alt, "<Rising>") == ('A "line": 1; 2.', "<Rising>")
    svg = base64.b64decode(image["src"].removeprefix("data:image/svg+xml;base64,")).decode()
    assert svg.encode() == picture.svg
    assert svg.startswith("<?xml") and "<script" not in svg
    references = re.findall(r'href="([^"]*)"|url\(([^)]*)\)', svg)
    assert references
    assert all((a or b).startswith("#") for a, b in references)


def test_a_displayed_figure_is_closed_and_equal_figures_are_equal_files(picture):
    assert plt.get_fignums() == []
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    assert display.figure(figure, 'A "line"', ["1", "2"], "<Rising>") == picture


def test_a_notebook_stores_the_markup_and_that_it_was_made_here():
    data, metadata = display.paragraphs(["a"])._repr_mimebundle_()
    assert (data["text/html"], metadata) == ("<p>a</p>", {"text/html": display.MADE_HERE})


def test_what_stands_in_backticks_is_code_and_stays_escaped():
    assert display.paragraphs(["a `<b>` c"]).markup == "<p>a <code>&lt;b&gt;</code> c</p>"


def test_parts_follow_each_other_and_may_be_folded_or_have_a_style():
    a, b = display.paragraphs(["a"]), display.paragraphs(["b"], "notice")
    assert display.together(a, b).markup == '<p>a</p><div class="notice"><p>b</p></div>'
    assert display.fold("More", a, a).markup == "<details><summary>More</summary><p>a</p><p>a</p></details>"
    assert display.paragraphs([], "notice").markup == ""


def saved(made: display.Html) -> tuple[dict[str, str], bytes]:
    """A table's link and the file behind it."""
    (link,) = Reader(made.markup).all("a")
    start, _, content = str(link["href"]).partition(",")
    assert start == "data:text/csv;charset=utf-8;base64"
    return link, base64.b64decode(content)


def test_a_table_is_saved_as_displayed_or_with_the_numbers_behind_it():
    frame = pd.DataFrame({"model": ["A"], "time": ["1.00 s"]})
    link, content = saved(display.table(frame, "Times"))
    assert (link["download"], link["aria-label"]) == ("times.csv", "Download CSV: Times")
    assert content.decode("utf-8-sig") == "model,time\r\nA,1.00 s\r\n"
    raw = pd.DataFrame({"model": ["A"], "seconds": [0.9999]})
    assert b"A,0.9999\r\n" in saved(display.table(frame, "Times", data=raw))[1]
    assert b"seed,0\r\nshare,0.12345\r\n" in saved(display.facts({"seed": 0, "share": 0.12345}, ""))[1]


def test_a_saved_table_is_utf_8_for_spreadsheets_too():
    frame = pd.DataFrame({"réponse": ["ü\nv", ""], "n": [1.5, 2.0]})
    _, content = saved(display.table(frame, "Answers"))
    assert content.startswith(b"\xef\xbb\xbf")  # the mark by which spreadsheets know UTF-8
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(content), keep_default_na=False), frame)


@pytest.mark.parametrize(
    ("caption", "name"),
    [("Peak memory: a forward pass, 8 × 384", "peak-memory-a-forward-pass-8-384.csv"), ("../../<é>", "table.csv"),
     ("word " * 100, "word-" * 11 + "word.csv")],
)  # fmt: skip
def test_a_file_is_named_after_the_caption(caption, name):
    assert saved(display.table(SCORES, caption))[0]["download"] == name


def test_csv_has_numbers_in_full_empty_cells_for_missing_ones_and_quotes_where_needed():
    frame = pd.DataFrame({"model": ['a "b"', "c, d"], "F1": [0.1 + 0.2, float("nan")], "usd": [(1.0, 3.0), None]})
    assert display.to_csv(frame) == 'model,F1,usd\r\n"a ""b""",0.30000000000000004,"(1.0, 3.0)"\r\n"c, d",,\r\n'


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "+1.0 (0.5)"])
def test_a_text_that_would_be_run_as_a_formula_is_defused_in_cells_and_headers(text):
    read = pd.read_csv(io.StringIO(display.to_csv(pd.DataFrame({text: [text]})), newline=""))
    assert (list(read.columns), read.iloc[0, 0]) == ([f"'{text}"], f"'{text}")


@pytest.mark.parametrize("text", ["-1", "+0.5", "-1.5e-3", "+12,300"])
def test_a_number_keeps_its_sign(text):
    frame = pd.DataFrame({"x": pd.Series([text, -1.5], dtype=object)})
    assert pd.read_csv(io.StringIO(display.to_csv(frame)), dtype=str)["x"].tolist() == [text, "-1.5"]


def test_neither_a_table_nor_its_file_names_a_folder_of_this_machine():
    made = display.table(pd.DataFrame({"file": [f"{ROOT}/runs/x"]}), "Files")
    assert "./runs/x" in made.markup
    assert saved(made)[1].endswith(b"file\r\n./runs/x\r\n")
