"""``make clean``: remove a study's results and report. Needs only Python, so that it works before set-up.

STUDY=demo python -m qa_tradeoffs.runs.clean
"""

import os
import shutil
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import REPORTS, ROOT, RUNS
from qa_tradeoffs.runs.paths import relative, study_name


def folders(study: str, run: str) -> list[Path]:
    """The folders of a study's results and its report. Raises StudyError if the names could mean other folders."""
    text = study.strip()
    name = study_name(ROOT / text) if text.endswith((".yaml", ".yml")) else text
    results = (ROOT / run.strip() if run.strip() else ROOT / RUNS / name).resolve()
    if not name or "/" in name or results.parent != ROOT / RUNS:
        raise StudyError(f"STUDY: '{study}' is not a study with results in {RUNS}; nothing was removed")
    return [results, ROOT / REPORTS / results.name]


def main() -> None:
    """Command line of this module."""
    for folder in folders(os.environ.get("STUDY", ""), os.environ.get("RUN", "")):
        if folder.is_dir() and folder.name != "published":
            shutil.rmtree(folder)
            print(f"removed {relative(folder)}")


if __name__ == "__main__":
    exit_cleanly(main)
