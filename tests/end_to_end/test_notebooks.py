"""The whole study, run by make in a copy of the repository: what it writes, and what it does not repeat."""

import base64
import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import TOKEN, TOKEN_FILE, Checkout

from qa_tradeoffs.data import sources
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config

ROOT = Path(__file__).parents[2]


def test_one_of_several_test_processes_runs_the_study(finished, request):
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@finished")


def test_every_stage_writes_its_checked_results(finished):
    run = finished.folder / "runs/tiny"
    study = config.load(finished.folder / "studies/tiny.yaml")
    for slug in study.models:
        training = results.read(run / slug / "seed-0/training.json")
        evaluation = results.read(run / slug / "seed-0/evaluation.json")
        profile = results.read(run / slug / "profile.json")
        # 24 passages × 3 questions, one window each; batches of 8
        assert training.find("train_windows").value == 72
        assert training.find("train_steps").value == 9
        assert evaluation.find("f1").n == 24
        assert profile.find("forward_seconds", batch_size=1, length=32).value > 0
        assert training.provenance.data_sha256 == evaluation.provenance.data_sha256
        frame = pd.read_parquet(run / slug / "seed-0/predictions.parquet")
        assert len(frame) == 24
        assert evaluation.find("f1").value == pytest.approx(100 * frame["f1"].mean())
        raw = pd.read_parquet(run / slug / "timings.parquet")
        at = raw[(raw["work"] == "forward") & (raw["length"] == 32)]
        of_passes = at.groupby("pass")["seconds"].median()
        assert profile.find("forward_seconds", length=32).value == pytest.approx(np.exp(np.log(of_passes).mean()))


def test_the_comparison_has_every_kind_of_work_pass_by_pass(finished):
    run = finished.folder / "runs/tiny"
    found, raw = results.read_comparison(run / "comparison.json"), pd.read_parquet(run / "calls.parquet")
    assert found.models == ("bert", "distilbert")
    each = ("single_stream", "offline", "training_step")
    expected = {(work, network, 3) for work in each for network in ("study", "full size")}
    assert {(one.work, one.network, len(one.passes)) for one in found.works} == expected | {("forward", "full size", 3)}
    assert found.beside == results.fingerprints(run, run / "calls.parquet")
    (single,) = found.all("single_stream", "study")
    of_bert = raw[(raw["work"] == "single_stream") & (raw["network"] == "study") & (raw["model"] == "bert")]
    medians = of_bert[of_bert["counts"]].groupby("pass")["seconds"].median()
    assert single.seconds("bert").tolist() == pytest.approx(medians.tolist())


def test_checkpoints_are_safetensors_and_nothing_is_left_to_resume_from(finished):
    files = {path.name for path in (finished.folder / "runs/tiny/bert/seed-0").rglob("*") if path.is_file()}
    assert "model.safetensors" in files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl")) or name.startswith("partial-")]


def test_executed_notebooks_hold_no_errors_no_floods_and_no_tokens(finished):
    notebooks = list((finished.folder / "runs/tiny").rglob("*.ipynb"))
    assert len(notebooks) == 10  # three of each model, the comparison, the analysis and two excursions
    for notebook in notebooks:
        outputs = [o for cell in json.loads(notebook.read_text())["cells"] for o in cell.get("outputs", [])]
        assert {o["output_type"] for o in outputs} <= {"execute_result", "display_data"}
        assert notebook.stat().st_size < 2_000_000


def test_no_token_is_written_anywhere(finished):
    written = [p for part in ("runs", "reports") for p in (finished.folder / part).rglob("*") if p.is_file()]
    assert len(written) > 30
    for path in written:
        content = path.read_bytes()
        assert TOKEN.encode() not in content
        assert TOKEN_FILE.encode() not in content


def test_the_report_is_one_folder_that_asks_for_nothing(finished):
    pages = list((finished.folder / "reports/tiny").iterdir())
    assert {page.suffix for page in pages} == {".html"}
    names = {page.name for page in pages}
    for page in pages:
        text = page.read_text()
        assert text.count("<script") == text.count("<script>") == 1  # of its own; the policy allows no other
        embedded = re.findall(r'"(data:(?:image/svg\+xml|text/csv;charset=utf-8);base64,[\w+/=]*)"', text)
        assert set(re.findall(r'(?:src|href)="([^"#]*)"', text)) <= names | {"data:,"} | set(embedded)
        assert all(alt for alt in re.findall(r'<img[^>]* alt="([^"]*)"', text))
        assert len(re.findall(r"<img", text)) == len(re.findall(r'<img[^>]* alt="', text))


def test_every_page_is_one_click_from_the_index_and_leads_back(finished):
    folder = finished.folder / "reports/tiny"
    read = {page.name: BeautifulSoup(page.read_text(), "html.parser") for page in folder.iterdir()}
    main = {name: {link["href"] for link in page.select("main a[href]")} for name, page in read.items()}
    questions = {name for name in read if not re.search(r"\d-[a-z]+\.html$", name)} - {"index.html"}
    assert {"audit.html", "anomaly.html"} < questions and len(questions) > 10
    assert set(read) - {"index.html"} <= main["index.html"]  # without the menu, which a phone does not show
    for name in set(read) - {"index.html"}:
        assert read[name].select_one("nav .back a")["href"] == "index.html"
    for name in questions:
        (title,) = read[name].select("h1")
        assert title.get_text().endswith("?")


def test_no_figure_of_the_audit_or_the_anomaly_is_on_the_index(finished):
    index = (finished.folder / "reports/tiny/index.html").read_text()
    assert "P100" not in index and "channels in the last dimension" not in index


def test_a_second_run_does_nothing_and_takes_little_of_the_processor(finished):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    again = finished.make("all", "STUDY=tiny")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3  # a kernel alone takes more
    assert again.stdout.splitlines() == [str(finished.folder / "reports/tiny/index.html")]


def test_publishing_puts_the_pages_where_they_are_committed_and_the_figures_into_the_readme(checkout):
    done = checkout.make("publish", "STUDY=tiny")
    assert done.returncode == 0, done.stderr
    published = checkout.folder / "reports/published/tiny"
    pages = {page.name for page in (checkout.folder / "reports/tiny").iterdir()}
    assert {file.name for file in published.iterdir()} == pages | {"summary.json", "tradeoff.svg"}
    assert not [file for file in published.iterdir() if "/checkout" in file.read_text()]
    splits = sources.load(config.load(checkout.folder / "studies/tiny.yaml").data)  # which does not say publish_texts
    texts = {text for e in (*splits.train, *splits.validation) for text in (e.question, e.context, e.context[:40])}

    def quoting(folder: Path) -> list[str]:
        read = {page.name: page.read_text() for page in folder.iterdir()}
        return [name for name, content in read.items() if any(text in content for text in texts)]

    assert quoting(published) == []
    assert quoting(checkout.folder / "reports/tiny") != []
    first = BeautifulSoup((published / "index.html").read_text(), "html.parser").find("img")
    assert base64.b64decode(first["src"].partition(",")[2]) == (published / "tradeoff.svg").read_bytes()
    readme = (checkout.folder / "README.md").read_text()
    assert "](reports/published/tiny/tradeoff.svg)" in readme
    f1 = results.read(checkout.folder / "runs/tiny/bert/seed-0/evaluation.json").find("f1").value
    row = next(line for line in readme.splitlines() if line.startswith("| BERT |"))
    assert f"| {f1:.1f} (" in row


TRAINED = {f"{model}/seed-0/1-train" for model in ("bert", "distilbert")}
EVALUATED = {f"{model}/seed-0/2-evaluate" for model in ("bert", "distilbert")}
PROFILED = {f"{model}/3-profile" for model in ("bert", "distilbert")}
COMPARED, EXCURSIONS = {"4-compare"}, {"audit", "anomaly"}


def edited(name: str, addition: str = "\n# an edit\n") -> Callable[[Checkout], None]:
    return lambda checkout: checkout.edit(name, addition)


def replaced(name: str, old: str, new: str) -> Callable[[Checkout], None]:
    """A change of an existing text."""

    def change(checkout: Checkout) -> None:
        path = checkout.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def touched(checkout: Checkout) -> None:
    for path in checkout.folder.rglob("*"):
        os.utime(path)


def saved_by_hand(checkout: Checkout) -> None:
    """The first notebook, with other parameters and with outputs."""
    path = checkout.folder / "notebooks/1-train.ipynb"
    content = json.loads(path.read_text())
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    code[0]["source"] = 'study: str = "studies/tiny.yaml"  # by hand'
    code[1] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "it ran"}], "execution_count": 3}
    path.write_text(json.dumps(content))


def lost(checkout: Checkout) -> None:
    (checkout.folder / "runs/tiny/bert/seed-0/evaluation.json").unlink()


def unchanged(checkout: Checkout) -> None:
    pass


RECORD = "runs/tiny/bert/seed-0/.1-train.inputs.json"
OF_BERT = {"bert/seed-0/1-train", "bert/seed-0/2-evaluate"}
OF_DISTILBERT = {"distilbert/seed-0/1-train", "distilbert/seed-0/2-evaluate", "distilbert/3-profile"}
OF_SEED_7 = {f"{model}/seed-7/{name}" for model in ("bert", "distilbert") for name in ("1-train", "2-evaluate")}
CHANGES: dict[str, tuple[Callable[[Checkout], None], set[str]]] = {
    "a touch of every file": (touched, set()),
    "a notebook saved by hand": (saved_by_hand, set()),
    "other code in a notebook": (
        replaced("notebooks/1-train.ipynb", "job.summary()", "{}"), TRAINED | EVALUATED | COMPARED
    ),
    "prose of a training": (replaced("notebooks/1-train.ipynb", "Train one", "Fit one"), set()),
    "prose of the report": (replaced("notebooks/5-analysis.ipynb", "## The answer", "## An answer"), {"5-analysis"}),
    "a comment in the study": (edited("studies/tiny.yaml", "# a comment\n"), set()),
    "the report's pages": (edited("src/qa_tradeoffs/report/pages.py"), set()),
    "the forecast": (edited("src/qa_tradeoffs/runs/forecast.py"), set()),
    "the report's charts": (edited("src/qa_tradeoffs/report/charts.py"), {"5-analysis", "anomaly"}),
    "the report's tables": (edited("src/qa_tradeoffs/report/templates/parts.html"), {"5-analysis", *EXCURSIONS}),
    "prices": (edited("studies/prices.yaml", "\n"), {"5-analysis"}),
    "published figures": (edited("studies/published.yaml", "\n"), {"5-analysis", *EXCURSIONS}),
    "the anomaly": (edited("benchmarks/results/anomaly.json", "\n"), {"anomaly"}),
    "the audit": (edited("src/qa_tradeoffs/report/audit.py"), {"audit"}),
    "timing": (edited("src/qa_tradeoffs/profiling/latency.py"), PROFILED),
    "timing side by side": (edited("src/qa_tradeoffs/profiling/quiet.py"), COMPARED),
    "passes": (replaced("studies/tiny.yaml", "compare: {passes: 3", "compare: {passes: 4"), COMPARED),
    "scores": (edited("src/qa_tradeoffs/metrics/squad.py"), EVALUATED | PROFILED),
    "evaluation": (edited("src/qa_tradeoffs/evaluation/baseline.py"), EVALUATED | PROFILED),
    "training": (edited("src/qa_tradeoffs/training/collation.py"), TRAINED | EVALUATED | COMPARED),
    "what opens a stage": (edited("src/qa_tradeoffs/runs/stage.py"), TRAINED | EVALUATED | PROFILED | COMPARED),
    "a library's version": (replaced(RECORD, '"torch": "', '"torch": "1.'), OF_BERT | COMPARED),
    "one model": (replaced("studies/tiny.yaml", "n_layers: 1", "n_layers: 2"), OF_DISTILBERT | COMPARED),
    "a lost result": (lost, {"bert/seed-0/2-evaluate"}),
    "SEEDS=0 7": (unchanged, OF_SEED_7),
    "DEVICE=cpu": (unchanged, PROFILED | COMPARED),
    "MODELS=bert": (unchanged, set()),
    "NPROC=2": (unchanged, set()),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_repeats_only_dependent_stages_regardless_of_file_times(checkout, name):
    change, expected = CHANGES[name]
    change(checkout)
    others = {"5-analysis"} if expected - EXCURSIONS or name == "MODELS=bert" else set()
    assert checkout.repeats(*[name] * (change is unchanged)) == expected | others
    if name == "the report's pages":
        assert "-m qa_tradeoffs.report.pages" in checkout.make("-n", "all", "STUDY=tiny").stdout


def test_a_number_of_processes_reaches_the_trainings(checkout):
    checkout.edit("src/qa_tradeoffs/training/collation.py")
    assert checkout.make("-n", "train", "STUDY=tiny", "NPROC=2").stdout.count("-p processes 2") == 2
    assert "-p processes" not in checkout.make("-n", "train", "STUDY=tiny").stdout


def test_a_launcher_stands_in_front_of_every_notebook_and_another_in_front_of_profiles(checkout):
    checkout.edit("src/qa_tradeoffs/runs/stage.py")
    launch = ["LAUNCH=srun --gpus=1", "LAUNCH_PROFILE=srun --exclusive"]
    jobs = [line for line in checkout.make("-n", "all", "STUDY=tiny", *launch).stdout.splitlines() if "srun" in line]
    # Two trainings, two evaluations, the analysis; what opens a stage is part of neither excursion.
    assert sum("srun --gpus=1" in job for job in jobs) == 5
    assert sum("srun --exclusive" in job for job in jobs) == 3  # two profiles, the comparison


# In place of a cluster's launcher: notes what it is given; the two trainings each wait for the other to have begun.
LAUNCHER = """
echo "${ALONE:-shared} $*" >> launched
case "$*" in
*/bert/seed-0/1-train.ipynb*) timeout 20 sh -c 'echo here > meet' || exit 1 ;;
*/distilbert/seed-0/1-train.ipynb*) timeout 20 cat meet > /dev/null || exit 1 ;;
esac
exec "$@"
"""


@pytest.mark.slow
def test_behind_a_launcher_every_notebook_is_a_job_and_jobs_run_at_once(checkout):
    (checkout.folder / "launcher.sh").write_text(LAUNCHER)
    os.mkfifo(checkout.folder / "meet")
    checkout.edit("src/qa_tradeoffs/runs/stage.py")
    launch = ["LAUNCH=sh launcher.sh", "LAUNCH_PROFILE=env ALONE=alone sh launcher.sh"]
    done = checkout.make("-j2", "all", "STUDY=tiny", *launch)
    assert done.returncode == 0, done.stderr
    launched = [line.split() for line in (checkout.folder / "launched").read_text().splitlines()]
    found = {words[words.index("qa_tradeoffs.runs.execute") + 2]: words[0] for words in launched}
    assert found == {
        f"runs/tiny/{name}.ipynb": "alone" if "3-profile" in name or "4-compare" in name else "shared"
        for name in TRAINED | EVALUATED | PROFILED | COMPARED | {"5-analysis"}
    }


def test_make_refuses_an_invalid_study_in_one_sentence(checkout):
    (checkout.folder / "mine.yaml").write_text((checkout.folder / "studies/tiny.yaml").read_text())
    misspelt = (checkout.folder / "studies/tiny.yaml").read_text().replace("epochs:", "epoch:")
    (checkout.folder / "studies/misspelt.yaml").write_text(misspelt)
    before = (checkout.folder / "runs/tiny/bert/seed-0/training.json").read_bytes()
    for arguments, sentence in (
        (["STUDY=nowhere"], "STUDY: there is no file studies/nowhere.yaml"),
        (["STUDY=tiny", "MODELS=bert albert"], "MODELS: unknown model 'albert'; studies/tiny.yaml has"),
        (["STUDY=misspelt"], "studies/misspelt.yaml: training.epoch: unknown key; the keys here are learning_rate, "),
        (["STUDY=mine.yaml", "RUN=runs/tiny"], "runs/tiny: has the results of studies/tiny.yaml, not of mine.yaml; "),
    ):
        refused = checkout.make("all", *arguments)
        assert refused.returncode != 0
        (line,) = [line for line in refused.stderr.splitlines() if "error: " in line]
        assert line.partition("error: ")[2].startswith(sentence)
        assert [line] == refused.stderr.splitlines() or arguments[-1].startswith("RUN")
    assert (checkout.folder / "runs/tiny/bert/seed-0/training.json").read_bytes() == before


@pytest.mark.slow
def test_a_data_file_replaced_by_an_older_one_is_evaluated_again(finished, tmp_path):
    study = yaml.safe_load((finished.folder / "studies/tiny.yaml").read_text())
    study |= {"data": {"source": "files", "train": "train.json", "validation": "dev.json"}}
    study["models"] = {"bert": study["models"]["bert"]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    texts = {"train": ["Bonn", "Kyiv"], "dev": ["Rome", "Paris", "Lima"], "other": ["Cairo", "Oslo"]}
    for name, places in texts.items():
        context = " ".join(places)
        questions = [
            {"id": place, "question": "Where?", "answers": [{"text": place, "answer_start": context.index(place)}]}
            for place in places
        ]
        content = {"data": [{"title": "places", "paragraphs": [{"context": context, "qas": questions}]}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    os.utime(tmp_path / "other.json", (0, 0))

    def evaluated() -> tuple[int, str]:
        done = finished.make("evaluate", f"STUDY={tmp_path / 'study.yaml'}", f"RUN={tmp_path / 'run'}")
        assert done.returncode == 0, done.stderr
        return results.read(tmp_path / "run/bert/seed-0/evaluation.json").find("f1").n, done.stdout

    assert evaluated()[0] == 3
    shutil.copy2(tmp_path / "other.json", tmp_path / "dev.json")  # as cp -p
    n, printed = evaluated()
    assert n == 2
    assert "1-train.ipynb (changed: files)" in printed
    assert "done: " not in evaluated()[1]


def test_what_is_saved_in_jupyterlab_leaves_the_notebooks_as_they_are(tmp_path):
    checkout = Checkout(tmp_path)
    originals = {path.name: path.read_bytes() for path in (tmp_path / "notebooks").iterdir()}
    jupyter, copy = tmp_path / "venv/bin/jupyter", tmp_path / "lab/1-train.ipynb"
    jupyter.parent.mkdir()
    jupyter.write_text('#!/bin/sh\neval "last=\\${$#}"; echo saved >> "$last"\n')
    jupyter.chmod(0o755)
    for times in (1, 2):
        assert checkout.make("lab").returncode == 0
        assert copy.read_text().count("saved") == times
    assert {path.name: path.read_bytes() for path in (tmp_path / "notebooks").iterdir()} == originals
    later = copy.stat().st_mtime + 9
    os.utime(tmp_path / "notebooks/1-train.ipynb", (later, later))
    checkout.make("lab")
    assert copy.read_text().count("saved") == 1


def test_make_help_lists_every_command_that_is_explained():
    makefile = (ROOT / "Makefile").read_text()
    explained = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([a-z-]+)", printed, re.MULTILINE) == explained
    assert {"all", "test", "setup", "lab", "lint", "smoke", "clean", "profile"} <= set(explained)
