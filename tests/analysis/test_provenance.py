"""The provenance in a report equals that of the result files and executed notebooks."""

import hashlib
import json

import pytest

from qa_tradeoffs.analysis import provenance
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.models.weights import Conversion
from qa_tradeoffs.runs.paths import RunPaths
from tests.analysis.conftest import FINE_TUNED
from tests.conftest import MODELS

STUDY = "studies/smoke.yaml"
SCORES = {"bert": [[1, 0], [0, 0]], "distilbert": [[1, 1], [0, 1]]}


def note(run: RunPaths, name: str, **papermill: object) -> None:
    file = run.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"metadata": {"papermill": papermill} if papermill else {}, "cells": []}))


def test_facts_name_a_models_changes_to_the_recipe(collected_of):
    own = {"learning_rate": 1.0e-4, "epochs": 3}  # three is the study's too
    collected = collected_of(
        {"bert": [[1.0]], "distilbert": [[0.0]]},
        models=MODELS | {"distilbert": MODELS["distilbert"] | {"training": own}},
    )
    assert provenance.own_recipes(collected) == {"DistilBERT": "learning_rate 0.0001 (the study's: 2e-05)"}
    assert provenance.facts(collected, STUDY)["recipe of DistilBERT"] == "learning_rate 0.0001 (the study's: 2e-05)"


def test_facts_name_each_value_once_and_all_values_if_files_differ(collected_of):
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


def test_durations_come_from_papermills_metadata(collected_of, tmp_path):
    run = RunPaths(tmp_path)
    note(run, "bert/seed-1/1-train.ipynb", start_time="2026-01-02T13:04:05.6+01:00", duration=90.0)
    note(run, "bert/3-profile.ipynb", start_time="2026-01-02T11:00:00+00:00", duration=30.5)
    note(run, "distilbert/3-profile.ipynb")  # run by hand
    note(run, "4-compare.ipynb", start_time="2026-01-02T14:00:00+00:00", duration=40.0)
    took = provenance.durations(collected_of(SCORES), run)
    assert len(took) == 2 * (2 * 2 + 1) + 1
    known = took.dropna(subset="seconds")
    assert known[["notebook", "model", "seed", "seconds"]].to_numpy().tolist() == [
        ["1-train", "BERT", "1", 90.0],
        ["3-profile", "BERT", "", 30.5],
        ["4-compare", "all", "", 40.0],
    ]


def test_each_result_file_names_what_it_came_from(collected_of):
    table = provenance.files(collected_of({"bert": [[1, 0]]}))
    assert table["stage"].tolist() == ["train", "evaluate", "profile", "compare"]
    assert table.iloc[0].to_dict() == {
        "stage": "train",
        "model": "BERT",
        "seed": "0",
        "checkpoint": f"some/bert {'a' * 40}",
        "device": "some processor, 2 threads",
        "code": "f" * 10,
        "data": "d" * 10,
        "study": "e" * 10,
    }


def test_a_result_file_names_what_its_weights_were_converted_from(collected_of):
    collected = collected_of({"bert": [[1]]}, **FINE_TUNED)
    made = Conversion(file="pytorch_model.bin", sha256="1" * 64, safetensors_sha256="2" * 64)
    profile = collected.profiles["bert"]
    collected.profiles["bert"] = profile.model_copy(
        update={"provenance": profile.provenance.model_copy(update={"converted": (made,)})}
    )
    of = provenance.files(collected).set_index("stage")["checkpoint"]
    assert of["train"] == f"some/bert {'a' * 40}"
    assert of["profile"] == f"{of['train']} (pytorch_model.bin 1111111111, converted to safetensors 2222222222)"


def test_a_result_file_names_the_bytes_of_its_weights(collected_of):
    collected = collected_of({"bert": [[1]]}, **FINE_TUNED)
    profile = collected.profiles["bert"]
    given = profile.provenance.model_copy(update={"weights": {"model.safetensors": "3" * 64}})
    collected.profiles["bert"] = profile.model_copy(update={"provenance": given})
    of = provenance.files(collected).set_index("stage")["checkpoint"]
    assert of["profile"] == f"{of['train']} (SHA-256 3333333333)"


def test_pages_are_linked_in_the_order_in_which_notebooks_ran(collected_of, tmp_path):
    collected = collected_of({"bert": [[1], [1]], "distilbert": [[1]]}, **FINE_TUNED)
    pages = provenance.pages(collected, RunPaths(tmp_path))
    assert pages["DistilBERT"] == [
        ("seed-0 2-evaluate", "distilbert-seed-0-2-evaluate.html"),
        ("3-profile", "distilbert-3-profile.html"),
    ]
    assert [page for _, page in pages["BERT"]] == [
        "bert-seed-0-1-train.html",
        "bert-seed-0-2-evaluate.html",
        "bert-seed-1-1-train.html",
        "bert-seed-1-2-evaluate.html",
        "bert-3-profile.html",
    ]


def test_a_file_that_is_not_a_notebook_is_named(collected_of, tmp_path):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "3-profile.ipynb").write_text("[]")
    with pytest.raises(StudyError, match=r"3-profile.ipynb: is not a notebook"):
        provenance.durations(collected_of(SCORES), RunPaths(tmp_path))


def test_the_study_file_is_shown_as_it_is():
    assert provenance.study_text(STUDY) == (ROOT / STUDY).read_text()
    with pytest.raises(StudyError, match=r"none.yaml: is missing"):
        provenance.study_text("studies/none.yaml")
