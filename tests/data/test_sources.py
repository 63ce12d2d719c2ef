"""Reading questions: every case is one small file whose correct reading or refusal is obvious."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import generated, sources
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.study.config import FileData, GeneratedData, HubData
from tests.changes import REMOVED, replaced

CONTEXT = "Ada met Bob. Bob left."


def qa(number: int, text: str = "Ada", start: int = 0) -> dict[str, Any]:
    return {"id": f"q{number}", "question": "Who?", "answers": [{"text": text, "answer_start": start}]}


def squad(*articles: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """SQuAD's nesting: a title and questions about CONTEXT for each article."""
    return {
        "version": "1.1",
        "data": [{"title": title, "paragraphs": [{"context": CONTEXT, "qas": qas}]} for title, qas in articles],
    }


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(content: Any, name: str = "squad.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return write


def sentence(error: pytest.ExceptionInfo[StudyError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_nesting_of_squad_is_read_in_order(file):
    content = squad(("People", [qa(1), qa(2, "Bob", 8)]), ("More", [qa(3, "left", 17)]))
    examples, notes = sources.read_files(file(content))
    assert notes == ()
    assert examples == [
        Example("q1", "People", CONTEXT, "Who?", ("Ada",), (0,)),
        Example("q2", "People", CONTEXT, "Who?", ("Bob",), (8,)),
        Example("q3", "More", CONTEXT, "Who?", ("left",), (17,)),
    ]


def test_articles_without_a_title_are_distinguished_by_number(file):
    content = squad(("", [qa(1)]), ("Named", [qa(2)]))
    del content["data"][0]["title"]
    assert [example.title for example in sources.read_files(file(content))[0]] == ["article 0", "Named"]


QA = ("data", 0, "paragraphs", 0, "qas", 0)
AT_QA = "data[0].paragraphs[0].qas[0]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("data", 0, "title", []), "data[0].title: must be text"),
        (("data", 0, "paragraphs", 0, "context", 5), "data[0].paragraphs[0].context: must be text"),
        (
            ("data", 0, "paragraphs", 0, "context", " \n"),
            f"1 of 1 question has an empty context, first 'q1' ({AT_QA});",
        ),
        ((*QA, "id", True), f"{AT_QA}.id: must be text"),
        ((*QA, "question", REMOVED), f"{AT_QA}.question: is missing"),
        ((*QA, "question", " "), f"1 of 1 question has a blank question, first 'q1' ({AT_QA}); correct them, or"),
        ((*QA, "question", "Who \ud83d?"), f"{AT_QA}.question: must be valid Unicode"),
        ((*QA, "answers", 0, "text", REMOVED), f"{AT_QA}.answers[0].text: is missing"),
        ((*QA, "answers", 0, "text", ""), "1 of 1 question has an answer that does not occur in the context, first"),
        ((*QA, "answers", 0, "answer_start", "0"), f"{AT_QA}.answers[0].answer_start: must be a whole number"),
        (("data", 0, "paragraphs", []), "has no question"),
    ],
)
def test_what_is_not_squad_is_refused_with_file_place_and_id(file, change, message):
    path = file(replaced(squad(("People", [qa(1)])), change[:-1], change[-1]))
    with pytest.raises(StudyError) as error:
        sources.read_files(path)
    assert sentence(error).startswith(f"{path}: {message}")


def test_a_study_neither_trains_nor_scores_the_questions_of_its_threshold():
    plain = GeneratedData(
        source="generated", train_passages=9, validation_passages=3, questions_per_passage=4, unanswerable_share=0.5
    )
    whole, splits = (sources.load(plain.model_copy(update={"threshold_questions": n})) for n in (None, 10))
    assert (len(splits.train), len(splits.threshold), len(splits.validation)) == (24, 12, 12)
    assert {e.id for e in splits.train + splits.threshold} == {e.id for e in whole.train}
    assert splits.validation == whole.validation
    assert splits.fingerprint != whole.fingerprint
    assert "threshold questions" in sources.summary(splits)
    assert "threshold questions" not in sources.summary(whole)


def test_a_study_splits_one_file_by_article(file):
    content = squad(("A", [qa(1), qa(2)]), ("B", [qa(3), qa(4)]))
    path = file(replaced(content, ("data", 1, "paragraphs", 0, "context"), "Ada left."))
    splits = sources.load(FileData(source="files", file=path, validation_share=0.5, validation_limit=1))
    assert len(splits.train) == 2
    assert len(splits.validation) == 1
    assert splits.train[0].title != splits.validation[0].title


def test_a_study_reads_two_files_and_gathers_their_notes(file):
    train, validation = file(squad(("A", [qa(1, "Bob", 0)])), "a.json"), file(squad(("B", [qa(2)])), "b.json")
    splits = sources.load(FileData(source="files", train=train, validation=validation))
    assert [example.id for example in splits.train + splits.validation] == ["q1", "q2"]
    assert [note.split(":")[0] for note in splits.notes] == ["a.json", "data"]
    assert splits.notes[1].startswith("data: 1 of 1 validation passage also occurs on the training side")


def test_without_training_questions_a_study_still_reads_the_others(file):
    splits = sources.load(FileData(source="files", validation=file(squad(("B", [qa(2)])))))
    assert (splits.train, len(splits.validation)) == ([], 1)


def test_a_question_cannot_be_in_training_and_validation(file):
    both = {"train": file(squad(("A", [qa(1), qa(2)])), "a.json"), "validation": file(squad(("B", [qa(2)])), "b.json")}
    with pytest.raises(StudyError, match=r"^data: 1 ids are in both train and validation, first 'q2';"):
        sources.load(FileData(source="files", **both))


def test_the_fingerprint_of_splits_is_of_order_and_sides():
    one, two = (Example(name, "t", CONTEXT, "Who?", ("Ada",), (0,)) for name in ("q1", "q2"))
    both = [([one], [two]), ([two], [one]), ([one, two], []), ([two, one], [])]
    assert len({sources.Splits(*sides).fingerprint for sides in both}) == 4


def test_the_summary_counts_questions_passages_and_words():
    about_ada = [Example(f"{n}", "t", CONTEXT, "Who?", ("Ada",), (0,)) for n in range(2)]
    examples = [*about_ada, Example("z", "t", "one two three", "Who?", ("one",), (0,))]
    table = sources.summary(sources.Splits(examples, []))
    # passages of 5 and of 3 words
    assert table["training questions"] == "3 about 2 passages of 4 words (median)"
    assert table["validation questions"] == "0 about 0 passages of 0 words (median)"


def test_generated_data_come_from_the_generator():
    splits = sources.load(
        GeneratedData(source="generated", train_passages=3, validation_passages=2, questions_per_passage=2, seed=5)
    )
    assert splits.train == generated.generate(3, 2, "train", 5)
    assert splits.validation == generated.generate(2, 2, "validation", 5)


HUB = HubData(source="hub", name="some/squad", revision="main")


def row(number: int, **columns: Any) -> dict[str, Any]:
    answers = {"text": ["Ada"], "answer_start": [0]}
    return {"id": f"q{number}", "title": "t", "context": CONTEXT, "question": "Who?", "answers": answers} | columns


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """A function that puts these rows where the Hub's data set would be fetched to, one parquet file per split."""
    folder = tmp_path / "0123abc"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def fetch(name: str, revision: str, files: list[str], kind: str) -> Path:
        assert (name, revision, kind) == ("some/squad", "main", "dataset")
        return folder

    def serve(**splits: list[dict[str, Any]]) -> None:
        (folder / "data").mkdir(parents=True)
        for name, rows in splits.items():
            pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{name}-00000-of-00001.parquet")

    monkeypatch.setattr(sources.hub, "fetch", fetch)
    return serve


def test_a_data_set_of_the_hub_is_read_at_its_revision(hub):
    hub(train=[row(1), row(2)], validation=[row(3, answers={"text": ["Bob"], "answer_start": [9]})])
    splits = sources.load(HUB)
    assert splits.train[1] == Example("q2", "t", CONTEXT, "Who?", ("Ada",), (0,))
    assert splits.validation[0].answer_starts == (8,)
    assert splits.revision == "0123abc"
    assert splits.notes[0].startswith("some/squad[validation]: 1 of 1 question has an answer that is not at its ")


def test_limits_draw_from_each_split_of_the_hub(hub):
    hub(train=[row(n) for n in range(9)], validation=[row(n) for n in range(10, 14)])
    splits = sources.load(HUB.model_copy(update={"train_limit": 4, "validation_limit": 2}))
    assert (len(splits.train), len(splits.validation)) == (4, 2)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": True}, "rows[0].id: must be text"),
        ({"context": None}, "rows[0].context: is missing"),
        ({"answers": ["Ada"]}, "rows[0].answers[0]: must be a mapping of keys"),
        ({"answers": {"text": ["Ada"]}}, "rows[0].answers: has no answer_start; each answer needs one"),
        ({"answers": {"text": ["Ada"], "answer_start": []}}, "rows[0].answers: has 1 text but 0 answer_start"),
        ({"answers": {"text": ["Ada"], "answer_start": ["0"]}}, "rows[0].answers[0].answer_start: must be a whole"),
        (
            {"answers": {"text": [], "answer_start": []}},
            "1 of 1 question has no answer, first 'q1' (rows[0]); give each",
        ),
    ],
)
def test_columns_that_are_not_those_of_squad_are_refused_with_row_and_column(hub, columns, message):
    hub(train=[row(1, **columns)], validation=[row(2, **columns)])
    with pytest.raises(StudyError) as error:
        sources.load(HUB)
    assert sentence(error).startswith(f"some/squad[train]: {message}")


def test_the_splits_of_the_hub_may_have_other_names(hub):
    hub(train=[row(1)], test=[row(2, context="Ada left.")])
    with pytest.raises(StudyError, match=r"^data: some/squad has no split 'validation', only train, test"):
        sources.load(HUB)
    splits = sources.load(HUB.model_copy(update={"validation_split": "test"}))
    assert [[example.id for example in side] for side in (splits.train, splits.validation)] == [["q1"], ["q2"]]


def test_the_only_split_of_the_hub_may_be_split_by_article(hub):
    hub(validation=[row(n, title=f"t{n // 2}", context=f"Ada met {n // 2}.") for n in range(8)])
    splits = sources.load(HubData(source="hub", name="some/squad", revision="main", split="validation"))
    assert (len(splits.train), len(splits.validation), splits.revision) == (6, 2, "0123abc")
    assert not {e.title for e in splits.train} & {e.title for e in splits.validation}


def test_a_data_set_of_the_hub_may_be_in_the_nesting_of_squad(hub, tmp_path):
    hub()
    for name, number in (("train", 1), ("validation", 2)):
        (tmp_path / "0123abc" / "data" / f"{name}.json").write_text(json.dumps(squad(("People", [qa(number)]))))
    assert sources.load(HUB).train == [Example("q1", "People", CONTEXT, "Who?", ("Ada",), (0,))]


def two_configs(folder: Path, card: bool) -> None:
    for config, number in (("en", 1), ("de", 3)):
        for name, n in (("train", number), ("validation", number + 1)):
            path = folder / config / name / "0000.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist([row(n)]), path)
    if card:
        configs = [f"- config_name: {name}\n  data_dir: {name}\n" for name in ("en", "de")]
        (folder / "README.md").write_text("---\nconfigs:\n" + "".join(configs) + "---\n")


@pytest.mark.parametrize("card", [True, False])
def test_one_of_several_configs_of_the_hub_is_read(hub, tmp_path, card):
    hub()
    two_configs(tmp_path / "0123abc", card)
    splits = sources.load(HUB.model_copy(update={"config": "de"}))
    assert [example.id for example in splits.train + splits.validation] == ["q3", "q4"]
    with pytest.raises(StudyError, match=r"^data\.config: some/squad has no config 'fr'; it has "):
        sources.load(HUB.model_copy(update={"config": "fr"}))
    with pytest.raises(StudyError, match=r"^data\.config: some/squad has no config '\.\.'; it has "):
        sources.load(HUB.model_copy(update={"config": ".."}))


def test_if_the_hub_has_several_configs_one_has_to_be_named(hub, tmp_path):
    hub()
    two_configs(tmp_path / "0123abc", card=True)
    with pytest.raises(StudyError, match=r"^data: some/squad has the configs en, de; name one as `data\.config`$"):
        sources.load(HUB)


def test_a_question_of_the_hub_cannot_be_in_both_splits(hub):
    hub(train=[row(1)], validation=[row(1)])
    with pytest.raises(StudyError, match="first 'q1'; "):
        sources.load(HUB)


def test_files_of_the_hub_that_are_not_a_data_set_are_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(sources.hub, "fetch", lambda *asked: tmp_path)
    with pytest.raises(StudyError) as error:
        sources.load(HUB)
    assert sentence(error).startswith("data: some/squad at main cannot be loaded as a data set (")
