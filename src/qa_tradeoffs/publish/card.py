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
from qa_tradeoffs.metrics import costs, languages
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs.results import Results
from qa_tradeoffs.study import config

_METRICS = {"exact_match": "Exact match", "f1": "F1"}
_DATA = {"generated": "generated questions", "files": "own files"}


def render(collected: Collected, slug: str, seed: int, repository: str, model_type: str) -> str:
    """The card of one seed of one model, as Markdown with the Hub's metadata.

    ``repository`` is its name on the Hub, ``model_type`` what its config calls the architecture.
    """
    study, training, evaluation = collected.study, collected.trainings[slug, seed], collected.evaluations[slug, seed]
    spec, made, spent = study.model(slug), training.provenance, training.find("train_seconds")
    (row,) = accuracy.models(collected).to_dict("records")
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters["plain"] = plain
    return templates.get_template("card.md").render(
        metadata=_metadata(spec, study.data, evaluation, repository.split("/")[-1]),
        study=study,
        spec=spec,
        made=made,
        row=row,
        slug=slug,
        seed=seed,
        repository=repository,
        demonstration=study.data.source == "generated",
        trained_in=seconds(spent.value),
        origin=_origin(spec, made.revision),
        data=_data(study.data, made.data_revision),
        scores=_scores(collected, slug, seed),
        questions=f"{evaluation.find('f1').n:,}",
        rules=languages.in_words(collected.language),
        seeds=[other for model, other in collected.evaluations if model == slug],
        timings=_timings(collected, slug),
        costs=_costs(collected, training, row),
        recipe=_recipe(spent) | {"seed": seed},
        notes=dict.fromkeys((*training.notes, *evaluation.notes)),
        versions=", ".join(f"{name} {version}" for name, version in made.versions.items()),
        study_path=Path(made.study).stem if (ROOT / "studies" / made.study).is_file() else f"path/to/{made.study}",
        processes=spent.conditions.get("processes", 1),
        token_types=model_type != "distilbert",
        licences=_licences(spec, study.data),
    )


def plain(text: str) -> str:
    """Any text as Markdown that shows just this text, on one line."""
    return re.sub(r"[^\w\s.,:;()+/%'-]", lambda match: f"&#{ord(match[0])};", " ".join(text.split()))


def _metadata(spec: config.Model, data: config.Data, evaluation: Results, name: str) -> str:
    """The YAML that the Hub reads: what the model is made from, and its scores as evaluation results."""
    dataset = data.name if isinstance(data, config.HubData) else None
    results = []
    for metric, title in _METRICS.items():
        record = evaluation.find(metric)
        interval = "{:.1f} to {:.1f}".format(*record.bounds) if record.interval else "none"
        results.append(
            EvalResult(
                task_type="question-answering",
                task_name="Extractive question answering",
                dataset_type=dataset or data.source,
                dataset_name=dataset or _DATA[data.source],
                dataset_split="validation",
                dataset_revision=evaluation.provenance.data_revision,
                metric_type=metric,
                metric_value=round(record.value, 2),
                metric_name=f"{title} (95 % interval over {record.n:,} questions: {interval})",
            )
        )
    card = ModelCardData(
        model_name=name,
        library_name="transformers",
        pipeline_tag="question-answering",
        base_model=spec.hub,
        datasets=dataset,
        metrics=list(_METRICS),
        tags=["qa-tradeoffs", *(["demonstration"] if data.source == "generated" else [])],
        eval_results=results,
    )
    return str(card.to_yaml()).strip()


def _scores(collected: Collected, slug: str, seed: int) -> list[dict[str, str]]:
    """Rows of EM and F1 with their intervals: this seed's, the other seeds', and without any training."""
    this = collected.evaluations[slug, seed]
    others = [(other, file) for (model, other), file in collected.evaluations.items() if (model, other) != (slug, seed)]
    rows = [(f"**this model, seed {seed}**", this, ""), *((f"seed {other}", file, "") for other, file in others)]
    rows.append(("lexical overlap, without training", this, "baseline_"))
    scored = [
        {"what": what} | {metric: _points(file.find(prefix + metric)) for metric in _METRICS}
        for what, file, prefix in rows
    ]
    reach = {metric: f"{this.find(f'ceiling_{metric}').value:.1f}" for metric in _METRICS}
    return [*scored, {"what": "a perfect model, within the limits below"} | reach]


def _timings(collected: Collected, slug: str) -> dict[str, Any]:
    """Medians of the study's own network with their intervals, and the machine and conditions they were taken on."""
    forward = collected.measured(slug, "forward_seconds")[0].conditions
    rows = [
        {
            "work": str(row["work"]).replace("_", " "),
            "time": f"{seconds(row['seconds'])} ({seconds(row['low'])} to {seconds(row['high'])})",
            **{name: row[name] for name in ("batch_size", "length", "repeats")},
        }
        for row in speed.timings(collected).to_dict("records")
    ]
    conditions = f"{forward['precision']}, {forward['attention']} attention"
    return {"rows": rows, "machine": _machine(collected.profiles[slug]), "conditions": conditions}


def _costs(collected: Collected, training: Results, row: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Size, training and passes: what, how much, and under which conditions."""
    price, spent = collected.price, training.find("train_seconds")
    devices = spent.conditions.get("devices", 1)
    trained_on = _machine(training) if devices == 1 else f"{_machine(training)}; {devices} of these"
    priced = (
        f"at USD {usd(*price.range_usd_per_hour)} an hour for {plain(price.machine)}, {price.provider}, {price.date}"
    )
    passes = f"{row['latency_batch']} × {row['latency_at']} tokens, one after the other, {priced}"
    usd_training = usd(*costs.usd_range(money.paid_seconds(spent), price.range_usd_per_hour))
    return [
        ("parameters", parameters(row["parameters"]), ""),
        ("weights on disk", size(row["bytes"]), "safetensors, fp32"),
        ("fine-tuning", seconds(spent.value), f"this seed, on {trained_on}"),
        ("fine-tuning, USD", usd_training, priced),
        ("a million passes, USD", usd(row["million_usd_low"], row["million_usd_high"]), passes),
    ]


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
    in_words: dict[Any, str] = {True: "yes", False: "no", None: "as the network has it"}
    return {
        name.replace("_", " "): in_words[value] if value is None or isinstance(value, bool) else value
        for name, value in record.conditions.items()
        if name != "save_minutes"
    }


def _licences(spec: config.Model, data: config.Data) -> str:
    """Whose licences bear on the weights."""
    sources = [name for name in (spec.hub, data.name if isinstance(data, config.HubData) else None) if name]
    named = " and ".join(f"`{name}`" for name in sources)
    return f"those of {named} hold." if named else "whoever publishes it has to choose one."


def _machine(file: Results) -> str:
    device = file.provenance.device
    return f"{device['name']}, {device['threads']} thread{'' if device['threads'] == 1 else 's'}"


def _points(record: Record) -> str:
    return points(record.value, *record.bounds)
