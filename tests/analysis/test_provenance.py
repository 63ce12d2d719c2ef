"""What a report says of its numbers' origin is what the result files and the executed notebooks hold."""

import hashlib
import json

import pandas as pd
import pytest

from qa_tradeoffs.analysis import provenance
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, RunPaths

STUDY = "studies/smoke.yaml"
SCORES = {"bert": [[1, 0], [0, 0]], "distilbert": [[1, 1], [0, 1]]}


def note(run: RunPaths, name: str, **papermill: object) -> None:
    file = run.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"metadata": {"papermill": papermill} if papermill else {}, "cells": []}))


def test_facts_name_each_value_once_and_all_where_files_differ(collected_of):
    collected = collected_of(SCORES)
    facts = provenance.facts(collected, STUDY)
    assert facts["seeds"] == "0, 1"
    assert facts["questions, SHA-256"] == "d" * 64
    assert facts["study file, SHA-256"] == "e" * 64
    assert facts["study file as shown below, SHA-256"] == hashlib.sha256((ROOT / STUDY).read_bytes()).hexdigest()
    other = collected.profiles["bert"]
    changed = other.model_copy(update={"provenance": other.provenance.model_copy(update={"python": "3.99"})})
    collected.profiles["bert"] = changed
    first = collected.evaluations["bert", 0].provenance.python
    assert provenance.facts(collected, STUDY)["Python"] == f"{first}; 3.99"


def test_durations_are_what_papermill_noted(collected_of, tmp_path):
    run = RunPaths(tmp_path)
    note(run, "bert/seed-1/1-train.ipynb", start_time="2026-01-02T13:04:05.6+01:00", duration=90.0)
    note(run, "bert/3-profile.ipynb", start_time="2026-01-02T11:00:00+00:00", duration=30.5)
    note(run, "distilbert/3-profile.ipynb")  # run by hand
    took = provenance.durations(collected_of(SCORES), run)
    assert len(took) == 2 * (2 * 2 + 1)
    known = took.dropna(subset="seconds")
    assert known[["notebook", "model", "seed", "seconds"]].to_numpy().tolist() == [
        ["1-train", "BERT", "1", 90.0],
        ["3-profile", "BERT", "", 30.5],
    ]
    shown = provenance.shown_durations(took)
    assert shown.loc[known.index, "started, UTC"].tolist() == ["2026-01-02 12:04", "2026-01-02 11:00"]
    assert shown.loc[known.index, "took"].tolist() == ["90.0 s", "30.5 s"]
    assert (shown.drop(known.index)["took"] == "not recorded").all()
    assert provenance.began(took) == (
        "The first notebook started on 2026-01-02 11:00 UTC; together they ran for 2.01 min, this one not counted."
    )


def test_nothing_is_said_of_notebooks_that_left_no_note(collected_of, tmp_path):
    took = provenance.durations(collected_of(SCORES), RunPaths(tmp_path))
    assert provenance.began(took) == "When the notebooks ran was not recorded."
    assert isinstance(provenance.shown_durations(took), pd.DataFrame)


def test_a_file_that_is_no_notebook_is_named(collected_of, tmp_path):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "3-profile.ipynb").write_text("[]")
    with pytest.raises(StudyError, match=r"3-profile.ipynb: is no notebook"):
        provenance.durations(collected_of(SCORES), RunPaths(tmp_path))


def test_the_study_file_is_shown_as_it_is():
    assert provenance.study_text(STUDY) == (ROOT / STUDY).read_text()
    with pytest.raises(StudyError, match=r"none.yaml: is missing"):
        provenance.study_text("studies/none.yaml")
