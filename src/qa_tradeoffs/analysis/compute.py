"""Result files → tables of time, memory and money, of the study's networks and of the full-size ones."""

from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis.tables import Collected, measured
from qa_tradeoffs.core import words
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics import costs
from qa_tradeoffs.metrics.pareto import Contest, Gap, Time
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.study.published import MODELS, ModelName, Published

# Of the published base models with the head for answers: what tells them from others that are named after them.
PARAMETERS: dict[ModelName, float] = {"bert": 108.9e6, "distilbert": 66.4e6, "squeezebert": 51.1e6}
UTILISATIONS = (1.0, 0.5, 0.1)  # shares of the paid time in which the machine answers
_OUT_OF_MEMORY = "out of memory"


def full_size(collected: Collected) -> str:
    """The network that is as large as the published ones: 'full size', or 'study' where every model's own is."""
    return "full size" if any(_has_twin(collected, slug) for slug in collected.slugs) else "study"


def speed(collected: Collected) -> pd.DataFrame:
    """Full-size compute for a reader: a forward pass, its share of the peak, with eager attention, a training step."""
    return pd.DataFrame([_speed_row(collected, slug) for slug in collected.slugs]).fillna("not measured")


def serving(collected: Collected, network: str) -> pd.DataFrame:
    """One row per model, 'full size' being a model's own network where that has no full-size twin.

    Columns: model; p50 with its interval in p50_low and p50_high, p90, p99 of SingleStream, seconds per question;
    repeats, the answers timed for these; questions_per_second, the best of Offline, and offline_batch, its batch
    size (NaN and None where memory sufficed for none); single_usd and offline_usd, USD per million questions as
    (lowest, highest) price; joules per question of SingleStream (NaN where nothing metered them). Raises StudyError
    where SingleStream was not measured.
    """
    return pd.DataFrame([_serving_row(collected, slug, network) for slug in collected.slugs])


def choices(collected: Collected, models: pd.DataFrame, differences: pd.DataFrame) -> tuple[pd.DataFrame, Contest]:
    """The table of ``models`` with what one question takes of each, and what is known of every two.

    ``question`` is the median seconds of SingleStream by the network that was scored, its interval in
    ``question_low`` and ``question_high``; ``question_usd`` is USD per million questions at the (lowest, highest)
    price; ``standing``, whether the model is on the Pareto front. ``differences`` are those in F1.
    """
    served = serving(collected, "study").set_index("model").loc[models["model"]]
    columns = {"p50": "question", "p50_low": "question_low", "p50_high": "question_high", "single_usd": "question_usd"}
    table = models.join(served[list(columns)].rename(columns=columns), on="model")
    gaps = {
        (row.model, row.other): Gap(
            row.f1_difference, row.low, row.high, row.p_holm, _runs_overlap(models, row.model, row.other)
        )
        for row in differences.itertuples()
    }
    contest = Contest(
        models=tuple(table["model"]),
        gaps=gaps,
        times={row.model: Time(row.question, row.question_low, row.question_high) for row in table.itertuples()},
    )
    return table.assign(standing=[contest.standing(model) for model in table["model"]]), contest


def utilisation(collected: Collected, network: str) -> pd.DataFrame:
    """USD of a million questions one by one when the machine is idle for part of the time that is paid.

    One row per model and utilisation, a share of the paid time: model, utilisation, usd_low, usd_high.
    """
    prices = collected.price.range_usd_per_hour
    rows = [
        (row.model, share, *(costs.usd_per_million_questions(row.p50, price, share) for price in prices))
        for row in serving(collected, network).itertuples()
        for share in UTILISATIONS
    ]
    return pd.DataFrame(rows, columns=["model", "utilisation", "usd_low", "usd_high"])


def memory(collected: Collected) -> pd.DataFrame:
    """One row per point, model and measure: network, precision, batch_size, length, mib; NaN where it ran out.

    A point at which the memory did not suffice has a row for each measure that there is at others.
    """
    found = [
        (slug, record) for slug in collected.slugs for record in collected.profiles[slug].records if _of_memory(record)
    ]
    measures = dict.fromkeys(str(r.conditions["measure"]) for _, r in found if "measure" in r.conditions)
    rows = []
    for slug, record in found:
        at = {key: record.conditions[key] for key in ("network", "precision", "batch_size", "length")}
        ran_out = record.metric == "out_of_memory"
        for measure in (measures or ["any"]) if ran_out else [str(record.conditions["measure"])]:
            mib = float("nan") if ran_out else record.value / 2**20
            rows.append({"model": collected.label(slug), **at, "measure": measure.replace("_", " "), "mib": mib})
    columns = ["model", "network", "precision", "batch_size", "length", "measure", "mib"]
    return pd.DataFrame(rows, columns=columns)


def memory_of(peaks: pd.DataFrame, network: str) -> pd.DataFrame:
    """The peaks of one network that a chart shows: the first measure and precision, one row per point and model."""
    chosen = peaks[peaks["network"] == network]
    first = [chosen[column].isin(chosen[column].head(1)) for column in ("measure", "precision")]
    return chosen[first[0] & first[1]]


def phases(collected: Collected) -> pd.DataFrame:
    """One row per model: milliseconds per question of each phase, from text to score, of the study's own network."""
    rows = []
    for slug in collected.slugs:
        parts = {
            str(r.conditions["phase"]): 1000 * r.value for r in measured(collected, slug, "phase_seconds", "study")
        }
        rows.append({"model": collected.label(slug)} | {f"{name} (ms)": value for name, value in parts.items()})
    return pd.DataFrame(rows)


def shown_phases(phases: pd.DataFrame) -> pd.DataFrame:
    """The phases as a reader sees them, with three significant digits."""
    return phases.set_index("model").map(words.plain).reset_index()


def money(collected: Collected, models: pd.DataFrame) -> pd.DataFrame:
    """One row per model of the study's own network: what it costs to fine-tune, per question, per point of F1.

    Columns, in USD at the middle of the price: model, f1; training_usd (NaN where a model came fine-tuned: what that
    cost is not known, and nothing was paid here); question_usd, with question_low and question_high by the interval of
    its time; single_usd and offline_usd per million questions; usd_per_point, what each point of F1 over the smallest
    model cost more to fine-tune here (NaN: it has none over it). cheapest and dearest: what to multiply USD by for the
    lowest and the highest price.
    """
    low, high = collected.price.range_usd_per_hour
    price = (low + high) / 2
    served = serving(collected, "study").set_index("model").loc[models["model"]].reset_index()
    training = models["train_paid_seconds"].map(lambda seconds: costs.usd(seconds, price))
    smallest = models["parameters"].argmin()
    extra, gained = _paid(training) - _paid(training).iloc[smallest], models["f1"] - models["f1"].iloc[smallest]
    question = {
        name: [costs.usd(seconds, price) for seconds in served[name]] for name in ("p50", "p50_low", "p50_high")
    }
    return pd.DataFrame(
        {
            "model": list(models["model"]),
            "f1": list(models["f1"]),
            "training_usd": list(training),
            "question_usd": question["p50"],
            "question_low": question["p50_low"],
            "question_high": question["p50_high"],
            "single_usd": [costs.usd_per_million_questions(seconds, price) for seconds in served["p50"]],
            "offline_usd": [costs.usd_per_million_offline(n, price) for n in served["questions_per_second"]],
            "usd_per_point": pd.Series(map(costs.usd_per_point, extra, gained), dtype=float),
            "cheapest": low / price if price else 1.0,
            "dearest": high / price if price else 1.0,
        }
    )


def break_even(money: pd.DataFrame) -> pd.DataFrame:
    """For each two models of which one is cheaper to serve: the questions after which it has paid for its training.

    0: at once; NaN: the intervals of their times overlap, so that neither is known to be cheaper. A model that came
    fine-tuned has no training to pay for.
    """
    rows = []
    for (_, one), (_, other) in permutations(money.assign(training_usd=_paid(money["training_usd"])).iterrows(), 2):
        if one["question_usd"] < other["question_usd"]:
            told = one["question_high"] < other["question_low"]
            a, b = (costs.Costs(row["training_usd"], row["question_usd"]) for row in (one, other))
            questions = costs.break_even(a, b) if told else float("nan")
            rows.append({"cheaper to serve": one["model"], "than": other["model"], "questions": questions})
    return pd.DataFrame(rows, columns=["cheaper to serve", "than", "questions"])


def published_tradeoff(collected: Collected, published: Published) -> pd.DataFrame:
    """One row per model of a published architecture: its published F1, our measured cost of a million questions.

    Columns: model, f1 (points, of the original study), usd (SingleStream, middle of the price) with usd_low and
    usd_high, relative (our time of a question over BERT's, the first one's; NaN without BERT), p100 and k80 (the same
    of the original, mean over lengths; NaN for the rewritten SqueezeBERT, which it did not have).
    """
    served = serving(collected, full_size(collected)).set_index("model")
    known = [(collected.label(slug), name) for slug in collected.slugs if (name := architecture(collected, slug))]
    bert = next((served["p50"][label] for label, name in known if name == "bert"), float("nan"))
    rows = []
    for label, name in known:
        low, high = served["single_usd"][label]
        rewritten = any(m.label == label and m.grouped_matmul for m in collected.study.models.values())
        rows.append(
            {
                "model": label,
                "f1": published.original.scores.by_model.of(name).f1,
                "usd": (low + high) / 2,
                "usd_low": low,
                "usd_high": high,
                "relative": served["p50"][label] / bert,
                **{machine: _relative(published, machine, name, rewritten) for machine in ("p100", "k80")},
            }
        )
    return pd.DataFrame(rows, columns=["model", "f1", "usd", "usd_low", "usd_high", "relative", "p100", "k80"])


def architecture(collected: Collected, slug: str) -> ModelName | None:
    """The published base model that a model's full-size network is, by its name and its size; None for another."""
    spec = collected.study.models[slug]
    said = spec.architecture or str(spec.hub or "").split("/")[-1].split("-")[0]
    (size,) = measured(collected, slug, "parameters", _large(collected, slug))
    # A vocabulary of other words changes the size by some percent; BERT-large has three times as many parameters.
    return next((name for name in MODELS if name == said and abs(size.value / PARAMETERS[name] - 1) < 0.05), None)


def invalid(collected: Collected) -> list[str]:
    """A sentence for each measurement that would need more than the machine's peak."""
    return [
        f"Invalid measurement: {collected.label(slug)}, {at['network']} network, "
        f"{record.metric.removesuffix('_seconds').replace('_', ' ')}, {at['batch_size']} × {at['length']} tokens in "
        f"{at['precision']}: would need {at['share_of_peak']:.2f} of the machine's peak."
        for slug, profile in collected.profiles.items()
        for record in profile.records
        if (at := record.conditions).get("valid") is False and record.metric.endswith("_seconds")
    ]


def shown_published(tradeoff: pd.DataFrame) -> pd.DataFrame:
    """Published scores and times over BERT's beside ours, as a reader sees them."""
    return pd.DataFrame(
        {
            "model": tradeoff["model"],
            "F1 published in 2021": [f"{value:.2f}" for value in tradeoff["f1"]],
            **{
                f"time over BERT's, {where}": [
                    missing if pd.isna(value) else f"{value:.2f}" for value in tradeoff[column]
                ]
                for column, where, missing in (
                    ("p100", "P100 2021", "not there then"),
                    ("k80", "K80 2021", "not there then"),
                    ("relative", "here, measured", "no BERT measured"),
                )
            },
            "million questions here, USD": [
                words.usd(*pair) for pair in zip(tradeoff["usd_low"], tradeoff["usd_high"], strict=True)
            ],
        }
    )


def shown_serving(served: pd.DataFrame) -> pd.DataFrame:
    """The scenarios as a reader sees them; energy only where it was metered."""
    shown = {
        "model": served["model"],
        "SingleStream p50": [_with_interval(row.p50, row.p50_low, row.p50_high) for row in served.itertuples()],
        **{f"SingleStream {p}": [words.seconds(value) for value in served[p]] for p in ("p90", "p99")},
        "answers timed": served["repeats"],
        "Offline": [
            _OUT_OF_MEMORY if pd.isna(row.questions_per_second)
            else f"{words.plain(row.questions_per_second)} questions/s at batch {row.offline_batch:.0f}"
            for row in served.itertuples()
        ],
        "million, SingleStream, USD": [words.usd(*pair) for pair in served["single_usd"]],
        "million, Offline, USD": [_offline_usd(*pair) for pair in served["offline_usd"]],
    }  # fmt: skip
    if served["joules"].notna().any():
        shown["J per question, SingleStream"] = [
            "not metered" if pd.isna(value) else words.plain(value) for value in served["joules"]
        ]
    return pd.DataFrame(shown)


def shown_utilisation(found: pd.DataFrame) -> pd.DataFrame:
    """A million questions at each utilisation as a reader sees it: a column per utilisation."""
    columns: dict[str, Any] = {"model": found["model"].unique()}
    for share, rows in found.groupby("utilisation", sort=False):
        pairs = zip(rows["usd_low"], rows["usd_high"], strict=True)
        columns[f"{words.percent(share)} of the time, USD"] = [words.usd(*pair) for pair in pairs]
    return pd.DataFrame(columns)


def shown_memory(peaks: pd.DataFrame) -> pd.DataFrame:
    """The peaks as a reader sees them: a column per model."""
    cells = peaks.assign(shown=[_OUT_OF_MEMORY if pd.isna(mib) else f"{mib:,.0f} MiB" for mib in peaks["mib"]])
    index = ["network", "precision", "batch_size", "length", "measure"]
    wide = cells.pivot_table(index=index, columns="model", values="shown", aggfunc="first", sort=False)
    wide = wide[list(dict.fromkeys(peaks["model"]))].fillna("not measured").reset_index()
    return wide.rename(columns={"batch_size": "batch", "length": "tokens per row"})


def shown_money(money: pd.DataFrame) -> pd.DataFrame:
    """Costs as a reader sees them: a range where the price is one."""

    def at_prices(column: str) -> list[tuple[float, float]]:
        return [(row[column] * row["cheapest"], row[column] * row["dearest"]) for _, row in money.iterrows()]

    return pd.DataFrame(
        {
            "model": money["model"],
            "F1": [f"{value:.1f}" for value in money["f1"]],
            "fine-tuning, USD": [words.usd(*pair) for pair in at_prices("training_usd")],
            "million, SingleStream, USD": [words.usd(*pair) for pair in at_prices("single_usd")],
            "million, Offline, USD": [_offline_usd(*pair) for pair in at_prices("offline_usd")],
            "USD per point of F1 over the smallest": [
                "none over it" if pd.isna(pair[0]) else "costs less" if pair[0] < 0 else words.usd(*pair)
                for pair in at_prices("usd_per_point")
            ],
        }
    )


def shown_break_even(found: pd.DataFrame) -> pd.DataFrame:
    """Break-even as a reader sees it."""

    def words(questions: float) -> str:
        if pd.isna(questions):
            return "not told: their times overlap"
        if questions == 0:
            return "at once: costs no more to train"
        return "never" if questions == float("inf") else f"{questions:,.0f}"

    return found.assign(questions=[words(value) for value in found["questions"]])


def _runs_overlap(models: pd.DataFrame, model: str, other: str) -> bool:
    """Whether two models were trained several times and the F1 of their runs overlap."""
    pair = models[models["model"].isin([model, other])]
    return bool(pair["seeds"].max() > 1 and pair["f1_seed_low"].max() <= pair["f1_seed_high"].min())


def _has_twin(collected: Collected, slug: str) -> bool:
    sizes = collected.profiles[slug].all("parameters")
    return any(record.conditions.get("network") == "full size" for record in sizes)


def _large(collected: Collected, slug: str) -> str:
    """Which of a model's networks is full size: its twin, or its own where that is not smaller."""
    return "full size" if _has_twin(collected, slug) else "study"


def _of_memory(record: Record) -> bool:
    """Whether a record is of a measurement of memory: a timing that ran out of memory says so too, with its inputs."""
    ran_out = record.metric == "out_of_memory" and "inputs" not in record.conditions
    return ran_out or record.metric == "peak_memory_bytes"


def _paid(training: "pd.Series[float]") -> "pd.Series[float]":
    """USD paid here: nothing for a model that came fine-tuned."""
    return training.fillna(0.0)


def _speed_row(collected: Collected, slug: str) -> dict[str, Any]:
    """One forward pass at the smallest batch and the longest rows, and one training step likewise."""
    network = _large(collected, slug)
    (parameters,) = measured(collected, slug, "parameters", network)
    row: dict[str, Any] = {"model": collected.label(slug), "parameters": words.parameters(parameters.value)}
    forward = _typical(measured(collected, slug, "forward_seconds", network))
    if forward is not None:
        at = forward.conditions
        row["precision"] = at["precision"]
        row[f"forward, {at['batch_size']} × {at['length']}"] = _timed(forward)
        row["GFLOP"] = f"{float(at['flops'] or 0) / 1e9:.1f}"
        row["share of peak"] = words.percent(float(at["share_of_peak"] or 0))
        row["with eager attention"] = _eager(collected, slug, forward)
    step = _typical(measured(collected, slug, "training_step_seconds", network))
    if step is not None:
        at = step.conditions
        row[f"training step, {at['batch_size']} × {at['length']}"] = _timed(step)
        row["of it forward, backward, update"] = _parts(collected, slug, network, step)
    return row


def _eager(collected: Collected, slug: str, forward: Record) -> str:
    """The same forward pass without fused attention."""
    if forward.conditions["attention"] == "eager":
        return "is eager"
    controls = [r for r in collected.profiles[slug].all("forward_seconds") if r.conditions.get("eager_control")]
    same = [r for r in controls if _same(r, forward, "network", "precision", "batch_size", "length")]
    return _timed(same[0]) if same else "not measured"


def _parts(collected: Collected, slug: str, network: str, step: Record) -> str:
    """Shares of a training step's three parts: of the sum of their medians, so that they add up."""
    parts = [
        next(r.value for r in measured(collected, slug, f"training_{part}_seconds", network)
             if _same(r, step, "batch_size", "length"))
        for part in ("forward", "backward", "optimizer")
    ]  # fmt: skip
    return " + ".join(words.percent(part / sum(parts)) for part in parts)


def _serving_row(collected: Collected, slug: str, network: str) -> dict[str, Any]:
    network = _large(collected, slug) if network == "full size" else network
    single = measured(collected, slug, "single_stream_seconds", network)
    if not single:
        raise StudyError(f"profile of {slug}: has no SingleStream time of the {network} network; profile it again")
    p90, p99 = (measured(collected, slug, f"single_stream_seconds_{p}", network)[0].value for p in ("p90", "p99"))
    low, high = _bounds(single[0])
    passes = measured(collected, slug, "offline_questions_per_second", network)
    best = max(passes, key=lambda record: record.value, default=None)
    per_second = best.value if best else float("nan")
    energy = measured(collected, slug, "single_stream_joules", network)
    prices = collected.price.range_usd_per_hour
    return {
        "model": collected.label(slug),
        "p50": single[0].value,
        "p50_low": low,
        "p50_high": high,
        "p90": p90,
        "p99": p99,
        "repeats": single[0].n,
        "questions_per_second": per_second,
        "offline_batch": best.conditions["batch_size"] if best else None,
        "single_usd": tuple(costs.usd_per_million_questions(single[0].value, price) for price in prices),
        "offline_usd": tuple(costs.usd_per_million_offline(per_second, price) for price in prices),
        "joules": energy[0].value if energy else float("nan"),
    }


def _typical(records: Iterable[Record]) -> Record | None:
    """The point with the smallest batch, and of these the longest rows."""
    return min(
        records, key=lambda r: (int(r.conditions["batch_size"] or 0), -int(r.conditions["length"] or 0)), default=None
    )


def _same(one: Record, other: Record, *keys: str) -> bool:
    return all(one.conditions[key] == other.conditions[key] for key in keys)


def _bounds(record: Record) -> tuple[float, float]:
    """The record's interval; the value itself twice where it has none."""
    return (record.interval.low, record.interval.high) if record.interval else (record.value, record.value)


def _timed(record: Record) -> str:
    return _with_interval(record.value, *_bounds(record))


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{words.seconds(value)} ({words.seconds(low)}–{words.seconds(high)})"


def _offline_usd(low: float, high: float) -> str:
    return _OUT_OF_MEMORY if pd.isna(low) else words.usd(low, high)


def _relative(published: Published, machine: str, model: ModelName, rewritten: bool) -> float:
    """The original's inference time over BERT's, mean over its lengths; NaN for what it did not run."""
    if rewritten:
        return float("nan")
    times = {(row[1], row[3]): row[4] for row in published.original.inference.rows() if row[0] == machine}
    lengths = sorted({length for _, length in times})
    ratios = [times[model, length] / times["bert", length] for length in lengths]
    return sum(ratios) / len(ratios)
