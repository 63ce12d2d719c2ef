"""A module imports only what stands to its left: data flow one way, and arithmetic stays free of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "qa_tradeoffs"
ORDER = """errors paths processes kernel kernel_server example flops schema config prices synthetic progress hub data
device inputs features dropout grouped models collation training workers predictions metrics no_answer squad_metric
baseline intervals choice calibration evaluation clock workloads variants traces operators durations profiling
scenarios memory costs published audit audit_findings results sizes rates forecast plan attribution anomaly stage
download display anomaly_findings tables provenance health compute findings no_answer_findings choice_findings
excerpts compared passages slices agreement confidence cases difference_findings figures anomaly_figures
no_answer_figures difference_figures report publish card push compare run graph answer""".split()
ARITHMETIC = ["metrics", "no_answer", "intervals", "costs", "baseline", "choice", "calibration"]


def imported(module: str) -> set[str]:
    """Names of this package's modules that ``module`` imports, at its top or in a function."""
    tree = ast.parse((SOURCE / f"{module}.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "qa_tradeoffs":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qa_tradeoffs."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("qa_tradeoffs.")}
    return found


def test_the_order_names_every_module_once():
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert len(ORDER) == len(set(ORDER))
    assert set(ORDER) == modules


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_from_its_left(module):
    assert imported(module) <= set(ORDER[: ORDER.index(module)])


def test_the_check_sees_imports_of_either_form():
    assert "errors" in imported("config")
    assert "device" in imported("training")


def test_only_the_analysis_notebook_the_report_and_other_charts_use_figures():
    users = {module for module in ORDER if "figures" in imported(module)}
    assert users <= {"report", "publish", "anomaly_figures", "no_answer_figures", "difference_figures"}
    notebooks = (SOURCE.parents[1] / "notebooks").glob("*.ipynb")
    assert [path.name for path in notebooks if "figures." in path.read_text()] == ["4-analysis.ipynb"]


@pytest.mark.parametrize("module", ARITHMETIC)
def test_arithmetic_loads_neither_torch_nor_pandas(module):
    program = f"import sys, qa_tradeoffs.{module}; print({{'torch', 'pandas', 'transformers'}} & sys.modules.keys())"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"


def test_the_package_itself_loads_none_of_its_modules_nor_their_libraries():
    program = (
        "import sys, qa_tradeoffs; print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'torch'}))"
    )
    program += "; print([name for name in sys.modules if name.startswith('qa_tradeoffs.')])"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["[]", "[]"]
