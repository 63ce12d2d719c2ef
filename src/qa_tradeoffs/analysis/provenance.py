"""Where the numbers of a report come from: code, versions, machine, data, and how long everything took."""

import datetime
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis.tables import Collected, evaluation_seeds
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, RunPaths, read_bytes
from qa_tradeoffs.core.words import seconds
from qa_tradeoffs.runs import results


def study_text(study: str) -> str:
    """The study file as it is now; ``study`` is its path, relative to the repository."""
    return read_bytes(ROOT / study, "is missing").decode("utf-8", errors="replace")


def facts(collected: Collected, study: str) -> dict[str, str]:
    """What made the result files: each value once, several where the files differ."""
    files = _files(collected)
    origins = [file.provenance for file in files]
    packages = {name: _each(o.versions.get(name, "none") for o in origins) for name in sorted(origins[0].versions)}
    return {
        "code, git commit": _each(_commit(origin) for origin in origins),
        "study file, SHA-256": _each(origin.study_sha256 for origin in origins),
        "study file as shown below, SHA-256": hashlib.sha256(read_bytes(ROOT / study)).hexdigest(),
        "questions, SHA-256": _each(origin.data_sha256 for origin in origins),
        "seeds": ", ".join(map(str, collected.seeds)),
        "machine": _each(f"{o.device['name']}, {o.device['software']}, {o.device['threads']} threads" for o in origins),
        "Python": _each(origin.python for origin in origins),
        **packages,
    }


def durations(collected: Collected, run: RunPaths) -> pd.DataFrame:
    """One row per executed notebook: notebook, model, seed, started (UTC, ISO 8601) and seconds, None where unknown.

    From what papermill notes in a notebook that it runs; one that was run by hand has no such note.
    """
    rows = []
    for slug in collected.slugs:
        trained = not collected.study.models[slug].fine_tuned
        seeds = evaluation_seeds(collected.study, slug, collected.seeds)
        for notebook in run.notebooks(slug, seeds, trained=trained):
            folder = notebook.parent.name
            noted = _noted(notebook)
            rows.append(
                {
                    "notebook": notebook.stem,
                    "model": collected.label(slug),
                    "seed": folder.removeprefix("seed-") if folder.startswith("seed-") else "",
                    "started": noted.get("start_time"),
                    "seconds": noted.get("duration"),
                }
            )
    return pd.DataFrame(rows, columns=["notebook", "model", "seed", "started", "seconds"])


def shown_durations(durations: pd.DataFrame) -> pd.DataFrame:
    """The durations as a reader sees them."""
    return pd.DataFrame(
        {
            "notebook": durations["notebook"],
            "model": durations["model"],
            "seed": durations["seed"],
            "started, UTC": ["not recorded" if pd.isna(at) else _minute(at) for at in durations["started"]],
            "took": ["not recorded" if pd.isna(value) else seconds(value) for value in durations["seconds"]],
        }
    )


def began(durations: pd.DataFrame) -> str:
    """When the run began and what its notebooks took together, in a sentence."""
    known = durations.dropna(subset=["started", "seconds"])
    if known.empty:
        return "When the notebooks ran was not recorded."
    first, together = _minute(min(known["started"])), seconds(known["seconds"].sum())
    return f"The first notebook started on {first} UTC; together they ran for {together}, this one not counted."


def _files(collected: Collected) -> list[results.Results]:
    return [*collected.trainings.values(), *collected.evaluations.values(), *collected.profiles.values()]


def _each(values: Iterable[str]) -> str:
    """'a', or 'a; b' where the files differ."""
    return "; ".join(dict.fromkeys(values))


def _commit(origin: results.Provenance) -> str:
    return (origin.git_commit or "no git") + " and edits" * bool(origin.git_dirty)


def _noted(notebook: Path) -> dict[str, Any]:
    """What papermill noted of the run; nothing where it did not run it."""
    if not notebook.exists():
        return {}
    try:
        return dict(json.loads(notebook.read_bytes())["metadata"].get("papermill", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{notebook}: is no notebook ({type(error).__name__}); run the stage again") from None


def _minute(moment: str) -> str:
    """'2026-11-22 14:44' of an ISO 8601 time."""
    return datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M")
