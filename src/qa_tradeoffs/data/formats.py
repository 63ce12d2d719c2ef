"""Files of questions in common formats, recognised by content and not by name.

SQuAD's nesting, a list of its articles, or flat rows with the Hub's columns, as JSON, JSONL, CSV or parquet, each also
compressed by gzip. Nothing in a file is ever executed: no scripts, no pickles.
"""

import contextlib
import gzip
import io
import json
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from charset_normalizer import from_bytes

from qa_tradeoffs.core.documents import one_line, parse_json, quoted
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import read_bytes

NESTED, FLAT = "SQuAD's nesting", "flat rows"
_EXPECTED = (
    "expected SQuAD's nesting (data[].paragraphs[].qas[]), a list of its articles, or rows with the columns id, title, "
    "context, question and answers"
)
# The most likely encodings of text that is not UTF-8, the most common first.
_ENCODINGS = "cp1252 cp1250 cp1251 koi8_r cp1253 cp1254 cp1255 cp1256 cp874 cp932 euc_jp gb18030 big5 euc_kr".split()
# gzip compresses text to about a tenth. A file compressed far more than that is a gzip bomb.
_MOST_UNPACKED = 100  # times the bytes of the gzip file
_ANYWAY_UNPACKED = 2**24  # bytes; any file may unpack to this many
_COLUMNS = {"context", "question"}  # these identify a table; their cells are text even if empty


@dataclass(frozen=True)
class Contents:
    """A file's content, articles or flat rows, and its form in words, such as 'JSONL, flat rows'."""

    form: str
    articles: list[Any] | None = None
    rows: list[Any] | None = None

    @property
    def is_official(self) -> bool:
        """Whether this is the form in which SQuAD itself is published."""
        return self.form == f"JSON, {NESTED}"


def read(path: Path) -> Contents:
    """The content of one file. Raises StudyError naming the expected forms and what the file is instead."""
    content = read_bytes(path)
    if content.startswith(b"\x1f\x8b"):
        content = _unpacked(content, path)
    if content.startswith(b"PAR1"):
        try:
            rows = pq.read_table(io.BytesIO(content)).to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise StudyError(f"{path}: is a parquet file that cannot be read ({one_line(error)})") from None
        return recognised(rows, "parquet", path)
    return _of_text(_decoded(content, path), path)


def recognised(content: Any, form: str, place: object) -> Contents:
    """Articles or rows, recognised by their keys. Raises StudyError if they are neither."""
    match content:
        case {"data": list() | dict() as data}:
            found = recognised(data, form, place)
            return replace(found, form=f"{form}, {NESTED}") if found.articles is data else found
        case {"paragraphs": _}:
            return Contents(f"{form}, one article", articles=[content])
        case {"context": list() as contexts, "question": list()}:
            columns = {key: column for key, column in content.items() if isinstance(column, list)}
            if uneven := [key for key, column in columns.items() if len(column) != len(contexts)]:
                raise StudyError(f"{place}: the columns context and {uneven[0]} differ in length; make them equal")
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            return Contents(f"{form}, columns", rows=rows)
        case [{"data": list()}, *_] if all(
            isinstance(whole, dict) and isinstance(whole.get("data"), list) for whole in content
        ):
            # Files in SQuAD's nesting, as the datasets library reads them.
            return recognised([part for whole in content for part in whole["data"]], form, place)
        case [{"paragraphs": _}, *_]:
            return Contents(f"{form}, a list of articles", articles=content)
        case [{"qas": _}, *_]:
            return Contents(f"{form}, paragraphs", articles=[{"paragraphs": [part]} for part in content])
        case {"context": str(), "question": _}:  # a single line of JSONL
            return Contents(f"{form}, {FLAT}", rows=[content])
        case [] | [{"question": _}, *_] | [{"context": _}, *_]:
            return Contents(f"{form}, {FLAT}", rows=content)
    raise StudyError(f"{place}: is {form}{_described(content)}; {_EXPECTED}")


def _unpacked(content: bytes, path: Path) -> bytes:
    """The content of a gzip file, unpacked only up to a plausible size for text."""
    most = max(_MOST_UNPACKED * len(content), _ANYWAY_UNPACKED)
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise StudyError(f"{path}: is a gzip file that cannot be unpacked ({one_line(error)})") from None
    if len(unpacked) > most:
        raise StudyError(
            f"{path}: is a gzip file of {len(content):,} bytes that unpacks to more than {most:,}, too many for text; "
            "give the unpacked file"
        )
    return unpacked


def _decoded(content: bytes, path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark."""
    encoding: str = json.detect_encoding(content[:4])  # as JSON defines: by byte order mark or zero bytes
    if encoding.startswith("utf-8"):
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode("utf-8-sig")
        encoding = _guessed(content)
    what = f"text in the encoding {encoding}" if encoding else "neither text nor a gzip or parquet file"
    raise StudyError(f"{path}: is {what}; save it as text in UTF-8")


def _guessed(content: bytes) -> str:
    """The likeliest encoding of a text in words, the most common of equally likely ones; '' if none fits."""
    found = list(from_bytes(content, cp_isolation=_ENCODINGS))
    likely = {name for guess in found if guess.chaos == found[0].chaos for name in guess.could_be_from_charset}
    return next((f"{name}, it seems" for name in _ENCODINGS if name in likely), "")


def _of_text(text: str, path: Path) -> Contents:
    """The content as JSON, JSONL or CSV, decided by the first line."""
    first, _, rest = text.strip().partition("\n")
    if not first.startswith(("{", "[")):
        return _of_csv(text, first, path)
    if rest and _is_json(first):
        lines = enumerate(text.split("\n"), 1)  # other line breaks may occur inside a text
        rows = [parse_json(line, f"{path}: line {number}") for number, line in lines if line.strip()]
        return recognised(rows, "JSONL", path)
    return recognised(parse_json(text, path), "JSON", path)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _of_csv(text: str, header: str, path: Path) -> Contents:
    """A table with a header; all cells are read as text, so that ids and titles stay as written."""
    separator = next((mark for mark in ",\t;|" if {name.strip('"\r') for name in header.split(mark)} >= _COLUMNS), "")
    if not separator:
        begins = f"begins with {one_line(header, 40)!r}" if header else "is empty"
        raise StudyError(f"{path}: {begins}, which is neither JSON nor the header of a table; {_EXPECTED}")
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise StudyError(f"{path}: is a CSV table that cannot be read ({one_line(error)})") from None
    rows = [{key: _cell(key, value) for key, value in row.items()} for row in table.to_dict("records")]
    return Contents(f"CSV, {FLAT}", rows=rows)


def _cell(column: str, value: Any) -> Any:
    """A cell's value: a bool for is_impossible, an int for answer_start, otherwise text; None if it is empty."""
    if not isinstance(value, str) or (value == "" and column not in _COLUMNS):  # not text: the row is too short
        return None
    if column == "is_impossible":
        return {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    if column == "answer_start" and re.fullmatch(r"[0-9]{1,18}(\.0)?", value):
        return int(value.removesuffix(".0"))
    return value


def _described(content: Any) -> str:
    """A description of JSON content that is not a data set: its keys, or what it lists."""
    part = content[0] if isinstance(content, list) else content
    keys = ", ".join(map(str, list(part)[:8])) if isinstance(part, dict) else ""
    what = (f"an object with {keys}" if keys else "an empty object") if isinstance(part, dict) else quoted(part)
    return one_line(f", {'a list that begins with ' if isinstance(content, list) else ''}{what}", 120)
