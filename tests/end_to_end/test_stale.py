"""Results of other inputs than there are now are made again: what file times and file names once hid."""

import json
import os
import shutil
from typing import Any

import pytest
import yaml

from qa_tradeoffs.runs import results


def squad(answers: dict[str, str]) -> dict[str, Any]:
    """A SQuAD file of one question per name: where does it live?"""
    context = " ".join(f"{name} lives in {place}." for name, place in answers.items())
    questions = [
        {
            "id": name, "question": f"Where does {name} live?",
            "answers": [{"text": place, "answer_start": context.index(place)}],
        }
        for name, place in answers.items()
    ]  # fmt: skip
    return {"version": "1.1", "data": [{"title": "places", "paragraphs": [{"context": context, "qas": questions}]}]}


@pytest.mark.slow
def test_a_data_file_replaced_by_an_older_one_is_evaluated_again(finished, tmp_path):
    study = yaml.safe_load((finished.folder / "studies/tiny.yaml").read_text())
    study["data"] = {"source": "files", "train": "dev.json", "validation": "dev.json"}
    study["models"] = {"bert": study["models"]["bert"]}
    folder = tmp_path / "older"
    folder.mkdir()
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    (folder / "other.json").write_text(json.dumps(squad({"Eve": "Cairo", "Dan": "Oslo"})))
    os.utime(folder / "other.json", (0, 0))
    (folder / "dev.json").write_text(json.dumps(squad({"Ada": "Rome", "Bob": "Paris", "Carla": "Lima"})))
    variables = (f"STUDY={folder / 'study.yaml'}", f"RUN={folder / 'run'}")
    evaluation = folder / "run/bert/seed-0/evaluation.json"

    assert finished.make("evaluate", *variables).returncode == 0
    assert results.read(evaluation).find("f1").n == 3
    shutil.copy2(folder / "other.json", folder / "dev.json")  # as cp -p
    again = finished.make("evaluate", *variables)
    assert again.returncode == 0
    assert results.read(evaluation).find("f1").n == 2
    assert "1-train.ipynb (changed: files)" in again.stdout
    assert "done: " not in finished.make("evaluate", *variables).stdout


def test_two_studies_of_one_file_name_have_results_of_their_own(checkout):
    for folder in ("exp1", "exp2"):
        (checkout.folder / folder).mkdir()
        shutil.copy2(checkout.folder / "studies/tiny.yaml", checkout.folder / folder / "study.yaml")
        printed = checkout.make("-n", "all", f"STUDY={folder}/study.yaml").stdout.splitlines()
        assert printed[-1] == f"echo {checkout.folder}/reports/{folder}-study/index.html"


def test_a_folder_of_results_that_belongs_to_another_study_is_refused(checkout):
    (checkout.folder / "mine.yaml").write_text((checkout.folder / "studies/tiny.yaml").read_text())
    before = (checkout.folder / "runs/tiny/bert/seed-0/training.json").read_bytes()
    refused = checkout.make("all", "STUDY=mine.yaml", "RUN=runs/tiny")
    assert refused.returncode != 0
    assert (
        "error: runs/tiny: holds the results of studies/tiny.yaml, not of mine.yaml; give RUN=runs/another-name, or "
        "rename the study file"
    ) in refused.stderr
    assert (checkout.folder / "runs/tiny/bert/seed-0/training.json").read_bytes() == before
