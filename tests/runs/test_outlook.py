"""A notebook's place among the notebooks of a make, and the expected time of later ones, worked out by hand."""

import json
import math
from pathlib import Path

import pytest

from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.runs import graph, outlook
from qa_tradeoffs.runs.selection import selected

FIRST, SECOND, THIRD = (ROOT / "runs/some" / name for name in ("a/1-train.ipynb", "a/2-evaluate.ipynb", "4.ipynb"))


@pytest.fixture
def chosen(tmp_path: Path):
    return selected({"STUDY": "studies/smoke.yaml", "RUN": str(tmp_path / "run")})


def named(chosen, *goals: str) -> list[str]:
    """The notebooks that are announced for these goals, without their folders' beginning."""
    announced = outlook.announced(chosen.run, graph.stages(chosen)[:-1], goals)
    paths = map(Path, json.loads(announced[outlook.VARIABLE])["notebooks"])
    return [str(path.relative_to(chosen.run.folder)) for path in paths]


def test_a_target_of_make_announces_the_notebooks_that_it_runs(chosen):
    models = list(chosen.models)
    train = [f"{slug}/seed-0/1-train.ipynb" for slug in models]
    evaluate = [f"{slug}/seed-0/2-evaluate.ipynb" for slug in models]
    profile = [f"{slug}/3-profile.ipynb" for slug in models]
    assert named(chosen, "train") == train
    assert named(chosen, "profile") == profile
    assert named(chosen, "compare") == [*train, "4-compare.ipynb"]
    assert sorted(named(chosen, "evaluate")) == sorted(train + evaluate)
    shown = ["5-analysis.ipynb", "anomaly.ipynb", "audit.ipynb"]
    in_all = [*train, *evaluate, *profile, "4-compare.ipynb", *shown]
    assert sorted(named(chosen, "all")) == sorted(named(chosen, "train", "report")) == sorted(in_all)


@pytest.mark.parametrize(
    ("notebook", "expected"), [(FIRST, ("1/3 ", 35.0)), (SECOND, ("2/3 ", 5.0)), (THIRD, ("3/3 ", 0.0))]
)
def test_a_notebook_has_its_place_and_the_seconds_of_those_after_it(chosen, monkeypatch, notebook, expected):
    outlook.write_expected(chosen.run, {FIRST: 100.0, SECOND: 30.0, THIRD: 5.0})
    names = [str(path.relative_to(ROOT)) for path in (FIRST, SECOND, THIRD)]
    plan = {"notebooks": names, "expected": str(chosen.run.folder / ".expected.json")}
    monkeypatch.setenv(outlook.VARIABLE, json.dumps(plan))
    assert outlook.of(notebook) == expected


def test_unknown_times_are_not_shown(chosen, monkeypatch):
    monkeypatch.delenv(outlook.VARIABLE, raising=False)
    place, later = outlook.of(FIRST)
    assert place == ""
    assert math.isnan(later)
    monkeypatch.setenv(outlook.VARIABLE, json.dumps({"notebooks": ["x.ipynb", "y.ipynb"], "expected": "nowhere.json"}))
    place, later = outlook.of(ROOT / "x.ipynb")
    assert place == "1/2 "
    assert math.isnan(later)
