"""Rules for the repository: equal pins everywhere, and notebooks that are thin and stored without outputs."""

import ast
import json
import re
import statistics
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
OF_DOCS = PROJECT["optional-dependencies"]["docs"]  # which make installs when it builds them
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(notebook: Path, kind: str) -> list[str]:
    content = json.loads(notebook.read_text())
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("pin", PINS + OF_DOCS)
def test_every_direct_dependency_is_pinned_exactly(pin):
    assert re.fullmatch(r"[A-Za-z0-9_-]+==[0-9][A-Za-z0-9.]*", pin)


def test_conda_users_get_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"][-1]["pip"] == PINS


def test_constraints_hold_the_direct_dependencies_at_their_pins():
    lines = (ROOT / "constraints.txt").read_text().split()
    constraints = {line.split("==")[0].lower().replace("_", "-"): line.split("==")[1] for line in lines}
    for pin in PINS + OF_DOCS:
        name, version = pin.split("==")
        assert constraints[name.lower().replace("_", "-")] == version


def test_the_commit_hooks_run_the_pinned_versions():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    used = {dependency for hook in hooks for dependency in hook["additional_dependencies"]}
    assert used == {pin for pin in PINS if pin.startswith(("ruff==", "nbstripout=="))}


def test_there_are_five_notebooks_named_after_their_stages_and_two_excursions():
    stages = ["1-train", "2-evaluate", "3-profile", "4-compare", "5-analysis"]
    assert [path.stem for path in NOTEBOOKS] == [*stages, "anomaly", "audit"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(notebook):
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_thin(notebook):
    code, prose = cells(notebook, "code"), cells(notebook, "markdown")
    assert statistics.median(len(cell.splitlines()) for cell in code) <= 3
    assert len(prose) >= len(code)
    for cell in code:
        assert not [
            node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For)
        ]


@pytest.mark.parametrize("notebook", NOTEBOOKS[:4], ids=lambda path: path.stem)
def test_imports_are_one_line_for_each_wing_in_one_cell(notebook):
    (imports,) = [cell for cell in cells(notebook, "code") if re.search(r"^(from|import) ", cell, re.MULTILINE)]
    own = [line.split()[1] for line in imports.splitlines() if "qa_tradeoffs" in line]
    assert all(re.fullmatch(r"qa_tradeoffs\.[a-z]+", module) for module in own)
    assert own == sorted(set(own))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_come_first_typed_and_explained(notebook):
    content = json.loads(notebook.read_text())
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [cell["metadata"].get("tags") for cell in code] == [["parameters"]] + [None] * (len(code) - 1)
    for line in "".join(code[0]["source"]).splitlines():
        assert re.fullmatch(r"\w+: (str|int) = \S+  # .{10,}", line)
