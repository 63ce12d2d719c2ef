"""The model card of a fine-tuned model: numbers with interval, n and conditions, all from the result files."""

import re
from pathlib import Path

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from qa_tradeoffs.analysis import accuracy, money, speed
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core import words
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.metrics import costs, languages
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs.results import Results
from qa_tradeoffs.study import config

_METRICS = {"exact_match": "Exact match", "f1": "F1"}
_DATA = {"generated": "generated questions", "files": "own files"}


def render(collected: Collected, slug: str, seed: int, repository: str, model_type: str) -> str:
    """The card of one seed of one model, as Markdown with the Hub's metadata.

    ``repository`` is its name on the Hub, ``model_type`` the architecture's name in its config.
    """
    study, training, evaluation = (
        collected.study.of(slug),
        collected.trainings[slug, seed],
        collected.evaluations[slug, seed],
    )
    made, spent, price = training.provenance, training.find("train_seconds"), collected.price
    (row,) = accuracy.models(collected).to_dict("records")
    seeds = [other for model, other in collected.evaluations if model == slug]
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters |= {
        "plain": plain, "points": _points, "seconds": words.seconds, "size": words.size, "parameters": words.parameters
    }  # fmt: skip
    return templates.get_template("card.md").render(
        metadata=_metadata(study.model(slug), study.data, evaluation, repository.split("/")[-1]),
        study=study,
        spec=study.model(slug),
        data=study.data,
        made=made,
        row=row,
        slug=slug,
        seed=seed,
        seeds=seeds,
        repository=repository,
        spent=spent,
        evaluation=evaluation,
        rules=languages.in_words(collected.language),
        others={other: collected.evaluations[slug, other] for other in seeds if other != seed},
        timings=speed.timings(collected).to_dict("records"),
        timed_on=collected.profiles[slug].provenance.device,
        timed_under=collected.measured(slug, "forward_seconds")[0].conditions,
        price=price,
        per_hour=words.usd(*price.range_usd_per_hour),
        training_usd=words.usd(*costs.usd_range(money.paid_seconds(spent), price.range_usd_per_hour)),
        million_usd=words.usd(*row["million_usd"]),
        in_words={True: "yes", False: "no", None: "the network's own"},
        notes=dict.fromkeys((*training.notes, *evaluation.notes)),
        study_path=Path(made.study).stem if (ROOT / "studies" / made.study).is_file() else f"path/to/{made.study}",
        token_types=model_type != "distilbert",
    )


def plain(text: str) -> str:
    """Any text escaped as Markdown, on one line."""
    return re.sub(r"[^\w\s.,:;()+/%'-]", lambda match: f"&#{ord(match[0])};", " ".join(text.split()))


def _points(record: Record) -> str:
    return words.points(record.value, *record.bounds)


def _metadata(spec: config.Model, data: config.Data, evaluation: Results, name: str) -> str:
    """The YAML that the Hub reads: the model's origin, and its scores as evaluation results."""
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
                dataset_split=data.validation_split
                if isinstance(data, config.HubData) and not data.split
                else "validation",
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
