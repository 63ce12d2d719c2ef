"""Where the numbers come from: what made each result file, and how long everything took."""

import pandas as pd

from qa_tradeoffs.analysis import provenance
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.words import seconds
from qa_tradeoffs.report import display
from qa_tradeoffs.runs.paths import RunPaths

_UNKNOWN = "not recorded"


def details(collected: Collected, run: RunPaths, study: str) -> display.Html:
    """What made the result files, folded; ``study`` is the path of the study file, relative to the repository."""
    took = provenance.durations(collected, run)
    return display.fold(
        "Code, versions, machine, data, durations and study file",
        display.facts(provenance.facts(collected, study) | total(took), "What made the result files"),
        display.table(
            provenance.files(collected), "Result files; code, data and study file by the first digits of hashes"
        ),
        durations_table(took),
        display.text(provenance.study_text(study), "The study file"),
    )


def total(durations: pd.DataFrame) -> dict[str, str]:
    """When the first notebook started, and the total run time of all notebooks but this one."""
    known = durations.dropna(subset=["started", "seconds"])
    return {
        "first notebook started, UTC": _UNKNOWN if known.empty else provenance.minute(min(known["started"])),
        "total run time, without the analysis": _UNKNOWN if known.empty else seconds(known["seconds"].sum()),
    }


def durations_table(durations: pd.DataFrame) -> display.Table:
    """How long each notebook ran."""
    columns = {
        "notebook": durations["notebook"],
        "model": durations["model"],
        "seed": durations["seed"],
        "started, UTC": display.known(durations["started"], provenance.minute, _UNKNOWN),
        "took": display.known(durations["seconds"], seconds, _UNKNOWN),
    }
    return display.table(columns, "How long each notebook ran", data=durations)
