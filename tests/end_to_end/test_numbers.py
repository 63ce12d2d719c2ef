"""Numbers of a report computed again from the files of its run, by other means than the report's own.

Nothing of qa_tradeoffs is imported: tables are read from the page as their CSV files, raw times, scores and counts from
parquet and JSON, the price from its YAML file.
"""

import base64
import csv
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from scipy import stats

BOTH = ["BERT", "DistilBERT"]


@pytest.fixture(scope="module")
def run(finished) -> Path:
    return finished.folder / "runs/tiny"


@pytest.fixture(scope="module")
def tables(finished) -> dict[str, list[dict[str, str]]]:
    """The rows of each table of the report, unrounded, by the name of its file."""
    folder = finished.folder / "reports/tiny"
    pages = [page for page in folder.iterdir() if not re.search(r"\d-[a-z]+\.html$", page.name)]
    links = [link for page in pages for link in BeautifulSoup(page.read_text(), "html.parser").select("a[download]")]
    saved = {link["download"]: link["href"].partition(",")[2] for link in links}
    return {
        name: list(csv.DictReader(io.StringIO(base64.b64decode(content).decode("utf-8-sig"))))
        for name, content in saved.items()
    }


@pytest.fixture(scope="module")
def models(tables) -> dict[str, dict[str, str]]:
    """The table of all models in numbers."""
    (name,) = [name for name in tables if name.startswith("models-of-the-study")]
    return {row["model"]: row for row in tables[name]}


@pytest.fixture(scope="module")
def passes(run) -> dict[tuple[str, str], pd.DataFrame]:
    """By work and network: the median seconds of a call, a row per pass that counts, a column per model."""
    calls = pd.read_parquet(run / "calls.parquet")
    medians = calls[calls["counts"]].groupby(["work", "network", "pass", "model"])["seconds"].median()
    return {key: part.droplevel([0, 1]).unstack("model") for key, part in medians.groupby(level=[0, 1])}


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % interval."""
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return float(np.mean(values)), float(low), float(high)


def test_f1_is_the_mean_over_the_answers(run, models):
    for slug, label in zip(("bert", "distilbert"), BOTH, strict=True):
        answers = pd.read_parquet(run / slug / "seed-0/predictions.parquet")
        assert float(models[label]["f1"]) == pytest.approx(100 * answers["f1"].sum() / len(answers))


def test_the_time_of_a_question_is_the_geometric_mean_of_pass_medians_with_its_t_interval(models, passes):
    for slug, label in zip(("bert", "distilbert"), BOTH, strict=True):
        expected = np.exp(interval(np.log(passes["single_stream", "study"][slug].to_numpy())))
        found = [float(models[label][name]) for name in ("question", "question_low", "question_high")]
        assert found == pytest.approx(list(expected))


@pytest.mark.parametrize(("name", "network"), [("question", "study"), ("full_size", "full size")])
def test_times_as_fast_are_ratios_within_passes(tables, passes, name, network):
    (savings,) = [rows for file, rows in tables.items() if file.startswith("against-the-largest-model")]
    (row,) = savings
    assert (row["model"], row["other"]) == ("DistilBERT", "BERT")
    times = passes["single_stream", network]
    expected = np.exp(interval(np.log((times["bert"] / times["distilbert"]).to_numpy())))
    found = [float(row[f"{name}_times{end}"]) for end in ("", "_low", "_high")]
    assert found == pytest.approx(list(expected))
    p = stats.ttest_rel(np.log(times["bert"]), np.log(times["distilbert"])).pvalue
    verdict = "not significant" if p >= 0.05 else "faster" if expected[0] > 1 else "slower"
    assert row[f"{name}_verdict"] == verdict


def test_fine_tuning_costs_a_step_times_its_updates_at_the_price(finished, run, models, passes):
    (price,) = [
        entry["usd_per_hour"]
        for key, entry in yaml.safe_load((finished.folder / "studies/prices.yaml").read_text()).items()
        if key == "gcp-n1-standard-2"
    ]
    for slug, label in zip(("bert", "distilbert"), BOTH, strict=True):
        training = json.loads((run / slug / "seed-0/training.json").read_text())["records"]
        (updates,) = [record["value"] for record in training if record["metric"] == "train_steps"]
        step = np.exp(np.log(passes["training_step", "study"][slug]).mean())
        assert float(models[label]["train_by_step"]) == pytest.approx(step * updates)
        assert float(models[label]["train_usd_low"]) == pytest.approx(step * updates / 3600 * price)


def test_a_million_questions_cost_their_time_at_the_price(finished, tables, passes):
    (money,) = [rows for file, rows in tables.items() if file.startswith("the-study-s-networks-at-this-price")]
    price = yaml.safe_load((finished.folder / "studies/prices.yaml").read_text())["gcp-n1-standard-2"]["usd_per_hour"]
    for row, slug in zip(money, ("bert", "distilbert"), strict=True):
        question = np.exp(np.log(passes["single_stream", "study"][slug]).mean())
        assert float(row["million_usd"]) == pytest.approx(question * 1e6 / 3600 * price)


def test_machines_for_the_load_follow_from_the_rate_of_one_and_the_price(finished, tables, run):
    (machines,) = [rows for file, rows in tables.items() if file.startswith("machines-for-10-000-questions-a-second")]
    price = yaml.safe_load((finished.folder / "studies/prices.yaml").read_text())["gcp-n1-standard-2"]["usd_per_hour"]
    calls = pd.read_parquet(run / "calls.parquet")
    calls = calls[calls["counts"] & (calls["work"] == "single_stream") & (calls["network"] == "study")]
    for row, slug in zip(machines, ("bert", "distilbert"), strict=True):
        seconds = calls.loc[calls["model"] == slug, "seconds"]
        assert float(row["alone"]) == pytest.approx(np.percentile(seconds, 99), rel=0.5)  # of few calls, drawn often
        assert float(row["utilisation"]) == pytest.approx(float(row["rate"]) * seconds.mean(), rel=0.02)
        if float(row["rate"]):
            assert float(row["machines"]) == math.ceil(10_000 / float(row["rate"]))
            assert float(row["month_usd_low"]) == pytest.approx(730 * float(row["machines"]) * price)


def test_break_even_follows_from_savings_and_additional_training_time(tables, run, passes):
    (even,) = [rows for file, rows in tables.items() if file.startswith("questions-until")] or [[]]
    times, steps = passes["single_stream", "study"], passes["training_step", "study"]
    for row in even:
        if not row["questions_low"]:
            continue
        one, other = (name.lower() for name in (row["cheaper to serve"], row["than"]))
        _, saved_low, saved_high = interval((times[other] - times[one]).to_numpy())
        _, extra_low, extra_high = interval(9 * (steps[one] - steps[other]).to_numpy())  # 72 windows, 8 an update
        assert float(row["questions_low"]) == pytest.approx(max(0.0, extra_low) / saved_high)
        if saved_low > 0:
            assert float(row["questions_high"]) == pytest.approx(max(0.0, extra_high) / saved_low)
