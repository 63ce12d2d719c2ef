"""How fast this machine gets through a study: seconds of its earlier notebooks, and FLOP/s that were measured."""

import json
import math
import statistics
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ANOMALY, OWN_ANOMALY
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.metrics.flops import TERA
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.sizes import Network
from qa_tradeoffs.study import config


def reached(study: config.Study, run: RunPaths, slug: str, network: Network) -> tuple[float, str]:
    """FLOP/s of a training step of this model, and where they were measured."""
    profile = _earlier(study, run.profile(slug), "profile")
    steps = profile.all("training_step_seconds") if profile else []
    own = [record for record in steps if record.conditions.get("network") == "study" and record.value]
    if not own:
        return _published_rate(study.model(slug), network)
    batch = study.training.batch_size
    nearest = min(own, key=lambda record: abs(int(record.conditions["batch_size"] or 0) - batch))
    per_second = float(nearest.conditions["flops"] or 0) / nearest.value
    return per_second, f"{per_second / TERA:.3g} TFLOP/s, this study's profile on {nearest.conditions['device']}"


def notebooks(study: config.Study, run: RunPaths, slug: str) -> dict[str, float]:
    """Median seconds of the notebooks that this run already has of this model, by stage; of equal inputs only."""
    found: dict[str, float] = {}
    stages: tuple[tuple[inputs.Stage, str, str], ...] = (
        ("train", "1-train.ipynb", "seed-*/training.json"),
        ("evaluate", "2-evaluate.ipynb", "seed-*/evaluation.json"),
        ("profile", "3-profile.ipynb", "profile.json"),
    )
    for stage, notebook, pattern in stages:
        took = [
            seconds
            for path in (run.folder / slug).glob(pattern)
            if (seconds := _notebook_seconds(study, stage, path, path.with_name(notebook))) is not None
        ]
        if took:
            found[stage] = statistics.median(took)
    return found


def _published_rate(spec: config.Model, network: Network) -> tuple[float, str]:
    """FLOP/s of the most similar full-size network of the experiment with variants, own or stored."""
    variant, shape = "BERT", flops.BERT_BASE
    if network.architecture == "squeezebert":
        variant, shape = "rewritten" if spec.grouped_matmul else "as published", flops.SQUEEZEBERT
    experiment = results.read_experiment(OWN_ANOMALY if OWN_ANOMALY.is_file() else ANOMALY)
    measured = [r for r in experiment.all("variant_training_step_seconds") if r.conditions["variant"] == variant]
    longest = max(measured, key=lambda r: (int(r.conditions["length"] or 0), float(r.conditions["dropout"] or 0)))
    at = longest.conditions
    batch_size, length = int(at["batch_size"] or 0), int(at["length"] or 0)
    per_second = flops.TRAINING_OVER_FORWARD * flops.encoder_flops(shape, batch_size, length) / longest.value
    name = "BERT" if variant == "BERT" else f"SqueezeBERT {variant}"
    what = f"{name} at full size, {batch_size} × {length} tokens"
    return per_second, f"{per_second / TERA:.3g} TFLOP/s, {what} on {at['device']}, {at['threads']} threads"


def _notebook_seconds(study: config.Study, stage: inputs.Stage, result: Path, notebook: Path) -> float | None:
    """Seconds of one device for a notebook; None where its result is not the study's, or it was resumed half-way."""
    found = _earlier(study, result, stage)
    if found is None or not notebook.is_file():
        return None
    took, trainings = _duration(notebook), found.all("train_seconds")
    devices = max([float(record.conditions.get("devices") or 1) for record in trainings], default=1.0)
    return devices * took if sum(record.value for record in trainings) < took < math.inf else None


def _duration(notebook: Path) -> float:
    """Seconds that papermill noted; 0 where it noted none, or the file is no notebook."""
    try:
        return float(json.loads(notebook.read_bytes())["metadata"]["papermill"]["duration"] or 0)
    except (ValueError, LookupError, TypeError, RecursionError):
        return 0.0


def _earlier(study: config.Study, path: Path, stage: inputs.Stage) -> results.Results | None:
    """An earlier result of the study as it now is; None where there is none, or one that is of something else."""
    try:
        found = results.read(path)
        return results.read_fresh(path, inputs.digest(study, stage, found.model, found.provenance.seed))
    except StudyError:
        return None
