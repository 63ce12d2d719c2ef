"""The provenance of a report's numbers: code, versions, machine, data, and durations."""

import datetime
import json
from pathlib import Path
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, read_bytes, sha256_of
from qa_tradeoffs.core.words import listed
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.paths import RunPaths


def study_text(study: str) -> str:
    """The current study file; ``study`` is its path relative to the repository."""
    return read_bytes(ROOT / study, "is missing").decode("utf-8", errors="replace")


def facts(collected: Collected, study: str) -> dict[str, str]:
    """The origin of the result files: each value once, several if files differ."""
    origins: list[results.OfStudy] = [file.provenance for file in collected.files]
    origins.append(collected.comparison.provenance)
    table = pd.DataFrame(
        {
            "code, git commit": _commit(o, 40),
            "study file, SHA-256": o.study_sha256,
            "study file as shown below, SHA-256": sha256_of(ROOT / study),
            "questions, SHA-256": o.data_sha256,
            "seeds": ", ".join(map(str, collected.seeds)),
            "machine": f"{o.device['name']}, {o.device['software']}, {o.device['threads']} threads",
            "Python": o.python,
            **{name: o.versions.get(name, "none") for name in sorted(origins[0].versions)},
        }
        for o in origins
    )
    of_training = {"precision of training": _precisions(collected)}
    of_training |= {f"recipe of {label}": recipe for label, recipe in own_recipes(collected).items()}
    return {name: "; ".join(table[name].unique()) for name in table} | of_training


def trained_in(collected: Collected) -> dict[str, list[str]]:
    """The precisions used in training, each with the labels of its models; empty without any training."""
    models: dict[str, list[str]] = {}
    for (slug, _), file in collected.trainings.items():
        labels = models.setdefault(str(file.find("train_steps").conditions.get("precision", "unknown")), [])
        labels += [] if collected.label(slug) in labels else [collected.label(slug)]
    return models


def _precisions(collected: Collected) -> str:
    """'bf16', or 'bf16 (BERT); fp32 (DeBERTa)'."""
    models = trained_in(collected)
    return "; ".join(f"{one} ({listed(labels)})" if len(models) > 1 else one for one, labels in models.items())


def own_recipes(collected: Collected) -> dict[str, str]:
    """Each model's changes to the study's recipe, by label, such as 'learning_rate 5e-05 (the study's: 2e-05)'."""
    study = collected.study
    found: dict[str, str] = {}
    for slug in collected.slugs:
        own, others = dict(study.recipe(slug)), dict(study.training)
        different = [
            f"{key} {_plain(own[key])} (the study's: {_plain(others[key])})"
            for key in others
            if own[key] != others[key]
        ]
        found |= {collected.label(slug): listed(different)} if different else {}
    return found


def files(collected: Collected) -> pd.DataFrame:
    """The provenance of each result file, one row per file."""
    every: list[tuple[str, str, results.OfStudy]] = [
        (file.stage, collected.label(file.model), file.provenance) for file in collected.files
    ]
    every.append((collected.comparison.stage, "all", collected.comparison.provenance))
    rows = [
        {
            "stage": stage,
            "model": model,
            "seed": "" if origin.seed is None else str(origin.seed),
            "checkpoint": _checkpoint(origin) if isinstance(origin, results.Provenance) else "as trained",
            "device": f"{origin.device['name']}, {origin.device['threads']} threads",
            "code": _commit(origin, 10),
            "data": origin.data_sha256[:10],
            "study": origin.study_sha256[:10],
        }
        for stage, model, origin in every
    ]
    return pd.DataFrame(rows)


def pages(collected: Collected, run: RunPaths) -> dict[str, list[tuple[str, str]]]:
    """Model label → its executed notebooks as (name, page of the report)."""
    linked = {
        collected.label(slug): [
            (" ".join(notebook.relative_to(run.folder / slug).with_suffix("").parts), run.page_name(notebook))
            for notebook in _notebooks(collected, run, slug)
        ]
        for slug in collected.slugs
    }
    return linked | {"all models": [(name, f"{name}.html") for name in ("4-compare", "5-analysis")]}


def durations(collected: Collected, run: RunPaths) -> pd.DataFrame:
    """One row per executed notebook: notebook, model, seed, started (UTC, ISO 8601) and seconds, None if unknown.

    From papermill's metadata, which a notebook executed by hand does not have.
    """
    rows = []
    for slug in collected.slugs:
        for notebook in _notebooks(collected, run, slug):
            folder, noted = notebook.parent, _noted(notebook)
            seed = "" if folder == run.folder / slug else folder.name.removeprefix("seed-")
            rows.append((notebook.stem, collected.label(slug), seed, noted.get("start_time"), noted.get("duration")))
    noted = _noted(run.folder / "4-compare.ipynb")
    rows.append(("4-compare", "all", "", noted.get("start_time"), noted.get("duration")))
    return pd.DataFrame(rows, columns=["notebook", "model", "seed", "started", "seconds"])


def minute(moment: str) -> str:
    """An ISO 8601 time as '2026-11-22 14:44', in UTC."""
    return datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _notebooks(collected: Collected, run: RunPaths, slug: str) -> list[Path]:
    """A model's executed notebooks, in order of execution."""
    seeds = collected.study.seeds_of(slug, collected.seeds)
    return run.notebooks(slug, seeds, trained=not collected.study.models[slug].fine_tuned)


def _checkpoint(origin: results.Provenance) -> str:
    """The name of the weights, their commit, their SHA-256, and the bytes that they were converted from."""
    given = [f"(SHA-256 {sha256[:10]})" for sha256 in origin.weights.values()]
    converted = [
        f"({made.file} {made.sha256[:10]}, converted to safetensors {made.safetensors_sha256[:10]})"
        for made in origin.converted
    ]
    return " ".join([origin.checkpoint, *filter(None, [origin.revision]), *given, *converted])


def _plain(value: Any) -> str:
    """A setting as people write it."""
    return f"{value:g}" if isinstance(value, float) else "the network's" if value is None else str(value)


def _commit(origin: results.OfStudy, digits: int) -> str:
    commit = (origin.git_commit or "no git")[:digits]
    return f"{commit} and edits" if origin.git_dirty else commit


def _noted(notebook: Path) -> dict[str, Any]:
    """Papermill's metadata of the run; empty if it was executed by hand."""
    if not notebook.exists():
        return {}
    try:
        return dict(json.loads(notebook.read_bytes())["metadata"].get("papermill", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{notebook}: is not a notebook ({type(error).__name__}); run the stage again") from None
