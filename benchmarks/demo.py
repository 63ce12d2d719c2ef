"""Where the seconds of a finished study go, by model and notebook: python -m benchmarks.demo [runs/demo]"""

import json
import sys
from pathlib import Path

from qa_tradeoffs.errors import StudyError, exit_cleanly
from qa_tradeoffs.paths import ROOT, RUNS


def seconds(run: Path) -> dict[str, dict[str, float]]:
    """Notebook → model → seconds in it, the start of its kernel included, as papermill noted them."""
    found: dict[str, dict[str, float]] = {}
    for notebook in sorted(run.rglob("[1-4]-*.ipynb")):
        model = notebook.relative_to(run).parts[0] if notebook.parent != run else "all"
        took = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["papermill"]["duration"]
        of_notebook = found.setdefault(notebook.stem, {})
        of_notebook[model] = of_notebook.get(model, 0.0) + took
    return dict(sorted(found.items()))


def table(found: dict[str, dict[str, float]]) -> str:
    """In Markdown: a row per notebook, a column per model, and the sums."""
    models = list(dict.fromkeys(model for of_notebook in found.values() for model in of_notebook))
    lines = [f"| notebook | {' | '.join(models)} | sum |", f"|---|{'---|' * (len(models) + 1)}"]
    for notebook, of_notebook in found.items():
        cells = [f"{of_notebook[model]:.0f} s" if model in of_notebook else "" for model in models]
        lines.append(f"| {notebook} | {' | '.join(cells)} | {sum(of_notebook.values()):.0f} s |")
    total = sum(sum(of_notebook.values()) for of_notebook in found.values())
    return "\n".join([*lines, f"| all | {' | ' * len(models)}{total:.0f} s |"])


def main() -> None:
    """Print the table of a run."""
    run = ROOT / (sys.argv[1] if len(sys.argv) > 1 else RUNS / "demo")
    found = seconds(run)
    if not found:
        raise StudyError(f"{run}: has no executed notebooks; run make all first")
    print(table(found))


if __name__ == "__main__":
    exit_cleanly(main)
