"""Tiny questions, tokenizers and networks, and hand-made result files, shared by the tests."""

import datetime
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from huggingface_hub import constants

from qa_tradeoffs.analysis.answers import Answers
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics.passes import Pass, SideBySide, Surroundings
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config, prices
from tests import hub_server

ROOT = Path(__file__).parents[1]
PLACES = {"Ada": "Rome", "Bob": "Paris", "Carla": "Lima", "Dan": "Oslo", "Eve": "Cairo"}
SIZES: dict[str, dict[str, Any]] = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "squeezebert": {
        "hidden_size": 16, "embedding_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32,
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def processor_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests, what `precision: auto` resolves to must not depend on the machine."""
    if "torch" in sys.modules:  # tests that need no torch do not load it
        from qa_tradeoffs.models import precisions

        monkeypatch.setattr(precisions, "native_bf16", lambda device_type: False)


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Bit-equal results need a fixed order of sums; tiny networks gain nothing from more threads."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    """Five questions about one passage, each answered by another word."""
    context = " ".join(f"{name} lives in {place}." for name, place in PLACES.items())
    return [
        Example(name, "places", context, f"Where does {name} live?", (place,), (context.index(place),))
        for name, place in PLACES.items()
    ]


@pytest.fixture(scope="session")
def tokenizer(examples: list[Example]) -> Any:

    from qa_tradeoffs.models import tokenizers

    return tokenizers.train_wordpiece([text for e in examples for text in (e.context, e.question)], 200)


@pytest.fixture(scope="session")
def network_of(one_thread: None, tokenizer: Any) -> Callable[..., Any]:
    """A function that builds a network of an architecture; ``seed`` draws its weights."""
    from qa_tradeoffs.models import networks

    def build(architecture: str = "bert", seed: int = 0, **settings: Any) -> Any:
        sizes = {"max_position_embeddings": 64, **SIZES[architecture], **settings}
        spec = config.Model(label="tiny", architecture=architecture, config=sizes)
        return networks.load_network(spec, None, len(tokenizer), seed)

    return build


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a notebook of these cells, the first of them its parameters."""

    def write(parameters: str, *cells: str) -> Path:
        content = nbformat.v4.new_notebook()
        content.metadata.kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
        content.cells = [nbformat.v4.new_code_cell(source) for source in (parameters, *cells)]
        content.cells[0].metadata.tags = ["parameters"]
        nbformat.write(content, tmp_path / "small.ipynb")
        return tmp_path / "small.ipynb"

    return write


MODELS: dict[str, Any] = {
    "bert": {"label": "BERT", "hub": "some/bert", "revision": "a" * 40},
    "distilbert": {"label": "DistilBERT", "hub": "some/distilbert", "revision": "b" * 40},
}


@pytest.fixture
def study_of() -> Callable[..., config.Study]:
    """A function that builds a study of published checkpoints; keywords replace its keys."""

    def build(**keys: Any) -> config.Study:
        grid = {"batch_sizes": [1, 8], "lengths": [32, 64]}
        content = {
            "title": "A study",
            "about": "It studies.",
            "data": {"source": "hub", "name": "some/squad", "revision": "c" * 40},
            "models": MODELS,
            "profile": {"forward": grid, "training_step": grid},
            "price": "gpu",
        }
        return config.Study.model_validate(content | keys)

    return build


@pytest.fixture
def price_at() -> Callable[..., prices.Price]:
    """A function that makes today's price from USD per hour."""

    def build(usd_per_hour: Any, date: datetime.date | None = None) -> prices.Price:
        return prices.Price(
            provider="Some Cloud",
            machine="a GPU",
            usd_per_hour=usd_per_hour,
            date=date or datetime.date.today(),
            source="its price list",
        )

    return build


def price_at_par() -> prices.Price:
    """One dollar an hour."""
    return prices.Price(provider="Some Cloud", machine="a GPU", usd_per_hour=1, date=datetime.date.today(), source="x")


def results_of(
    study: config.Study,
    stage: inputs.Stage,
    slug: str,
    seed: int | None,
    rows: Sequence[Any],
    data: str = "d" * 64,
) -> results.Results:
    """A result file with these rows, as this stage of the study would write it."""
    provenance = results.Provenance(
        study="some.yaml",
        study_sha256="e" * 64,
        inputs_sha256=inputs.digest(study, stage, slug, seed),
        data_sha256=data,
        git_commit="f" * 40,
        git_dirty=False,
        seed=seed,
        checkpoint=str(study.models[slug].hub),
        revision=study.models[slug].revision,
        device={"type": "cpu", "name": "some processor", "software": "AVX2", "threads": 2},
        python="3.11.0",
        versions={"torch": "2"},
    )
    return results.Results(stage=stage, model=slug, provenance=provenance, records=results.records(rows))


def training_results(study: config.Study, slug: str, seed: int, seconds: float) -> results.Results:
    rows = [Record.of("train_seconds", seconds, "s", 10), Record.of("train_windows", 360, "windows", 10)]
    rows.append(Record.of("train_steps", 4500, "updates", 10, conditions={"precision": "fp32"}))
    return results_of(study, "train", slug, seed, rows)


def evaluation_results(study: config.Study, slug: str, seed: int, f1: float, n: int) -> results.Results:
    """``f1`` with an interval of ± 1 point, EM five below it; the untrained baseline reaches 20 (18 to 22)."""
    scores = [("exact_match", f1 - 5, 2), ("f1", f1, 1), ("baseline_exact_match", 10, 1), ("baseline_f1", 20, 2)]
    rows = [
        Record.of(metric, value, "points", n, interval=Interval(low=value - by, high=value + by, over="questions"))
        for metric, value, by in scores
    ]
    rows += [Record.of(f"ceiling_{metric}", 100, "points", n) for metric in ("exact_match", "f1")]
    rows.append(Record.of("questions_cut", 0, "questions", n, conditions={"limit": 64, "longest": 9}))
    return results_of(study, "evaluate", slug, seed, [row.under({"language": "en"}) for row in rows])


QUIET = Surroundings(steal=0.0, foreign=0.01, rate=1e11)
Seconds = float | Sequence[float]


def in_turn(
    work: str, seconds: Mapping[str, Seconds], network: str = "study", contended: int = 0, **conditions: Any
) -> SideBySide:
    """One kind of work with three passes: a model's seconds in each, or one time, used with factors 0.9, 1 and 1/0.9.

    The geometric mean of these three is that time, and the ratio of two such times is the same in every pass. The first
    ``contended`` passes are contended.
    """
    passes = {
        model: [0.9 * value, value, value / 0.9] if isinstance(value, float) else list(value)
        for model, value in seconds.items()
    }
    attempts = [
        Pass(
            number=i,
            attempt=0,
            seconds={model: values[i] for model, values in passes.items()},
            surroundings=QUIET,
            contended=("other programs",) * (i < contended),
        )
        for i in range(len(next(iter(passes.values()))))
    ]
    models: dict[str, dict[str, Any]] = {
        model: {"precision": "fp32", "attention": "sdpa", "windows": 16} for model in seconds
    }
    return SideBySide(
        work=work, network=network, conditions={"questions": 100} | conditions, models=models, calls=1,
        attempts=tuple(attempts),
    )  # fmt: skip


def comparison_of(
    study: config.Study, slugs: Sequence[str], *works: SideBySide, records: Sequence[Record] = ()
) -> results.Comparison:
    """The comparison's result file, as the study would write it."""
    origin = results_of(study, "profile", slugs[0], None, [Record.of("parameters", 1, "parameters")]).provenance
    known = {name: getattr(origin, name) for name in results.OfStudy.model_fields}
    known |= {"seed": 0, "inputs_sha256": config.digest(inputs.of_comparison(study, slugs, 0))}
    return results.Comparison(
        models=tuple(slugs), provenance=results.OfStudy(**known), works=works, records=tuple(records)
    )


def usual_works(seconds: Mapping[str, float]) -> list[SideBySide]:
    """A question takes these seconds, a hundred at once take ten times as long, a training step four times."""
    return [
        in_turn("single_stream", seconds),
        in_turn("offline", {model: 10 * value for model, value in seconds.items()}, batch_size=32),
        in_turn("training_step", {model: 4 * value for model, value in seconds.items()}),
        in_turn("forward", seconds, batch_size=1, length=128),
    ]


def timed(metric: str, seconds: float, n: int = 10, spread: float = 0.1, **conditions: Any) -> Record:
    """A median over passes, with an interval of ± ``spread`` of its value."""
    interval = Interval(low=(1 - spread) * seconds, high=(1 + spread) * seconds, over="passes")
    return Record.of(metric, seconds, "s", n, interval=interval, conditions=conditions)


def profile_results(study: config.Study, slug: str, parameters: float, seconds: float) -> results.Results:
    """Times in proportion to batch and length; ``seconds`` at batch 1 and 128 tokens, with an interval of ± 10 %."""
    rows = [
        Record.of("parameters", parameters, "parameters"),
        Record.of("bytes_on_disk", 4 * parameters, "bytes"),
        *(
            timed(f"{work}_seconds", factor * seconds * batch * length / 128, 12,
                  batch_size=batch, length=length, precision="fp32", attention="sdpa")
            for work, factor in (("forward", 1), ("training_step", 3))
            for batch in (1, 8)
            for length in (32, 128)
        ),
    ]  # fmt: skip
    return results_of(study, "profile", slug, None, rows)


def predictions_of(scores: list[float]) -> pd.DataFrame:
    """One question per score, an exact match if F1 is 1; the ids q0, q1, ... are in falling order.

    Each is about an article and a passage of its own, and its reference is 'right'. Answers are 'right', or such as
    'wrong 0.5', by their F1. All begin at the start of the context, and their probabilities fall from 1.
    """
    frame = pd.DataFrame({"id": [f"q{row}" for row in range(len(scores))], "f1": scores})
    texts = ["right" if score == 1 else f"wrong {score}" for score in scores]
    found = frame.assign(
        exact_match=(frame["f1"] == 1).astype(float),
        prediction=texts,
        probability=[1 - row / len(scores) for row in range(len(scores))],
        no_answer_score=-1.0,
        references='["right"]',
        article=[f"article {row}" for row in range(len(scores))],
        passage=range(len(scores)),
        char_start=0,
        char_end=[len(text) for text in texts],
    )
    return found.iloc[::-1]


def write_beside(path: Path, result: results.Results, table: Path) -> None:
    """Write a result whose table exists already."""
    results.write(path, result.model_copy(update={"beside": results.fingerprints(table.parent, table)}))


def write_run(
    folder: Path,
    study: config.Study,
    scores: Mapping[str, Sequence[list[float]]],
    works: Sequence[SideBySide] | None = (),
    references: Mapping[str, str] | None = None,
    device: Mapping[str, str] | None = None,
) -> Path:
    """A run's folder with the F1 scores of each model by seed, and a comparison; its path.

    ``works`` are those of the comparison, by default the usual ones; None: there is no comparison. ``references``: by
    question id, in place of those of ``predictions_of``; ``device``: entries that differ from the usual device's.
    """
    run = RunPaths(folder)
    for slug, seeds in scores.items():
        for seed, row in enumerate(seeds):
            run.seed_folder(slug, seed).mkdir(parents=True, exist_ok=True)
            frame = predictions_of(row)
            frame["references"] = [(references or {}).get(key, '["right"]') for key in frame["id"]]
            frame.to_parquet(run.predictions(slug, seed))
            found = evaluation_results(study, slug, seed, 100 * sum(row) / len(row), len(row))
            write_beside(run.evaluation(slug, seed), found, run.predictions(slug, seed))
    if works is not None:
        found = comparison_of(study, list(scores), *(works or usual_works(dict.fromkeys(scores, 0.1))))
        changed = found.provenance.model_copy(update={"device": found.provenance.device | (device or {})})
        results.write(run.comparison, found.model_copy(update={"provenance": changed}))
    return folder


@pytest.fixture
def written_study(study_of: Callable[..., config.Study], tmp_path: Path) -> tuple[config.Study, RunPaths]:
    """A study of two models and one seed, with all its result files."""
    study, run = study_of(), RunPaths(tmp_path)
    for slug in ("bert", "distilbert"):
        run.seed_folder(slug, 0).mkdir(parents=True)
        predictions_of([1, 0]).to_parquet(run.predictions(slug, 0))
        pd.DataFrame({"step": [1], "epoch": [1.0], "loss": [2.0]}).to_parquet(run.history(slug, 0))
        write_beside(run.training(slug, 0), training_results(study, slug, 0, 60), run.history(slug, 0))
        write_beside(run.evaluation(slug, 0), evaluation_results(study, slug, 0, 50, 2), run.predictions(slug, 0))
        results.write(run.profile(slug), profile_results(study, slug, 1e6, 0.1))
    slugs = ("bert", "distilbert")
    results.write(run.comparison, comparison_of(study, slugs, *usual_works(dict.fromkeys(slugs, 0.1))))
    return study, run


@pytest.fixture
def collected_of(
    study_of: Callable[..., config.Study], price_at: Callable[..., prices.Price]
) -> Callable[..., Collected]:
    """A function from model slug → one list of F1 scores per seed to everything that the analysis reads of it.

    BERT has 100 million parameters, takes 200 ms for a question and an hour to train, 4,500 updates of 800 ms; the
    others half of each.
    """

    def build(scores: dict[str, list[list[float]]], usd_per_hour: Any = 1.55, **keys: Any) -> Collected:
        study = study_of(**keys)
        runs = {(slug, seed): row for slug, rows in scores.items() for seed, row in enumerate(rows)}
        trained = [key for key in runs if not study.models[key[0]].fine_tuned]
        size = {slug: 1.0 if slug == "bert" else 0.5 for slug in scores}
        return Collected(
            study=study,
            price=price_at(usd_per_hour),
            slugs=tuple(scores),
            seeds=tuple(range(max(map(len, scores.values())))),
            trainings={(s, seed): training_results(study, s, seed, 3600 * size[s]) for s, seed in trained},
            evaluations={
                (s, seed): evaluation_results(study, s, seed, 100 * sum(row) / len(row), len(row))
                for (s, seed), row in runs.items()
            },
            predictions={key: predictions_of(row) for key, row in runs.items()},
            profiles={s: profile_results(study, s, 100e6 * size[s], 0.2 * size[s]) for s in scores},
            comparison=comparison_of(study, list(scores), *usual_works({s: 0.2 * size[s] for s in scores})),
            histories={
                key: pd.DataFrame({"step": [1, 2], "epoch": [0.5, 1.0], "loss": [4.0 + key[1], 2.0]}) for key in trained
            },
        )

    return build


PARTS = "Makefile README.md pyproject.toml constraints.txt notebooks src studies benchmarks docs".split()


TOKEN, TOKEN_FILE = "hf_planted0in0the0environment", "hf_planted0in0a0file"


class Checkout:
    """A copy of the repository in which make runs with the interpreter of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy(ROOT / part, folder / part)
        shutil.copy2(ROOT / "tests" / "tiny.yaml", folder / "studies")
        ready = folder / "venv" / ".qa-tradeoffs-ready"
        ready.parent.mkdir()
        ready.touch()
        (folder / "venv" / "token").write_text(TOKEN_FILE)

    def environment(self) -> dict[str, str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        environment |= {"PYTHONPATH": str(self.folder / "src"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
        return environment | {"HF_TOKEN": TOKEN, "HF_TOKEN_PATH": str(self.folder / "venv" / "token")}

    def command(self, *arguments: str) -> list[str]:
        return ["make", "VENV=venv", f"PY={sys.executable}", *arguments]  # of two PY, make takes the later

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, environment = self.command(*arguments), self.environment()
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def repeats(self, *arguments: str) -> set[str]:
        """Notebooks that make would execute now, as 'bert/seed-0/1-train'."""
        done = self.make("-n", "all", "STUDY=tiny", *arguments)
        assert done.returncode == 0, done.stderr
        return set(re.findall(r"runs\.execute \w+ runs/tiny/(\S+)\.ipynb", done.stdout))

    def edit(self, name: str, addition: str = "\n# an edit\n") -> None:
        """Change a file's content, with a time from long ago."""
        path = self.folder / name
        path.write_text(path.read_text() + addition)
        os.utime(path, (0, 0))

    def touch(self, name: str) -> None:
        os.utime(self.folder / name)


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several test processes, all tests of the finished study go to one, so that it runs once."""
    for item in items:
        if "finished" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("finished"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """The tiny study, run once from end to end."""
    checkout = Checkout(tmp_path_factory.mktemp("checkout"))
    done = checkout.make("all", "STUDY=tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == str(checkout.folder / "reports/tiny/index.html")
    assert done.stderr == ""
    return checkout


@pytest.fixture
def checkout(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout, modification times included, for tests that change it."""
    copied = object.__new__(Checkout)
    copied.folder = tmp_path / "checkout"
    shutil.copytree(finished.folder, copied.folder)
    return copied


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[hub_server.Hub]:
    """A separate Hub with an empty cache for this test; nobody is logged in, and retries do not wait."""
    with hub_server.running() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        yield running


def question(number: int, asked: str = "Where?", context: str = "right here, or is it wrong?") -> Example:
    """Question ``q<number>`` about a context that begins with its answer."""
    return Example(f"q{number}", "", context, asked, (context.split()[0],), (0,))


def answers_of(
    examples: list[Example], scores: dict[str, list[list[float]]], texts: dict[str, list[list[str]]] | None = None
) -> Answers:
    """Model label → one list of F1 scores per seed (and of answers, where they matter), beside their questions."""
    tables_of = {
        label: [predictions_of(row).iloc[::-1].reset_index(drop=True) for row in s] for label, s in scores.items()
    }
    for label, several in (texts or {}).items():
        tables_of[label] = [frame.assign(prediction=row) for frame, row in zip(tables_of[label], several, strict=True)]
    return Answers(tuple(examples), {label: tuple(frames) for label, frames in tables_of.items()})


V2 = {"source": "hub", "name": "some/squad_v2", "revision": "c" * 40, "v2": True, "threshold_questions": 40}


def v2_study(collected_of: Callable[..., Collected]) -> Collected:
    """Five questions, two of them unanswerable: BERT with a threshold of -2, DistilBERT with seeds at 1 and 2."""
    spans = pd.DataFrame(
        {
            "id": [f"q{row}" for row in range(5)],
            "article": "one",
            "passage": range(5),
            "has_answer": [True, False, True, True, False],
            "span_f1": [1, 0, 0.5, 0, 0],
            "span_exact_match": [1, 0, 0, 0, 0],
            "no_answer_score": [-2.0, -1, 0.5, 1, 2],
        }
    )
    found = collected_of({"bert": [[0.0] * 5], "distilbert": [[0.0] * 5, [0.0] * 5]}, data=V2, seeds=[0, 1])
    for key, threshold in {("bert", 0): -2.0, ("distilbert", 0): 1.0, ("distilbert", 1): 2.0}.items():
        f1 = spans["span_f1"].where(spans["no_answer_score"] <= threshold, (~spans["has_answer"]).astype(float))
        found.predictions[key] = spans.assign(f1=f1, exact_match=f1 // 1)
        row = {"metric": "no_answer_threshold", "value": threshold, "unit": "logits", "n": 41}
        row["conditions"] = {"chosen_on": "held-out training questions"}
        found.evaluations[key] = results_of(found.study, "evaluate", *key, [row])
    return found
