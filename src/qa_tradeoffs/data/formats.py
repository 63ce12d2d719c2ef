"""Files of questions in the forms that people have them in, told apart by their content, whatever their names.

SQuAD's nesting, its articles alone, or flat rows with the Hub's columns, as JSON, JSONL, CSV or parquet, each also
packed by gzip. Nothing in a file is ever run: no scripts, no pickles.
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
# What text that is not in UTF-8 is mostly in, the most widespread first.
_ENCODINGS = "cp1252 cp1250 cp1251 koi8_r cp1253 cp1254 cp1255 cp1256 cp874 cp932 euc_jp gb18030 big5 euc_kr".split()
# Text is packed to a tenth or so. What is packed much further only fills the memory, as a gzip bomb does.
_MOST_UNPACKED = 100  # times the bytes of the gzip file
_ANYWAY_UNPACKED = 2**24  # bytes that any file may unpack to
_COLUMNS = {"context", "question"}  # by these a table is known, and these are texts even where they are empty


@dataclass(frozen=True)
class Contents:
    """What a file holds: articles, or flat rows, and its form in words, as in 'JSONL, flat rows'."""

    form: str
    articles: list[Any] | None = None
    rows: list[Any] | None = None

    @property
    def is_official(self) -> bool:
        """Whether this is the form that SQuAD itself is published in."""
        return self.form == f"JSON, {NESTED}"


def read(path: Path) -> Contents:
    """The content of one file. Raises StudyError that names the form, or says what the file is instead."""
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
    """Articles or rows, by the keys that they have. Raises StudyError where they are neither."""
    match content:
        case {"data": list() | dict() as data}:
            found = recognised(data, form, place)
            return replace(found, form=f"{form}, {NESTED}") if found.articles is data else found
        case {"paragraphs": _}:
            return Contents(f"{form}, one article", articles=[content])
        case {"context": list() as contexts, "question": list()}:
            columns = {key: column for key, column in content.items() if isinstance(column, list)}
            if uneven := [key for key, column in columns.items() if len(column) != len(contexts)]:
                raise StudyError(f"{place}: the columns context and {uneven[0]} are of different length")
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
    """What gzip packed; no more of it is unpacked than text takes."""
    most = max(_MOST_UNPACKED * len(content), _ANYWAY_UNPACKED)
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise StudyError(f"{path}: is a gzip file that cannot be unpacked ({one_line(error)})") from None
    if len(unpacked) > most:
        raise StudyError(
            f"{path}: is a gzip file of {len(content):,} bytes that unpacks to more than {most:,}, which no text does; "
            "give the questions unpacked"
        )
    return unpacked


def _decoded(content: bytes, path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark."""
    encoding: str = json.detect_encoding(content[:4])  # of the JSON standard: by the mark, or by where the zeros are
    if encoding.startswith("utf-8"):
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode("utf-8-sig")
        encoding = _guessed(content)
    what = f"text in the encoding {encoding}" if encoding else "no text, no gzip and no parquet file"
    raise StudyError(f"{path}: is {what}; save it as text in UTF-8")


def _guessed(content: bytes) -> str:
    """The likeliest encoding of a text in words, of equally likely ones the most widespread; '' where none fits."""
    found = list(from_bytes(content, cp_isolation=_ENCODINGS))
    likely = {name for guess in found if guess.chaos == found[0].chaos for name in guess.could_be_from_charset}
    return next((f"{name}, as it seems" for name in _ENCODINGS if name in likely), "")


def _of_text(text: str, path: Path) -> Contents:
    """JSON, JSONL or CSV: whichever it is, by its first line."""
    first, _, rest = text.strip().partition("\n")
    if not first.startswith(("{", "[")):
        return _of_csv(text, first, path)
    if rest and _is_json(first):
        lines = enumerate(text.split("\n"), 1)  # other ends of lines may be inside of a text
        rows = [parse_json(line, f"{path}: line {number}") for number, line in lines if line.strip()]
        return recognised(rows, "JSONL", path)
    return recognised(parse_json(text, path), "JSON", path)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _of_csv(text: str, header: str, path: Path) -> Contents:
    """A table with a header; all that its cells hold is text, from which ids and titles are to be taken as they are."""
    separator = next((mark for mark in ",\t;|" if {name.strip('"\r') for name in header.split(mark)} >= _COLUMNS), "")
    if not separator:
        begins = f"begins with {one_line(header, 40)!r}" if header else "is empty"
        raise StudyError(f"{path}: {begins}, which is neither JSON nor the header of a table; {_EXPECTED}")
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own errors are of this type
        raise StudyError(f"{path}: is a CSV table that cannot be read ({one_line(error)})") from None
    rows = [{key: _cell(key, value) for key, value in row.items()} for row in table.to_dict("records")]
    return Contents(f"CSV, {FLAT}", rows=rows)


def _cell(column: str, value: Any) -> Any:
    """What a cell of a table stands for: a text, but for the columns that hold no text; None where it is empty."""
    if not isinstance(value, str) or (value == "" and column not in _COLUMNS):  # no text: the row ends before
        return None
    if column == "is_impossible":
        return {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    if column == "answer_start" and re.fullmatch(r"[0-9]{1,18}(\.0)?", value):
        return int(value.removesuffix(".0"))
    return value


def _described(content: Any) -> str:
    """What JSON holds that is no data: its keys, or what kind of thing it lists."""
    part = content[0] if isinstance(content, list) else content
    keys = ", ".join(map(str, list(part)[:8])) if isinstance(part, dict) else ""
    what = (f"an object with {keys}" if keys else "an empty object") if isinstance(part, dict) else quoted(part)
    return one_line(f", {'a list that begins with ' if isinstance(content, list) else ''}{what}", 120)
