"""A report as it is committed: its pages, and beside them its answer, first chart and main figures for the README.

Text of the data set is left out of the pages, unless the study says ``publish_texts: true``.

python -m qa_tradeoffs.publish.snapshot STUDY RUN PAGES NOTEBOOK...
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from qa_tradeoffs.analysis import accuracy, side_by_side
from qa_tradeoffs.analysis.choice import choices as choices_of
from qa_tradeoffs.analysis.collected import Collected, for_analysis
from qa_tradeoffs.core.documents import Strict, read_json, validated
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import write_text
from qa_tradeoffs.metrics.pareto import Contest
from qa_tradeoffs.metrics.records import Interval, Over, Record
from qa_tradeoffs.report import charts, choice
from qa_tradeoffs.report import pages as report
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.results import Origin

SUMMARY, CHART = "summary.json", "tradeoff.svg"


class Model(Strict):
    """One model's main figures."""

    label: str
    records: tuple[Record, ...] = Field(min_length=1)

    def find(self, metric: str) -> list[Record]:
        """The records of this metric: one, or for a cost one for each end of the price's range; none if not trained."""
        return [record for record in self.records if record.metric == metric]


class Summary(Strict):
    """The main figures of one report."""

    format: Literal[1] = 1
    title: str
    answer: tuple[str, ...] = Field(min_length=1, description="the report's answer, sentence by sentence")
    origin: Origin = Field(description="of the first model's evaluation")
    price: str
    models: tuple[Model, ...] = Field(min_length=1)


def summary(collected: Collected) -> Summary:
    """The summary of a study's results."""
    study, price = collected.study, collected.price
    choices, contest = _choices(collected)
    first = next(iter(collected.evaluations.values())).provenance
    answer = choice.answer(choices, contest, accuracy.baseline(collected), collected.n_questions)
    return Summary(
        title=study.title,
        answer=(*answer, *choice.limits(choices)),
        origin=Origin(**{name: getattr(first, name) for name in Origin.model_fields}),
        price=f"{price.machine}, {price.provider}, {price.date}",
        models=tuple(
            Model(label=row["model"], records=tuple(_records(collected, row))) for row in choices.to_dict("records")
        ),
    )


def read(path: Path) -> Summary:
    """Read and check a committed summary. Raises StudyError naming the file."""
    return validated(Summary, read_json(path, "is missing; run make publish"), path)


def publish(run: RunPaths, pages: Path, collected: Collected, notebooks: list[Path]) -> Path:
    """Write the pages, the summary and the chart into the folder ``pages``, replacing what is there.

    Returns the path of index.html. Raises StudyError, and keeps the old pages, if index.html is too large to commit.
    """
    pages.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=pages.parent) as folder:
        new = Path(folder) / pages.name
        study = collected.study
        size = report.render(run, new, study.title, notebooks, texts=study.publish_texts).stat().st_size
        if size > report.MOST_BYTES:
            most = report.MOST_BYTES / 1e6
            raise StudyError(f"{pages}: index.html has {size / 1e6:.1f} of at most {most:.0f} MB; publish fewer models")
        write_text(new / SUMMARY, summary(collected).model_dump_json(indent=1) + "\n")
        charts.use_style()
        (new / CHART).write_bytes(choice.chart(_choices(collected)[0]).svg)
        shutil.rmtree(pages, ignore_errors=True)
        new.rename(pages)
    return pages / "index.html"


def _choices(collected: Collected) -> tuple[pd.DataFrame, Contest]:
    """The table of models in every engine, and all pairs of them compared."""
    return choices_of(collected, accuracy.models(collected), accuracy.differences(collected))


def _records(collected: Collected, row: dict[str, Any]) -> list[Record]:
    """A row of the table of choices as records; time and cost of training only if the model was trained here."""
    bounds = Interval(low=row["question_low"], high=row["question_high"], over="passes")
    passes = side_by_side.question(collected, "study").passes
    million = dict(zip(("million_usd_low", "million_usd_high"), row["million_usd"], strict=True))
    seeds, records = {"seeds": row["seeds"]}, []
    over: Over = "questions" if row["seeds"] == 1 else "questions and training runs"
    for metric in ("exact_match", "f1"):
        interval = Interval(low=row[f"{metric}_low"], high=row[f"{metric}_high"], over=over)
        n = collected.n_questions
        records.append(Record.of(metric, row[metric], "points", n, interval=interval, conditions=seeds))
    records += [
        Record.of("parameters", row["parameters"], "parameters"),
        Record.of("question_seconds", row["question"], "s per question", len(passes), interval=bounds),
        *_costs(collected, million, "million_usd"),
    ]
    if pd.isna(row["train_seconds"]):
        return records
    trained = Record.of("train_seconds", row["train_paid_seconds"], "s", row["seeds"])
    return [*records, trained, *_costs(collected, row, "train_usd")]


def _costs(collected: Collected, row: dict[str, Any], metric: str) -> list[Record]:
    """USD at the price, or at both ends of its range."""
    at = dict(zip(collected.price.range_usd_per_hour, (row[f"{metric}_low"], row[f"{metric}_high"]), strict=True))
    return [Record.of(metric, usd, "USD", conditions={"usd_per_hour": rate}) for rate, usd in at.items()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this module: prints the path of the published report."""
    parser = argparse.ArgumentParser(description="Write a run's report and summary to where they are committed.")
    parser.add_argument("study", type=Path, help="study file")
    parser.add_argument("run", type=Path, help="folder of the run, with the executed analysis")
    parser.add_argument("pages", type=Path, help="folder to write")
    parser.add_argument("notebooks", type=Path, nargs="*", help="executed notebooks to give a page each")
    parser.add_argument("--models", default="", help="slugs, separated by blanks; empty: all of the study")
    parser.add_argument("--seeds", default="", help="seeds, separated by blanks; empty: all of the study")
    options = parser.parse_args(arguments)
    study, run = options.study.resolve(), options.run.resolve()
    collected, paths = for_analysis(str(study), options.models, options.seeds, str(run))
    print(publish(paths, options.pages, collected, options.notebooks))


if __name__ == "__main__":
    exit_cleanly(main)
