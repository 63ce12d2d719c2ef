"""Every result file of a study, read and checked: what the other modules of the analysis compute from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.core import documents
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config, prices

FULL_SIZE = "full size"  # how a profile calls the network of the published size, where the study's own is smaller
_HISTORY = {"step": "number", "epoch": "number", "loss": "number"}


@dataclass(frozen=True)
class Collected:
    """All result files of the models and seeds that the report is about, read and checked."""

    study: config.Study
    price: prices.Price
    slugs: tuple[str, ...]
    seeds: tuple[int, ...]
    trainings: dict[tuple[str, int], results.Results]
    evaluations: dict[tuple[str, int], results.Results]
    predictions: dict[tuple[str, int], pd.DataFrame]
    profiles: dict[str, results.Results]
    histories: dict[tuple[str, int], pd.DataFrame]

    def label(self, slug: str) -> str:
        """The model's name in tables and charts."""
        return self.study.models[slug].label

    @property
    def files(self) -> list[results.Results]:
        """Every result file: trainings, evaluations, profiles."""
        return [*self.trainings.values(), *self.evaluations.values(), *self.profiles.values()]

    @property
    def n_questions(self) -> int:
        """Number of questions that each model was scored on."""
        return next(iter(self.evaluations.values())).find("f1").n

    @property
    def language(self) -> str:
        """The language by whose rules EM and F1 count words, the same for all models."""
        return str(next(iter(self.evaluations.values())).find("f1").conditions["language"])

    def scores(self, slug: str, seed: int, metric: str) -> npt.NDArray[np.float64]:
        """(n_questions,): each question's score in [0, 1], in the order of the questions' ids."""
        column = self.predictions[slug, seed].set_index("id")[metric].sort_index()
        shares: npt.NDArray[np.float64] = column.to_numpy(dtype=np.float64)
        return shares

    def measured(self, slug: str, metric: str, network: str = "study") -> list[Record]:
        """The profile's records of a metric for the study's own network, or for 'full size', as the study runs it.

        That is in the recipe's precision, which is measured first, and with the network's own attention.
        """
        records = [
            record
            for record in self.profiles[slug].all(metric)
            if record.conditions.get("network", "study") == network and not record.conditions.get("eager_control")
        ]
        return [r for r in records if r.conditions.get("precision") == records[0].conditions.get("precision")]

    def full_size_of(self, slug: str) -> str:
        """Which of a model's networks is full size: 'full size', or 'study' where its own is not smaller."""
        sizes = self.profiles[slug].all("parameters")
        return FULL_SIZE if any(record.conditions.get("network") == FULL_SIZE for record in sizes) else "study"

    @property
    def full_size(self) -> str:
        """The networks that are as large as the published ones: 'study' where every model's own is."""
        return FULL_SIZE if any(self.full_size_of(slug) == FULL_SIZE for slug in self.slugs) else "study"


def for_analysis(study: str, slugs: str = "", seeds: str = "", run: str = "") -> tuple[Collected, RunPaths]:
    """All results of a study and the folder they are in; ``slugs`` and ``seeds``, separated by blanks, choose some.

    Raises StudyError naming what is missing.
    """
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

    Raises StudyError naming the first file that is missing, that was made from other inputs than the study now has, or
    whose questions are not those of the others.
    """
    trained = [(slug, seed) for slug in slugs for seed in seeds if not study.model(slug).fine_tuned]
    evaluated = [(slug, seed) for slug in slugs for seed in evaluation_seeds(study, slug, seeds)]
    collected = Collected(
        study=study,
        price=price,
        slugs=tuple(slugs),
        seeds=tuple(seeds),
        trainings={key: _fresh(study, run.training(*key), "train", *key) for key in trained},
        evaluations={key: _fresh(study, run.evaluation(*key), "evaluate", *key) for key in evaluated},
        predictions={key: _parquet(run.predictions(*key), _columns(study)) for key in evaluated},
        profiles={slug: _fresh(study, run.profile(slug), "profile", slug, None) for slug in slugs},
        histories={key: _parquet(run.history(*key), _HISTORY) for key in trained},
    )
    for key in trained:
        results.check_beside(run.training(*key), collected.trainings[key], run.history(*key))
    for key in evaluated:
        results.check_beside(run.evaluation(*key), collected.evaluations[key], run.predictions(*key))
    _check_questions(collected, run)
    _check_scores(collected, run)
    _check_data(collected, run)
    return collected


def evaluation_seeds(study: config.Study, slug: str, seeds: Sequence[int]) -> Sequence[int]:
    """The seeds a model is evaluated with: one that came fine-tuned has no seeds, it is evaluated once."""
    return seeds[:1] if study.model(slug).fine_tuned else seeds


def _fresh(study: config.Study, path: Path, stage: inputs.Stage, slug: str, seed: int | None) -> results.Results:
    """The result file, refused when what it was made from has changed since."""
    return results.read_fresh(path, inputs.digest(study, stage, slug, seed))


def _check_questions(collected: Collected, run: RunPaths) -> None:
    """Refuse predictions that cannot be compared question by question."""
    first = next(iter(collected.predictions))
    reference = set(collected.predictions[first]["id"])
    for key, frame in collected.predictions.items():
        ids = frame["id"]
        if twice := sorted(ids[ids.duplicated()]):
            raise StudyError(f"{run.predictions(*key)}: has question {twice[0]} twice; run make all")
        if differing := sorted(reference.symmetric_difference(ids)):
            raise StudyError(
                f"{run.predictions(*key)}: its questions are not those of {run.predictions(*first)} ({differing[0]} is "
                "only in one); run make all"
            )


def _check_scores(collected: Collected, run: RunPaths) -> None:
    """Refuse predictions whose mean F1 is not the one of the result file beside them."""
    for key, file in collected.evaluations.items():
        mean, stated = 100 * float(collected.predictions[key]["f1"].mean()), file.find("f1").value
        if not math.isclose(mean, stated, rel_tol=1e-9, abs_tol=1e-9):
            raise StudyError(
                f"{run.predictions(*key)}: its mean F1 is {mean:.4f}, but {run.evaluation(*key)} says {stated:.4f}; "
                "run make all"
            )


def _check_data(collected: Collected, run: RunPaths) -> None:
    """Refuse files that were made from different data."""
    first, reference = next(iter(collected.evaluations.items()))
    files = [(run.training(*key), file) for key, file in collected.trainings.items()]
    files += [(run.evaluation(*key), file) for key, file in collected.evaluations.items()]
    for path, file in files:
        if file.provenance.data_sha256 != reference.provenance.data_sha256:
            raise StudyError(f"{path}: was made from other data than {run.evaluation(*first)}; run make all")


def _columns(study: config.Study) -> dict[str, str]:
    """What is read of each question's row; of SQuAD v2.0 also what it takes to move the no-answer threshold."""
    answer = {
        "id": "text", "prediction": "text", "probability": "share", "no_answer_score": "score",
        "char_start": "number", "char_end": "number", "exact_match": "share", "f1": "share",
    }  # fmt: skip
    moved = {"span_exact_match": "share", "span_f1": "share", "has_answer": "share"}
    return answer | moved if study.data.v2 else answer


def _parquet(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """These columns of a table, each checked for what it must hold: 'text', 'number', 'share' or 'score'."""
    try:
        frame = pd.read_parquet(path, columns=list(columns), page_checksum_verification=True)
    except FileNotFoundError:
        raise StudyError(f"{path}: is missing; run the stage that writes it (make all does)") from None
    except Exception as error:  # each layer below raises types of its own for a broken file
        raise StudyError(f"{path}: is not a table of this program ({documents.one_line(error)})") from None
    if frame.empty:
        raise StudyError(f"{path}: has no row; run the stage that writes it again")
    for name, kind in columns.items():
        if not _holds(frame[name], kind):
            raise StudyError(f"{path}: {name}: must hold a {kind} in every row; run the stage that writes it again")
    return frame


def _holds(column: pd.Series, kind: str) -> bool:
    """Whether each value is a text, a finite number, a share (from 0 to 1), or a score (a number or infinite)."""
    if kind == "text":
        return all(isinstance(value, str) for value in column)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
        return False
    values = column.to_numpy(dtype=float, na_value=np.nan)
    finite = np.finfo(float).max
    highest = {"share": 1.0, "number": finite, "score": np.inf}[kind]
    return bool(((values >= (0.0 if kind == "share" else -highest)) & (values <= highest)).all())
