"""The model card of a fine-tuned model: its numbers with interval, n and conditions, all from the result files."""

import re
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from qa_tradeoffs.analysis import accuracy, money, speed
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.core.words import parameters, points, seconds, size, usd
from qa_tradeoffs.metrics import costs
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs.results import Results
from qa_tradeoffs.study import config

_TEMPLATES = Path(__file__).parent
_METRICS = {"exact_match": "Exact match", "f1": "F1"}


def render(collected: Collected, slug: str, seed: int, repository: str, model_type: str) -> str:
    """The card of one seed of one model, as Markdown with the Hub's metadata.

    ``repository`` is its name on the Hub, ``model_type`` what its config calls the architecture.
    """
    study, training = collected.study, collected.trainings[slug, seed]
    evaluation, made = collected.evaluations[slug, seed], training.provenance
    recipe = training.find("train_seconds")
    fields = {
        "metadata": _metadata(collected, slug, seed, repository.split("/")[-1]),
        "label": collected.label(slug),
        "demonstration": study.data.source == "generated",
        "trained_in": seconds(recipe.value),
        "origin": _origin(study.model(slug), made.revision),
        "data": _data(study.data, made.data_revision),
        "title": study.title,
        "scores": _scores(collected, slug, seed),
        "questions": f"{evaluation.find('f1').n:,}",
        "seeds": [other for model, other in collected.evaluations if model == slug],
        "recipe": _recipe(recipe) | {"seed": seed},
        "notes": dict.fromkeys((*training.notes, *evaluation.notes)),
        "versions": ", ".join(f"{name} {version}" for name, version in made.versions.items()),
        "commit": made.git_commit,
        "dirty": made.git_dirty,
        "study": Path(made.study).stem if (ROOT / "studies" / made.study).is_file() else f"path/to/{made.study}",
        "study_file": made.study,
        "study_sha256": made.study_sha256,
        "data_sha256": made.data_sha256,
        "slug": slug,
        "seed": seed,
        "processes": recipe.conditions.get("processes", 1),
        "repository": repository,
        "max_length": study.training.max_length,
        "token_types": model_type != "distilbert",
        "licences": _licences(study.model(slug), study.data),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["plain"] = plain
    return environment.get_template("card.md").render(fields | _compute(collected, slug, seed))


def plain(text: str) -> str:
    """Any text as Markdown that shows just this text, on one line."""
    return re.sub(r"[^\w\s.,:;()+/%'-]", lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def _metadata(collected: Collected, slug: str, seed: int, name: str) -> str:
    """The YAML that the Hub reads: what the model is made from, and its scores as evaluation results."""
    spec, questions = collected.study.model(slug), collected.study.data
    from_hub = isinstance(questions, config.HubData)
    shown = {"generated": "generated questions", "files": "own files"}
    evaluated = {
        "task_type": "question-answering",
        "task_name": "Extractive question answering",
        "dataset_type": questions.name if isinstance(questions, config.HubData) else questions.source,
        "dataset_name": questions.name if isinstance(questions, config.HubData) else shown[questions.source],
        "dataset_split": "validation",
        "dataset_revision": collected.evaluations[slug, seed].provenance.data_revision,
    }
    scores = [(metric, collected.evaluations[slug, seed].find(metric)) for metric in _METRICS]
    data = ModelCardData(
        model_name=name,
        library_name="transformers",
        pipeline_tag="question-answering",
        base_model=spec.hub,
        datasets=evaluated["dataset_type"] if from_hub else None,
        metrics=list(_METRICS),
        tags=["qa-tradeoffs", *(["demonstration"] if questions.source == "generated" else [])],
        eval_results=[
            EvalResult(
                metric_type=metric,
                metric_value=round(record.value, 2),
                metric_name=f"{_METRICS[metric]} (95 % interval over {record.n:,} questions: {_bounds(record)})",
                **evaluated,
            )
            for metric, record in scores
        ],
    )
    return str(data.to_yaml()).strip()


def _scores(collected: Collected, slug: str, seed: int) -> list[dict[str, str]]:
    """Rows of EM and F1 with their intervals: this seed's, the other seeds', and without any training."""
    this = collected.evaluations[slug, seed]
    others = [(other, file) for (model, other), file in collected.evaluations.items() if (model, other) != (slug, seed)]
    rows = [(f"**this model, seed {seed}**", this, ""), *((f"seed {other}", file, "") for other, file in others)]
    rows.append(("lexical overlap, without training", this, "baseline_"))
    return [
        {"what": what} | {metric: _points(file, prefix + metric) for metric in _METRICS} for what, file, prefix in rows
    ]


def _compute(collected: Collected, slug: str, seed: int) -> dict[str, Any]:
    """What is said of time, size and money, with the conditions they were measured under."""
    (row,) = accuracy.models(collected).to_dict("records")
    training, price = collected.trainings[slug, seed], collected.price
    spent = training.find("train_seconds")
    forward = collected.measured(slug, "forward_seconds")[0].conditions
    priced = (
        f"at USD {usd(*price.range_usd_per_hour)} an hour for {plain(price.machine)}, {price.provider}, {price.date}"
    )
    usd_training = usd(*costs.usd_range(money.paid_seconds(spent), price.range_usd_per_hour))
    passes = f"{row['latency_batch']} × {row['latency_at']} tokens, one after the other, {priced}"
    return {
        "f1_low": f"{row['f1_seed_low']:.1f}",
        "f1_high": f"{row['f1_seed_high']:.1f}",
        "machine": _machine(collected.profiles[slug]),
        "conditions": f"{forward['precision']}, {forward['attention']} attention",
        "timings": [
            {
                "work": str(timed["work"]).replace("_", " "),
                "time": f"{seconds(timed['seconds'])} ({seconds(timed['low'])} to {seconds(timed['high'])})",
                **{name: timed[name] for name in ("batch_size", "length", "repeats")},
            }
            for timed in speed.timings(collected).to_dict("records")
        ],
        "costs": [
            ("parameters", parameters(row["parameters"]), ""),
            ("weights on disk", size(row["bytes"]), "safetensors, fp32"),
            ("fine-tuning", seconds(spent.value), f"this seed, on {_machine(training)}{_times(spent)}"),
            ("fine-tuning, USD", usd_training, priced),
            ("a million passes, USD", usd(row["million_usd_low"], row["million_usd_high"]), passes),
        ],
    }


def _origin(spec: config.Model, revision: str | None) -> str:
    """Where its weights came from before this training."""
    if spec.hub is not None:
        return f"It is `{spec.hub}` at commit `{revision}`, fine-tuned."
    if spec.path is not None:
        return f"It is a local checkpoint, `{spec.path.name}`, fine-tuned."
    return f"Its architecture is that of `{spec.architecture}`; training began from random weights."


def _data(data: config.Data, revision: str | None) -> str:
    """What it was trained on and scored with."""
    if isinstance(data, config.HubData):
        return (
            f"Its questions are those of `{data.name}` at commit `{revision}`: trained on train, scored on validation."
        )
    if isinstance(data, config.GeneratedData):
        return (
            f"Its {data.train_passages:,} passages for training and {data.validation_passages:,} for scoring were "
            f"generated with seed {data.seed}, {data.questions_per_passage} questions each."
        )
    names = [path.name for path in (data.train, data.validation, data.file) if path is not None]
    return f"Its questions come from files: {', '.join(f'`{name}`' for name in names)}."


def _recipe(record: Record) -> dict[str, Any]:
    """The settings of the training that bear on its result."""
    settings = {name: value for name, value in record.conditions.items() if name != "save_minutes"}
    shown: dict[Any, str] = {True: "yes", False: "no", None: "as the network has it"}
    return {
        name.replace("_", " "): shown[value] if value is None or isinstance(value, bool) else value
        for name, value in settings.items()
    }


def _licences(spec: config.Model, data: config.Data) -> str:
    """Whose licences bear on the weights."""
    sources = [name for name in (spec.hub, data.name if isinstance(data, config.HubData) else None) if name]
    named = " and ".join(f"`{name}`" for name in sources)
    return f"those of {named} hold." if named else "whoever publishes it has to choose one."


def _machine(file: Results) -> str:
    device = file.provenance.device
    return f"{device['name']}, {device['threads']} thread{'s' * (device['threads'] != 1)}"


def _times(training: Record) -> str:
    """On how many such devices, where they were several."""
    devices = training.conditions.get("devices", 1)
    return f"; {devices} of these" if devices != 1 else ""


def _points(file: Results, metric: str) -> str:
    record = file.find(metric)
    low, high = (record.interval.low, record.interval.high) if record.interval else (record.value, record.value)
    return points(record.value, low, high)


def _bounds(record: Record) -> str:
    return f"{record.interval.low:.1f} to {record.interval.high:.1f}" if record.interval else "none"
