"""Every format of the same three questions is read alike, and unknown formats are refused with a description."""

import gzip
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import formats, sources
from qa_tradeoffs.data.example import Example

CONTEXT = "Zoë 'met' \"Bob\",\nand\u2028Eve."
EXAMPLES = [Example(f"{n}", "7", CONTEXT, "Who, 'if' any?", ("Zoë", "Bob"), (0, 11)) for n in range(3)]
ROWS = [
    {"id": e.id, "title": e.title, "context": e.context, "question": e.question,
     "answers": {"text": list(e.answers), "answer_start": list(e.answer_starts)}}
    for e in EXAMPLES
]  # fmt: skip
QAS = [{key: row[key] for key in ("id", "question", "answers")} for row in ROWS]
NESTED = {"data": [{"title": "7", "paragraphs": [{"context": CONTEXT, "qas": QAS}]}]}
BY_NUMBER = [row | {"id": int(row["id"]), "title": 7} for row in ROWS]


def as_json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def as_lines(content: Any) -> bytes:
    return b"\r\n".join(as_json(part) for part in content) + b"\n"


def written(name: str, folder: Path) -> bytes:
    """The rows as another library writes them."""
    path, table = folder / name, datasets.Dataset.from_list(ROWS)
    match name:
        case "parquet":
            pd.DataFrame(ROWS).to_parquet(path)
        case "csv of pandas":
            table.to_pandas().to_csv(path)  # answers as Python prints them, with numpy's arrays
        case "csv of datasets":
            table.to_csv(path)
        case "jsonl of datasets":
            table.to_json(path)
    return path.read_bytes()


def alone(mark: str) -> bytes:
    """A table with a single answer in separate columns."""
    header = mark.join(("id", "title", "context", "question", "answer_text", "answer_start"))
    return f"{header}\n{mark.join(('1', 't', 'Ada.', 'Who?', 'Ada', '0'))}\n".encode()


FORMS = {
    "nesting": as_json(NESTED),
    "articles": as_json(NESTED["data"]),
    "one article": as_json(NESTED["data"][0]),
    "an article on one line": as_lines(NESTED["data"]),
    "rows": as_json(ROWS),
    "offsets as floats": as_json([row | {"answers": row["answers"] | {"answer_start": [0.0, 11.0]}} for row in ROWS]),
    "rows under data": as_json({"version": 2, "data": ROWS}),
    "ids and titles as numbers": as_json(BY_NUMBER),
    "rows as lines": as_lines(ROWS),
    "columns": as_json({key: [row[key] for row in ROWS] for key in ROWS[0]}),
    "with a byte order mark": b"\xef\xbb\xbf" + as_json(ROWS),
    "packed": gzip.compress(as_lines(ROWS)),
    **dict.fromkeys(("parquet", "csv of pandas", "csv of datasets", "jsonl of datasets")),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_a_file_is_recognised_by_its_content_alone(tmp_path, form):
    content = FORMS[form] or written(form, tmp_path)
    path = tmp_path / "questions"
    path.write_bytes(content)
    assert sources.read_files(path) == (EXAMPLES, ())


def test_a_single_answer_is_text_even_if_it_looks_like_a_list(tmp_path):
    row = {"id": "1", "title": "t", "context": "See [1].", "question": "What?", "answer_text": "[1]", "answer_start": 4}
    (tmp_path / "a").write_bytes(as_json([row]))
    assert sources.read_files(tmp_path / "a")[0] == [Example("1", "t", "See [1].", "What?", ("[1]",), (4,))]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_single_answer_may_have_separate_columns(tmp_path, mark):
    (tmp_path / "a").write_bytes(alone(mark))
    assert sources.read_files(tmp_path / "a")[0] == [Example("1", "t", "Ada.", "Who?", ("Ada",), (0,))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]".encode("utf-16"), "is text in the encoding utf-16; save it as text in UTF-8"),
        ("[1]".encode("utf-32-le"), "is text in the encoding utf-32-le; save"),
        (
            as_json(ROWS).decode().replace("Who", "什么问题在这里").encode("gb18030"),
            "is text in the encoding gb18030, ",
        ),
        # German has the same bytes in these encodings: the most common is named.
        ("[Größe]".encode("cp1250"), "is text in the encoding cp1252, "),
        ("[Où est née Zoë, à la forêt, l'été]".encode("latin-1"), "is text in the encoding cp1252, "),
        (
            "[Gdzie mieszkał Łukasz? Mieszkał w Łodzi, później w Gdańsku, gdzie żył długo.]".encode("cp1250"),
            "is text in the encoding cp1250, ",
        ),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is neither text nor a gzip or parquet file; "),
        (gzip.compress(b"[]", mtime=0)[:-4], "is a gzip file that cannot be unpacked ("),
        (b"PAR1 and more", "is a parquet file that cannot be read ("),
        (b"", "is empty, which is neither JSON nor the header of a table; expected SQuAD's nesting ("),
        (b"Who met Ada?", "begins with 'Who met Ada?', which is neither JSON nor the header of a table; expected"),
        (b"context,question\n1,2\n1,2,3\n", "is a CSV table that cannot be read ("),
        (b'{"question": "a"}\n{"question"', "line 2: is not JSON ("),
        (b'{"id": 1, "items": []}', "is JSON, an object with id, items; expected SQuAD's nesting ("),
        (b'["a"]', "is JSON, a list that begins with 'a'; expected SQuAD's nesting"),
        (b'{"data": [{"a": 1}]}', "is JSON, a list that begins with an object with a; expected SQuAD's nesting"),
        (b'{"context": ["a"], "question": []}', "the columns context and question differ in length"),
    ],
)
def test_an_unknown_format_is_refused_with_a_description_of_the_file(tmp_path, content, message):
    path = tmp_path / "questions.json"
    path.write_bytes(content)
    with pytest.raises(StudyError) as error:
        formats.read(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_a_gzip_bomb_is_refused_within_bounded_memory(tmp_path):
    bomb = 100 * gzip.compress(bytes(2**20))  # 100 MiB of zeros: such files may follow each other in one
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(StudyError) as error:
            formats.read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(
        f"{path}: is a gzip file of {len(bomb):,} bytes that unpacks to more than {2**24:,}, "
    )
    assert peak < 3 * 2**24


def test_a_large_file_may_be_compressed_as_much_as_text_can_be(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_ANYWAY_UNPACKED", 0)
    (tmp_path / "a").write_bytes(gzip.compress(as_lines(ROWS)))
    assert sources.read_files(tmp_path / "a") == (EXAMPLES, ())


def test_a_table_that_prints_several_answers_without_commas_is_refused(tmp_path):
    datasets.Dataset.from_list(ROWS).flatten().to_csv(tmp_path / "a.csv")  # [0 11], and 'Zoë' 'Bob' would be one text
    with pytest.raises(
        StudyError, match=r"\(CSV, flat rows\): rows\[0\]\.answers: has 1 text but 2 answer_start; each answer"
    ):
        sources.read_files(tmp_path / "a.csv")


def test_messages_name_the_form_that_was_recognised(tmp_path):
    path = tmp_path / "questions"
    path.write_bytes(as_lines([ROWS[0], {key: ROWS[1][key] for key in ("id", "context", "answers")}]))
    with pytest.raises(StudyError) as error:
        sources.read_files(path)
    assert str(error.value) == f"{path} (JSONL, flat rows): rows[1].question: is missing"


@pytest.mark.parametrize("answers", ["__import__('os').system('touch ran')", "{'text': open('ran', 'w')}"])
def test_nothing_in_a_table_is_executed(tmp_path, monkeypatch, answers):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame([ROWS[0] | {"answers": answers}]).to_csv(tmp_path / "a.csv")
    with pytest.raises(StudyError, match="answers"):
        sources.read_files(tmp_path / "a.csv")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_corrupted_file_is_refused_or_has_answers_at_their_offsets(tmp_path, form):
    whole, path, rng = FORMS[form] or written(form, tmp_path), tmp_path / "spoilt", random.Random(0)
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(content))
            content[at : at + rng.choice((0, 1, 1, 20))] = rng.choice(
                (b"", b"0", b'"', b"{", b"]", b",", b"\xff", b"\0", b"\n")
            )
        path.write_bytes(content[: rng.choice((None, None, len(content) // 2))])
        try:
            examples, _ = sources.read_files(path)
        except StudyError as error:
            assert "\n" not in str(error)
            continue
        for e in examples:
            assert [
                e.context[start:][: len(text)] for text, start in zip(e.answers, e.answer_starts, strict=True)
            ] == list(e.answers)


def test_a_row_that_ends_early_has_missing_values(tmp_path):
    (tmp_path / "a").write_text("context,question,answers,is_impossible\nAda.,Who?,[]\nAda.\n")
    with pytest.raises(StudyError, match=r"\(CSV, flat rows\): rows\[1\]\.answers: is missing"):
        sources.read_files(tmp_path / "a", v2=True)


def test_empty_cells_of_an_answer_are_a_question_without_one(tmp_path):
    (tmp_path / "a").write_text("context,question,answer_text,answer_start\nAda.,Who?,Ada,0\nAda.,Where?,,\n")
    (known, unknown), _ = sources.read_files(tmp_path / "a", v2=True)
    assert (known.answers, unknown.answers) == (("Ada",), ())
    with pytest.raises(StudyError, match=r"1 of 2 questions has no answer, first .*rows\[1\]"):
        sources.read_files(tmp_path / "a")


def test_files_of_a_folder_or_list_are_read_in_order_with_distinct_names_for_untitled_articles(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    rows = [{key: row[key] for key in row if key != "title"} for row in ROWS]
    (folder / "b.jsonl").write_bytes(as_lines(rows[:1]))
    (folder / "a.json.gz").write_bytes(gzip.compress(as_json(rows[1:2])))
    (folder / "README.md").write_text("No data.")
    (tmp_path / "c").write_bytes(as_json(rows[2:]))
    examples, _ = sources.read_files(folder, tmp_path / "c")
    assert [(e.id, e.title) for e in examples] == [(f"{n}", f"article 0 of file {i}") for i, n in enumerate((1, 0, 2))]


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r": has no file that ends in \.json, \.jsonl, "):
        sources.read_files(tmp_path)


def test_missing_ids_are_made_from_the_content_and_noted_once(tmp_path):
    rows = [{key: row[key] for key in row if key != "id"} for row in ROWS]
    for name, content in (("a", rows), ("b", [rows[0] | {"question": "Where?"}, *rows])):
        (tmp_path / name).write_bytes(as_json(content))
    (first, notes), (second, _) = (sources.read_files(tmp_path / name) for name in "ab")
    assert [note.partition(" questions")[0] for note in notes] == ["a (JSON, flat rows): 3 of 3"]
    assert [e.id for e in first] == [e.id for e in second[1:]]
    assert len({e.id for e in second}) == 4
