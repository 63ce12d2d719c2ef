"""A table as a file in a link: read back it is the table, and no cell of it is a formula."""

import base64
import io

import pandas as pd
import pytest

from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.report import download


def test_numbers_are_in_full_and_texts_are_quoted_where_they_must_be():
    frame = pd.DataFrame({"model": ['a "b"', "c, d"], "F1": [0.1 + 0.2, float("nan")], "n": [1, 2]})
    assert download.content(frame) == 'model,F1,n\r\n"a ""b""",0.30000000000000004,1\r\n"c, d",,2\r\n'


def test_a_range_in_a_cell_is_kept_as_it_is():
    frame = pd.DataFrame({"usd": [(1.0, 3.0)], "none": [None]})
    assert download.content(frame) == 'usd,none\r\n"(1.0, 3.0)",\r\n'


def test_the_address_holds_the_table_for_spreadsheets_too():
    frame = pd.DataFrame({"réponse": ["ü\nv", ""], "n": [1.5, 2.0]})
    start, encoded = download.address(frame).split(",")
    assert start == "data:text/csv;charset=utf-8;base64"
    content = base64.b64decode(encoded)
    assert content.startswith(b"\xef\xbb\xbf")  # the mark by which spreadsheets know UTF-8
    read = pd.read_csv(io.BytesIO(content), keep_default_na=False)
    pd.testing.assert_frame_equal(read, frame)


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "+1.0 (0.5)"])
def test_a_text_that_would_be_run_as_a_formula_is_defused_in_cells_and_headers(text):
    read = pd.read_csv(io.StringIO(download.content(pd.DataFrame({text: [text]})), newline=""))
    assert list(read.columns) == [f"'{text}"]
    assert read.iloc[0, 0] == f"'{text}"


@pytest.mark.parametrize("text", ["-1", "+0.5", "-1.5e-3", "+12,300"])
def test_a_number_keeps_its_sign(text):
    frame = pd.DataFrame({"x": pd.Series([text, -1.5], dtype=object)})
    read = pd.read_csv(io.StringIO(download.content(frame)), dtype=str)
    assert read["x"].tolist() == [text, "-1.5"]


def test_a_file_is_named_after_the_caption():
    assert download.file_name("Peak memory: a forward pass, 8 × 384") == "peak-memory-a-forward-pass-8-384.csv"
    assert download.file_name("../../<é>") == "table.csv"
    assert len(download.file_name("word " * 100)) <= 64


def test_a_saved_table_names_no_folder_of_this_machine():
    assert download.content(pd.DataFrame({"file": [f"{ROOT}/runs/x"]})) == "file\r\n./runs/x\r\n"
