"""What is committed of a report: pages that name no machine, and the main figures as records."""

import getpass
import json
from pathlib import Path

import pytest
from conftest import answers_of
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, writes

from benchmarks import readme
from qa_tradeoffs.analysis import cases
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.publish import snapshot
from qa_tradeoffs.report import differences, display, pages
from qa_tradeoffs.runs.paths import RunPaths
from tests.report.conftest import output_of

SCORES = {"bert": [[1.0, 0.5] * 20], "distilbert": [[0.5, 0.5] * 20]}


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    """An executed analysis and an executed notebook that say where they ran."""
    paths = RunPaths(tmp_path / "run")
    for name in ("5-analysis.ipynb", "audit.ipynb", "anomaly.ipynb", "bert/3-profile.ipynb"):
        text = f"{ROOT}/src/x.py {Path.home()}/secret /home/{getpass.getuser()}/x /opt/v/site-packages/tqdm/auto.py"
        outputs = [
            new_output("stream", name="stderr", text=text),
            new_output("execute_result", {"text/plain": text}),
            new_output("error", ename="E", evalue=text, traceback=[text]),
        ]
        file = paths.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(writes(new_notebook(cells=[new_code_cell(f"run = '{tmp_path}'", outputs=outputs)])))
    return paths


def test_the_summary_holds_each_models_figures_and_where_they_came_from(collected_of):
    summary = snapshot.summary(collected_of(SCORES, usd_per_hour=2.0))
    assert [model.label for model in summary.models] == ["BERT", "DistilBERT"]
    bert = summary.models[0]
    (f1,), (exact_match,), (asked,) = (bert.find(metric) for metric in ("f1", "exact_match", "question_seconds"))
    assert (f1.value, f1.n, f1.unit, f1.interval.over) == (75, 40, "points", "questions")
    half = 2.0227 * 25 / 39**0.5  # t at 39 degrees of freedom; 25 above or below the mean
    assert f1.bounds == pytest.approx((75 - half, 75 + half), abs=0.001)
    assert exact_match.value == 50
    assert (asked.value, asked.n) == (pytest.approx(0.2), 3)
    assert asked.interval.low < 0.2 < asked.interval.high
    assert [record.value for record in bert.find("train_seconds")] == [pytest.approx(3600)]
    assert [record.value for record in bert.find("train_usd")] == [pytest.approx(2)]  # an hour
    assert bert.find("million_usd")[0].value == pytest.approx(0.2 * 1e6 / 3600 * 2)
    assert summary.origin.device["name"]
    assert summary.price.startswith("a GPU, Some Cloud, ")


def test_the_summary_answers_as_the_report_does(collected_of):
    summary = snapshot.summary(collected_of(SCORES))
    for text in (
        "75.0 (66.9–83.1) over 40 questions",
        "100 ms a question: it is 2.00 times as fast as BERT",
        "significantly lower (over questions), -25.0 points",
    ):
        assert text in " ".join(summary.answer)


def test_a_price_that_is_a_range_gives_two_costs(collected_of):
    summary = snapshot.summary(collected_of(SCORES, usd_per_hour=[1.0, 3.0]))
    costs = summary.models[0].find("train_usd")
    assert [record.conditions["usd_per_hour"] for record in costs] == [1, 3]
    assert [record.value for record in costs] == pytest.approx([1, 3])


def test_published_pages_name_neither_the_machine_nor_its_user(collected_of, run, tmp_path):
    notebooks = [run.folder / "bert/3-profile.ipynb"]
    collected = collected_of(SCORES, publish_texts=True)  # else only what display.py made
    index = snapshot.publish(run, tmp_path / "published" / "x", collected, notebooks)
    assert sorted(path.name for path in index.parent.iterdir()) == [
        "5-analysis.html", "anomaly.html", "audit.html", "bert-3-profile.html", "index.html", "summary.json",
        "tradeoff.svg",
    ]  # fmt: skip
    assert list(index.parent.parent.iterdir()) == [index.parent]
    for file in index.parent.iterdir():
        for private in (str(ROOT), str(tmp_path), str(Path.home()) + "/", "/opt/v", "/home/"):
            assert private not in file.read_text()


@pytest.mark.parametrize("allowed", [True, False])
def test_text_of_the_data_set_is_published_only_if_the_study_says_so(collected_of, run, tmp_path, allowed):
    """A question, its passage and answers in every kind of output, and in a notebook of a model."""
    question = Example("q0", "Islands", "Yaren is in Nauru.", "Where is Yaren?", ("Nauru",), (12,))
    both = answers_of([question], {"A": [[1.0]], "B": [[0.0]]}, {"A": [["Nauru"]], "B": [["Yaren"]]})
    made = [
        differences.examples(cases.sample(both)),
        display.of_data(display.table({"answer": ["Nauru"]}, "Answers"), display.fold("More", display.none("Yaren"))),
    ]
    outputs = [output_of(part) for part in made]
    outputs += [new_output("stream", name="stdout", text="Yaren"), new_output("display_data", {"text/plain": "Nauru"})]
    cells = [new_markdown_cell("### Which?"), new_code_cell("show()", outputs=outputs)]
    for notebook in (run.folder / "5-analysis.ipynb", run.folder / "bert/3-profile.ipynb"):
        notebook.write_text(writes(new_notebook(cells=cells)))
    collected = collected_of(SCORES, publish_texts=True) if allowed else collected_of(SCORES)
    index = snapshot.publish(run, tmp_path / "x", collected, [run.folder / "bert/3-profile.ipynb"])
    for page in ("which.html", "5-analysis.html", "bert-3-profile.html"):
        text = (index.parent / page).read_text()
        assert (text.count("Nauru") > 3) == (text.count("Yaren") > 3) == allowed
        assert (display.LEFT_OUT in text) != allowed
    if not allowed:
        assert not [file for file in index.parent.iterdir() if {"Nauru", "Yaren"} & set(file.read_text().split())]


def test_publishing_again_replaces_the_pages(collected_of, run, tmp_path):
    old = tmp_path / "published" / "gone.html"
    old.parent.mkdir()
    old.touch()
    index = snapshot.publish(run, old.parent, collected_of(SCORES), [])
    assert not old.exists()
    before = {path.name: path.read_bytes() for path in index.parent.iterdir()}
    snapshot.publish(run, old.parent, collected_of(SCORES), [])
    assert {path.name: path.read_bytes() for path in index.parent.iterdir()} == before


def test_a_report_that_is_too_large_is_refused_and_the_old_one_stays(collected_of, run, tmp_path, monkeypatch):
    old = tmp_path / "published" / "index.html"
    old.parent.mkdir()
    old.write_text("old")
    monkeypatch.setattr(pages, "MOST_BYTES", 1000)
    with pytest.raises(StudyError, match=r"published: index.html has 0.0 of at most 0 MB; publish fewer models"):
        snapshot.publish(run, old.parent, collected_of(SCORES), [])
    assert old.read_text() == "old"


def test_a_summary_is_read_back_checked(collected_of, tmp_path):
    written = snapshot.summary(collected_of(SCORES))
    file = tmp_path / "summary.json"
    file.write_text(written.model_dump_json())
    assert snapshot.read(file) == written
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pric": 1}))
    with pytest.raises(StudyError, match=r"summary\.json: pric: unknown key$"):
        snapshot.read(file)
    with pytest.raises(StudyError, match=r"none.json: is missing; run make publish"):
        snapshot.read(tmp_path / "none.json")


def test_the_readme_is_filled_from_the_summaries(collected_of, tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "PUBLISHED", tmp_path)
    assert readme._published() == "No report is published yet."
    (tmp_path / "some").mkdir()
    summary = snapshot.summary(collected_of(SCORES, usd_per_hour=2.0))
    (tmp_path / "some" / "summary.json").write_text(summary.model_dump_json())
    filled = readme._published()
    assert "[A study](reports/published/some/index.html)" in filled
    assert "](reports/published/some/tradeoff.svg)\n\n" in filled
    assert all(f"\n\n{sentence}\n\n" in filled for sentence in summary.answer)
    assert [line for line in filled.splitlines() if line.startswith("| ")] == [
        "| model | parameters | torch | a million questions, USD |",
        "| --- | --- | --- | --- |",
        "| BERT | 100.0 M | 75.0 (66.9–83.1)<br>200 ms | 111 |",
        "| DistilBERT | 50.0 M | 50.0 (50.0–50.0)<br>100 ms | 55.6 |",
    ]
