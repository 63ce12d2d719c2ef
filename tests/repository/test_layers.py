"""Imports go in one direction, and metrics need no heavy libraries (the contracts are in pyproject.toml)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARITHMETIC = ["squad", "no_answer", "intervals", "costs", "pareto", "calibration", "flops", "queueing"]


def loaded(statement: str) -> set[str]:
    """Names of the packages that a new interpreter has loaded after the statement."""
    program = f"import sys; {statement}; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    return set(printed.split())


def test_imports_keep_to_the_contracts():
    done = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", ARITHMETIC)
def test_arithmetic_loads_neither_torch_nor_pandas(module):
    assert not {"torch", "pandas", "transformers"} & loaded(f"import qa_tradeoffs.metrics.{module}")


def test_the_package_itself_loads_none_of_its_modules_nor_their_libraries():
    modules = loaded("import qa_tradeoffs")
    assert not {"numpy", "torch"} & modules
    assert not [name for name in modules if name.startswith("qa_tradeoffs.")]
