"""Failed training runs with the reasons, so that nobody takes a failed run for a result."""

import json
import math
from pathlib import Path

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.metrics import estimates
from qa_tradeoffs.runs.paths import RunPaths

# Fine-tuning runs that differ only in their seed end within a few points of each other, unless they failed.
_FAR_BELOW = 10.0


def notices(collected: Collected) -> list[str]:
    """A sentence for each run that did not learn, with all reasons; none if all runs did."""
    sentences = []
    for slug, seed in collected.evaluations:
        model = collected.study.models[slug]
        if reasons := [*_of_loss(collected, slug, seed), *_of_answers(collected, slug, seed)]:
            run = f"{model.label} fails" if model.fine_tuned else f"{model.label}, seed {seed}, did not learn"
            sentences.append(f"{run}: {'; '.join(reasons)}. Its figures are still in the tables.")
    return sentences


def stopped(collected: Collected, run: RunPaths) -> list[str]:
    """A sentence for each run of the study that was stopped by an error and is not in the report.

    Failed seeds can be left out on the command line, but the report must say so.
    """
    study, sentences = collected.study, []
    for slug, model in study.models.items():
        for seed in study.seeds_of(slug, study.seeds):
            included = slug in collected.slugs if model.fine_tuned else (slug, seed) in collected.evaluations
            if not included and (error := _last_error(run.seed_folder(slug, seed))):
                sentences.append(f"{model.label}, seed {seed}, was stopped and is not in this report: {error}.")
    return sentences


def _last_error(folder: Path) -> str | None:
    """The error message of the last attempt at a stage in this folder; None if none failed."""
    for notebook in ("partial-1-train.ipynb", "partial-2-evaluate.ipynb"):
        try:
            cells = json.loads((folder / notebook).read_bytes())["cells"]
            errors = [out for cell in cells for out in cell.get("outputs", ()) if out["output_type"] == "error"]
            if errors:
                return one_line(errors[-1]["evalue"], 400)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue  # missing or truncated: killed rather than stopped by an error
    return None


def _of_loss(collected: Collected, slug: str, seed: int) -> list[str]:
    """A reason if the mean of the last fifth of the loss history is not below its first row."""
    if (slug, seed) not in collected.histories:
        return []
    loss = collected.histories[slug, seed]["loss"].to_numpy()
    last = float(loss[-math.ceil(len(loss) / 5) :].mean())
    if len(loss) < 2 or last < loss[0]:
        return []
    return [f"its loss began at {loss[0]:.2f} nats and ended at {last:.2f}"]


def _of_answers(collected: Collected, slug: str, seed: int) -> list[str]:
    """A reason if the answers are empty, all wrong, or far worse than the same model's best seed."""
    frame = collected.predictions[slug, seed]
    if (frame["prediction"] == "").all():
        return [f"all its {len(frame):,} answers are empty"]
    if frame["f1"].max() == 0:
        return [f"none of its {len(frame):,} answers shares a word with a reference"]
    seeds = [other for s, other in collected.predictions if s == slug]
    f1 = dict(zip(seeds, 100 * collected.scores(slug, "f1"), strict=True))
    best = max(f1, key=lambda other: f1[other].mean())
    if f1[best].mean() - f1[seed].mean() <= _FAR_BELOW:
        return []
    if estimates.mean(f1[seed] - f1[best], collected.clusters).interval().high > -_FAR_BELOW:
        return []
    return [f"its F1 of {f1[seed].mean():.1f} is far below the {f1[best].mean():.1f} of seed {best}"]
