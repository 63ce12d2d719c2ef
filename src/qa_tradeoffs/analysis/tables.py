"""Result files → finished tables: everything that charts and sentences of the report are made from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.core import documents
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, RunPaths
from qa_tradeoffs.core.words import parameters, points, seconds, signed, size, usd
from qa_tradeoffs.metrics import costs, intervals
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.study import config, prices

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
    _check_same_questions(collected, run)
    return collected


def evaluation_seeds(study: config.Study, slug: str, seeds: Sequence[int]) -> Sequence[int]:
    """The seeds a model is evaluated with: one that came fine-tuned has no seeds, it is evaluated once."""
    return seeds[:1] if study.model(slug).fine_tuned else seeds


def models(collected: Collected) -> pd.DataFrame:
    """One row per model, in the study's order.

    EM and F1 are points, means over seeds, with 95 % bootstrap intervals over questions (of each question's mean over
    seeds) in ``*_low`` and ``*_high``, and ``f1_seed_low``/``f1_seed_high`` the lowest and highest seed.
    ``latency`` is the median seconds of one forward pass of ``latency_batch`` rows, 1 or the smallest measured, at
    ``latency_at`` tokens, with its interval over passes; ``million_usd_low``/``_high`` is the cost of 10⁶ such passes
    one after the other. ``train_seconds`` is the mean over seeds, ``train_paid_seconds`` the same times the devices
    that shared it, ``train_usd_low``/``_high`` what those cost; NaN where a model came fine-tuned. Costs are USD at the
    study's price, lowest and highest where that is a range.
    """
    return pd.DataFrame([_model_row(collected, slug) for slug in collected.slugs])


def paid_seconds(training: Record) -> float:
    """Seconds of one device for a training whose record of seconds this is; several devices have as many in each."""
    return float(training.conditions.get("devices") or 1) * training.value


def baseline(collected: Collected) -> dict[str, float]:
    """EM and F1, in points, of lexical overlap without training, on the same questions; ``f1_high`` bounds its F1."""
    first = next(iter(collected.evaluations.values()))
    exact_match, f1 = (first.find(f"baseline_{key}") for key in ("exact_match", "f1"))
    return {
        "exact_match": exact_match.value,
        "f1": f1.value,
        "f1_high": f1.interval.high if f1.interval else f1.value,
    }


def questions(collected: Collected) -> int:
    """Number of questions that each model was scored on."""
    return next(iter(collected.evaluations.values())).find("f1").n


def differences(collected: Collected, metric: str = "f1") -> pd.DataFrame:
    """Every two models compared question by question, in points: estimate, interval, p adjusted after Holm.

    ``metric`` is f1 or exact_match; the estimate is in f1_difference or exact_match_difference. With several seeds, a
    question's score is its mean over them; the interval is over questions only. Holm's family is the pairs of a metric.
    """
    rng = np.random.default_rng(0)
    pairs = [(a, b) for i, a in enumerate(collected.slugs) for b in collected.slugs[i + 1 :]]
    found = [
        intervals.paired_difference(
            _per_question(collected, a, metric), _per_question(collected, b, metric), rng, resamples=10_000
        )
        for a, b in pairs
    ]
    adjusted = intervals.holm([difference.p_value for difference in found]).tolist() if found else []
    return pd.DataFrame(
        [
            {
                "model": collected.label(a),
                "other": collected.label(b),
                f"{metric}_difference": difference.estimate,
                "low": difference.interval.low,
                "high": difference.interval.high,
                "p_holm": p,
            }
            for (a, b), difference, p in zip(pairs, found, adjusted, strict=True)
        ],
        columns=["model", "other", f"{metric}_difference", "low", "high", "p_holm"],
    )


def runs(collected: Collected) -> pd.DataFrame:
    """How far training runs of a model, which differ in their seed alone, lie apart; one row per model and metric.

    Columns: model, metric (f1 or exact_match), runs; in points the mean, sd (n - 1 in the denominator), low and high of
    the 95 % t interval of the mean over runs, cut to the scale, and the lowest and highest run. sd, low and high are
    NaN for one run.
    """
    return pd.DataFrame([_runs_row(collected, slug, m) for m in ("f1", "exact_match") for slug in collected.slugs])


def measured(collected: Collected, slug: str, metric: str, network: str = "study") -> list[Record]:
    """The profile's records of a metric for the study's own network, or for 'full size', as the study runs it.

    That is in the recipe's precision, which is measured first, and with the network's own attention.
    """
    found = [
        record
        for record in collected.profiles[slug].all(metric)
        if record.conditions.get("network", "study") == network and not record.conditions.get("eager_control")
    ]
    precision = found[0].conditions.get("precision") if found else None
    return [record for record in found if record.conditions.get("precision") == precision]


def timings(collected: Collected, network: str = "study") -> pd.DataFrame:
    """One row per timed point: model, work, batch_size, length, seconds (median), low, high, repeats."""
    return pd.DataFrame(
        [
            {
                "model": collected.label(slug),
                "work": work,
                "batch_size": record.conditions["batch_size"],
                "length": record.conditions["length"],
                "seconds": record.value,
                **dict(zip(("low", "high"), _bounds(record), strict=True)),
                "repeats": record.n,
            }
            for slug in collected.slugs
            for work in ("forward", "training_step")
            for record in measured(collected, slug, f"{work}_seconds", network)
        ]
    )


def losses(collected: Collected) -> pd.DataFrame:
    """The loss histories one below the other: model, seed, step, epoch, loss."""
    frames = [
        history.assign(model=collected.label(slug), seed=seed) for (slug, seed), history in collected.histories.items()
    ]
    columns = ["model", "seed", "step", "epoch", "loss"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def notebook_pages(collected: Collected, run: RunPaths) -> dict[str, list[tuple[str, str]]]:
    """Model label → its executed notebooks as (where and what, page of the report)."""
    pages = {}
    for slug in collected.slugs:
        trained = not collected.study.models[slug].fine_tuned
        notebooks = run.notebooks(slug, evaluation_seeds(collected.study, slug, collected.seeds), trained=trained)
        names = [" ".join(notebook.relative_to(run.folder / slug).with_suffix("").parts) for notebook in notebooks]
        pages[collected.label(slug)] = [(n, run.page_name(b)) for n, b in zip(names, notebooks, strict=True)]
    return pages | {"this report": [("4-analysis", "4-analysis.html")]}


def provenance(collected: Collected) -> pd.DataFrame:
    """Where each result file came from, one row per file."""
    files = [*collected.trainings.values(), *collected.evaluations.values(), *collected.profiles.values()]
    return pd.DataFrame(
        [
            {
                "stage": file.stage,
                "model": collected.label(file.model),
                "seed": "" if file.provenance.seed is None else str(file.provenance.seed),
                "checkpoint": f"{file.provenance.checkpoint} {file.provenance.revision or ''}".strip(),
                "device": f"{file.provenance.device['name']}, {file.provenance.device['threads']} threads",
                "code": (file.provenance.git_commit or "no git")[:10] + " + edits" * bool(file.provenance.git_dirty),
                "data": file.provenance.data_sha256[:10],
                "study": file.provenance.study_sha256[:10],
            }
            for file in files
        ]
    )


def shown(models: pd.DataFrame) -> pd.DataFrame:
    """The table of models as a reader sees it."""
    columns = {
        "model": models["model"],
        "EM": [points(*row) for row in models[["exact_match", "exact_match_low", "exact_match_high"]].to_numpy()],
        "F1": [points(*row) for row in models[["f1", "f1_low", "f1_high"]].to_numpy()],
        "F1, lowest and highest seed": [
            f"{row.f1_seed_low:.1f}–{row.f1_seed_high:.1f} ({row.seeds})" if row.seeds > 1 else "one seed"
            for row in models.itertuples()
        ],
        "parameters": [parameters(value) for value in models["parameters"]],
        "on disk": [size(value) for value in models["bytes"]],
        "forward pass": [seconds(value) for value in models["latency"]],
        "fine-tuning": [seconds(value) for value in models["train_seconds"]],
        "fine-tuning, USD": [usd(*row) for row in models[["train_usd_low", "train_usd_high"]].to_numpy()],
        "million passes, USD": [usd(*row) for row in models[["million_usd_low", "million_usd_high"]].to_numpy()],
    }
    if models["seeds"].max() == 1:
        del columns["F1, lowest and highest seed"]
    return pd.DataFrame(columns)


def shown_differences(f1: pd.DataFrame, exact_match: pd.DataFrame) -> pd.DataFrame:
    """The paired differences in both metrics as a reader sees them."""
    columns = {"model": f1["model"], "against": f1["other"]}
    for name, metric, found in (("F1", "f1", f1), ("EM", "exact_match", exact_match)):
        bounds = found[[f"{metric}_difference", "low", "high"]].to_numpy(dtype=float)
        columns[f"{name} difference"] = [
            f"{signed(gap)} ({signed(low)} to {signed(high)})" for gap, low, high in bounds
        ]
        columns[f"{name}, p (Holm)"] = [f"{p:.2g}" for p in found["p_holm"]]
    return pd.DataFrame(columns)


def shown_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The spread over training runs as a reader sees it, of the models that have several."""
    runs = runs[runs["runs"] > 1]
    return pd.DataFrame(
        {
            "model": runs["model"],
            "metric": runs["metric"].replace({"f1": "F1", "exact_match": "EM"}),
            "training runs": runs["runs"],
            "mean": [f"{value:.1f}" for value in runs["mean"]],
            "standard deviation": [f"{value:.2f}" for value in runs["sd"]],
            "95 % t interval": [f"{row.low:.1f} to {row.high:.1f}" for row in runs.itertuples()],
            "lowest and highest": [f"{row.lowest:.1f} to {row.highest:.1f}" for row in runs.itertuples()],
        }
    )


def shown_timings(timings: pd.DataFrame) -> pd.DataFrame:
    """The timings as a reader sees them: a column per model."""
    cells = timings.assign(
        shown=[f"{seconds(r.seconds)} ({seconds(r.low)} to {seconds(r.high)})" for r in timings.itertuples()]
    )
    wide = cells.pivot(index=["work", "batch_size", "length"], columns="model", values="shown")
    wide = wide[list(dict.fromkeys(timings["model"]))].reset_index()
    return wide.replace({"work": {"training_step": "training step"}}).rename(
        columns={"batch_size": "batch", "length": "tokens per row"}
    )


def _model_row(collected: Collected, slug: str) -> dict[str, Any]:
    """The row of one model in the table of models."""
    rng = np.random.default_rng(0)
    latency = min(
        measured(collected, slug, "forward_seconds"),
        key=lambda r: (r.conditions["batch_size"], -int(r.conditions["length"] or 0)),
    )
    latency_low, latency_high = _bounds(latency)
    million_low, million_high = (
        costs.usd_per_million_questions(latency.value, price) for price in collected.price.range_usd_per_hour
    )
    row: dict[str, Any] = {
        "slug": slug,
        "model": collected.label(slug),
        "parameters": measured(collected, slug, "parameters")[0].value,
        "bytes": measured(collected, slug, "bytes_on_disk")[0].value,
        "latency": latency.value,
        "latency_low": latency_low,
        "latency_high": latency_high,
        "latency_batch": latency.conditions["batch_size"],
        "latency_at": latency.conditions["length"],
        "million_usd_low": million_low,
        "million_usd_high": million_high,
    }
    for metric in ("exact_match", "f1"):
        scores = _per_question(collected, slug, metric)
        interval = intervals.bootstrap_mean(scores, rng)
        row |= {metric: scores.mean(), f"{metric}_low": interval.low, f"{metric}_high": interval.high}
    by_seed = [file.find("f1").value for (s, _), file in collected.evaluations.items() if s == slug]
    row |= {"seeds": len(by_seed), "f1_seed_low": min(by_seed), "f1_seed_high": max(by_seed)}
    return row | _training_cost(collected, slug)


def _runs_row(collected: Collected, slug: str, metric: str) -> dict[str, Any]:
    """How far one model's training runs lie apart in one metric."""
    frames = [frame for (s, _), frame in collected.predictions.items() if s == slug]
    scores = 100 * np.array([frame[metric].mean() for frame in frames], dtype=float)
    row = {"model": collected.label(slug), "metric": metric, "runs": len(scores), "mean": scores.mean()}
    spread: dict[str, Any] = {"sd": np.nan, "low": np.nan, "high": np.nan}
    if len(scores) > 1:
        interval = intervals.t_interval(scores)
        spread = {"sd": scores.std(ddof=1), "low": max(0.0, interval.low), "high": min(100.0, interval.high)}
    return row | spread | {"lowest": scores.min(), "highest": scores.max()}


def _training_cost(collected: Collected, slug: str) -> dict[str, float]:
    """Seconds to fine-tune, mean over seeds, their cost, and windows per second; NaN where it came fine-tuned."""
    files = [file for (s, _), file in collected.trainings.items() if s == slug]
    if not files:
        names = ("train_seconds", "train_paid_seconds", "train_usd_low", "train_usd_high", "train_windows_per_second")
        return dict.fromkeys(names, np.nan)
    paid = float(np.mean([paid_seconds(file.find("train_seconds")) for file in files]))
    spent = float(np.mean([file.find("train_seconds").value for file in files]))
    windows = float(np.mean([file.find("train_windows").value for file in files]))
    low, high = costs.usd_range(paid, collected.price.range_usd_per_hour)
    return {
        "train_seconds": spent,
        "train_paid_seconds": paid,
        "train_usd_low": low,
        "train_usd_high": high,
        "train_windows_per_second": windows / spent,
    }


def _bounds(record: Record) -> tuple[float, float]:
    """The record's interval; the value itself twice where it has none."""
    return (record.interval.low, record.interval.high) if record.interval else (record.value, record.value)


def _per_question(collected: Collected, slug: str, metric: str) -> Any:
    """(n_questions,) float64: each question's score in points, mean over seeds, questions in the order of their ids."""
    columns = [
        frame.set_index("id")[metric].sort_index() for (s, _), frame in collected.predictions.items() if s == slug
    ]
    return 100 * np.mean([column.to_numpy(dtype=float) for column in columns], axis=0)


def _fresh(study: config.Study, path: Path, stage: inputs.Stage, slug: str, seed: int | None) -> results.Results:
    """The result file, refused when what it was made from has changed since."""
    return results.read_fresh(path, inputs.digest(study, stage, slug, seed))


def _check_same_questions(collected: Collected, run: RunPaths) -> None:
    """Refuse predictions that cannot be compared question by question, and files made from different data."""
    first, *others = collected.predictions
    reference = set(collected.predictions[first]["id"])
    for key in (first, *others):
        ids = collected.predictions[key]["id"]
        if twice := sorted(ids[ids.duplicated()]):
            raise StudyError(f"{run.predictions(*key)}: has question {twice[0]} twice; run make all")
        if differing := sorted(reference.symmetric_difference(ids)):
            raise StudyError(
                f"{run.predictions(*key)}: its questions are not those of {run.predictions(*first)} ({differing[0]} is "
                "only in one); run make all"
            )
    for key, file in collected.evaluations.items():
        mean, stated = 100 * float(collected.predictions[key]["f1"].mean()), file.find("f1").value
        if not math.isclose(mean, stated, rel_tol=1e-9, abs_tol=1e-9):
            raise StudyError(
                f"{run.predictions(*key)}: its mean F1 is {mean:.4f}, but {run.evaluation(*key)} says {stated:.4f}; "
                "run make all"
            )
    data = collected.evaluations[first].provenance.data_sha256
    files = [(run.training(*key), file) for key, file in collected.trainings.items()]
    files += [(run.evaluation(*key), file) for key, file in collected.evaluations.items()]
    for path, file in files:
        if file.provenance.data_sha256 != data:
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
