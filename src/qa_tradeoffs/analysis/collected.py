"""All result files of a study, read and checked: the basis of the other modules of this wing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.metrics.estimates import Clusters
from qa_tradeoffs.metrics.records import Condition, Record
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config, engines, prices

T = TypeVar("T")

FULL_SIZE = "full size"  # a profile's name for the network of the published size
_HISTORY = ["step", "epoch", "loss"]
_ANSWERS = "id article passage prediction probability no_answer_score char_start char_end exact_match f1".split()
_SCORED = ["id", "prediction", "exact_match", "f1"]
_OF_V2 = ["span_exact_match", "span_f1", "has_answer"]  # needed to move the no-answer threshold


@dataclass(frozen=True)
class Collected:
    """All result files of the selected models and seeds, read and checked.

    A *point* is a model in an engine: a slug for torch, or slug and engine. ``engine_evaluations`` and
    ``engine_predictions`` hold what engines other than torch gave.
    """

    study: config.Study
    price: prices.Price
    slugs: tuple[str, ...]
    seeds: tuple[int, ...]
    trainings: dict[tuple[str, int], results.Results]
    evaluations: dict[tuple[str, int], results.Results]
    predictions: dict[tuple[str, int], pd.DataFrame]
    profiles: dict[str, results.Results]
    comparison: results.Comparison
    histories: dict[tuple[str, int], pd.DataFrame]
    engine_evaluations: dict[tuple[str, int], results.Results] = field(default_factory=dict)
    engine_predictions: dict[tuple[str, int], pd.DataFrame] = field(default_factory=dict)

    def label(self, point: str) -> str:
        """The model's name in tables and charts, with its engine unless that is torch."""
        label, name = self.study.models[engines.model(point)].label, engines.engine(point)
        return label if name == engines.REFERENCE else f"{label} ({engines.LABELS[name]})"

    @property
    def points(self) -> list[str]:
        """Every model in every engine that was evaluated with all seeds and timed in the comparison."""
        timed = {point for one in self.comparison.all("single_stream", "study") for point in one.models}
        every = [engines.point(slug, name) for slug in self.slugs for name in self.study.of(slug).engines]
        return [p for p in every if p in self.slugs or (p in timed and self.scored(p))]

    def scored(self, point: str) -> list[results.Results]:
        """The evaluations of a point by seed; none if one of them is missing."""
        found = of_model(point, self.evaluations | self.engine_evaluations)
        return found if len(found) == len(of_model(engines.model(point), self.evaluations)) else []

    @property
    def files(self) -> list[results.Results]:
        """Every result file of one model: trainings, evaluations, profiles."""
        return [*self.trainings.values(), *self.evaluations.values(), *self.profiles.values()]

    @property
    def n_questions(self) -> int:
        """The number of questions that each model was scored on."""
        return next(iter(self.evaluations.values())).find("f1").n

    @property
    def language(self) -> str:
        """The language whose rules EM and F1 use, the same for all models."""
        return str(next(iter(self.evaluations.values())).find("f1").conditions["language"])

    @property
    def same(self) -> dict[str, str]:
        """Every point → the first model that differs from it at most in how it is computed."""
        first: dict[str, str] = {}
        identity = {point: self.study.models[engines.model(point)].identity for point in self.points}
        return {point: first.setdefault(identity[point], point) for point in self.points}

    @property
    def distinct(self) -> list[str]:
        """The models without those that differ from an earlier one only in how they are computed."""
        return list(dict.fromkeys(self.same.values()))

    @property
    def clusters(self) -> Clusters:
        """The clusters of the questions, sorted by question id."""
        frame = next(iter(self.predictions.values())).sort_values("id")
        return Clusters.of(frame["article"], frame["passage"])

    def answers(self, point: str) -> list[pd.DataFrame]:
        """A point's answers by seed, sorted by question id."""
        frames = of_model(point, self.predictions | self.engine_predictions)
        return [frame.sort_values("id", kind="stable") for frame in frames]

    def scores(self, point: str, metric: str) -> npt.NDArray[np.float64]:
        """(n_seeds, n_questions): each question's score in [0, 1] by seed, sorted by question id."""
        columns = [frame[metric] for frame in self.answers(point)]
        return np.stack([column.to_numpy(dtype=np.float64) for column in columns])

    def measured(self, slug: str, metric: str, network: str = "study", **at: Condition) -> list[Record]:
        """The profile's records of a metric for the study's own network, or for 'full size', under conditions ``at``.

        Only those in the recipe's precision, which is measured first.
        """
        records = [r for r in self.profiles[slug].all(metric) if r.conditions.get("network", "study") == network]
        recipe = [r.conditions.get("precision") for r in records[:1]]
        return [r for r in records if r.conditions.get("precision") in recipe and at.items() <= r.conditions.items()]

    def full_size_of(self, slug: str) -> str:
        """Which of a model's networks is full size: 'full size', or 'study' if its own is not smaller."""
        return FULL_SIZE if self.measured(slug, "parameters", FULL_SIZE) else "study"

    @property
    def full_size(self) -> str:
        """The full-size networks: 'study' if every model's own network is full size."""
        return FULL_SIZE if FULL_SIZE in map(self.full_size_of, self.slugs) else "study"


def for_analysis(study: str, slugs: str = "", seeds: str = "", run: str = "") -> tuple[Collected, RunPaths]:
    """A study's results and their paths; ``slugs`` and ``seeds``, separated by spaces, select some."""
    study_file = ROOT / study
    checked = config.load(study_file)
    price = prices.of(checked, prices.load(ROOT / "studies" / "prices.yaml"))
    paths = RunPaths.of(study_file, run)
    chosen_seeds = [config.seed(text) for text in seeds.split()] or list(checked.seeds)
    chosen_slugs = slugs.split() or list(checked.models)
    for variable, chosen in (("MODELS", chosen_slugs), ("SEEDS", chosen_seeds)):
        if len(set(chosen)) < len(chosen):
            raise StudyError(f"{variable}: names one of {', '.join(map(str, chosen))} twice; name each once")
    return collect(checked, price, paths, chosen_slugs, chosen_seeds), paths


def collect(
    study: config.Study, price: prices.Price, run: RunPaths, slugs: Sequence[str], seeds: Sequence[int]
) -> Collected:
    """Read every result file that the report needs.

    Raises StudyError naming the first file that is missing, stale, or not the one written with its result. Files that
    pass are all about the same questions.
    """

    def fresh(path: Path, stage: inputs.Stage, slug: str, seed: int | None = None) -> results.Results:
        return results.read_fresh(path, inputs.digest(study, stage, slug, seed))

    runs = [(slug, seed) for slug in slugs for seed in study.seeds_of(slug, seeds)]
    trainings = {key: fresh(run.training(*key), "train", *key) for key in runs if not study.model(key[0]).fine_tuned}
    evaluations = {key: fresh(run.evaluation(*key), "evaluate", *key) for key in runs}
    served, frames = _of_engines(study, run, evaluations)
    columns = _ANSWERS + _OF_V2 if study.data.v2 else _ANSWERS
    return Collected(
        study=study,
        price=price,
        slugs=tuple(slugs),
        seeds=tuple(seeds),
        trainings=trainings,
        evaluations=evaluations,
        predictions={
            k: read_table(run.predictions(*k), columns, run.evaluation(*k), f) for k, f in evaluations.items()
        },
        profiles={slug: fresh(run.profile(slug), "profile", slug) for slug in slugs},
        comparison=_comparison(study, run.comparison, slugs),
        histories={k: read_table(run.history(*k), _HISTORY, run.training(*k), f) for k, f in trainings.items()},
        engine_evaluations=served,
        engine_predictions=frames,
    )


def _of_engines(
    study: config.Study, run: RunPaths, evaluations: Mapping[tuple[str, int], results.Results]
) -> tuple[dict[tuple[str, int], results.Results], dict[tuple[str, int], pd.DataFrame]]:
    """The evaluations and predictions of engines other than torch, by point and seed, without missing ones."""
    found, frames = {}, {}
    for (slug, seed), evaluation in evaluations.items():
        missing = {record.conditions["engine"] for record in evaluation.all("engine_missing")}
        for name in (other for other in study.of(slug).other_engines if other not in missing):
            key, path = (engines.point(slug, name), seed), run.evaluation(slug, seed, name)
            found[key] = results.read_fresh(path, inputs.digest(study, "evaluate", slug, seed))
            frames[key] = read_table(run.predictions(slug, seed, name), _SCORED, path, found[key])
    return found, frames


def _comparison(study: config.Study, path: Path, slugs: Sequence[str]) -> results.Comparison:
    """The comparison, which may include more models than these and must not be stale."""
    found = results.read_comparison(path)
    if missing := [slug for slug in slugs if slug not in found.models]:
        raise StudyError(f"{path}: does not compare {missing[0]}; run make all")
    known = [slug for slug in found.models if slug in study.models]
    expected = inputs.of_comparison(study, known, found.provenance.seed or 0)
    return results.checked_fresh(path, found, config.digest(expected))


def read_table(
    path: Path, columns: list[str], result_path: Path, result: results.Results | results.Comparison
) -> pd.DataFrame:
    """These columns of a table. Raises StudyError if it is missing or not the one written with its result."""
    if not path.is_file():
        raise StudyError(f"{path}: is missing; run the stage that writes it (make all does)")
    if results.fingerprints(path.parent, path) != {path.name: result.beside.get(path.name)}:
        raise StudyError(f"{path}: does not belong to {result_path}; run make all")
    return pd.read_parquet(path, columns=columns)


def bounded(name: str, value: Any, bounds: Sequence[Any]) -> dict[str, Any]:
    """Columns for an estimate and its interval: name, name_low, name_high."""
    return {name: value, f"{name}_low": bounds[0], f"{name}_high": bounds[1]}


def of_model(slug: str, files: Mapping[tuple[str, int], T]) -> list[T]:
    """The entries of one model, by seed."""
    return [file for (other, _), file in files.items() if other == slug]
