"""The whole study, run by make in a copy of the repository: what it writes, and what it does not do twice."""

import base64
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import TOKEN, TOKEN_FILE

from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config

ROOT = Path(__file__).parents[2]


def test_of_processes_that_test_side_by_side_one_runs_the_study(finished, request):
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
        assert profile.find("forward_seconds", length=32).value == pytest.approx(at["seconds"].median())


def test_checkpoints_are_safetensors_and_nothing_is_left_to_resume_from(finished):
    files = {path.name for path in (finished.folder / "runs/tiny/bert/seed-0").rglob("*") if path.is_file()}
    assert "model.safetensors" in files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl")) or name.startswith("partial-")]


def test_executed_notebooks_hold_no_errors_no_floods_and_no_tokens(finished):
    notebooks = list((finished.folder / "runs/tiny").rglob("*.ipynb"))
    assert len(notebooks) == 7
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
    assert sorted(page.suffix for page in pages) == [".html"] * 8
    names = {page.name for page in pages}
    for page in pages:
        text = page.read_text()
        assert "<script" not in text
        embedded = re.findall(r'"(data:(?:image/svg\+xml|text/csv;charset=utf-8);base64,[\w+/=]*)"', text)
        assert set(re.findall(r'(?:src|href)="([^"#]*)"', text)) <= names | {"data:,"} | set(embedded)
        assert all(alt for alt in re.findall(r'<img[^>]* alt="([^"]*)"', text))
        assert len(re.findall(r"<img", text)) == len(re.findall(r'<img[^>]* alt="', text))


def test_a_second_run_does_nothing_and_takes_under_two_seconds(finished):
    began = time.monotonic()
    again = finished.make("all", "STUDY=tiny")
    assert time.monotonic() - began < 2
    assert again.stdout.splitlines() == [str(finished.folder / "reports/tiny/index.html")]


def test_publishing_puts_the_pages_where_they_are_committed_and_the_figures_into_the_readme(checkout):
    done = checkout.make("publish", "STUDY=tiny")
    assert done.returncode == 0, done.stderr
    published = checkout.folder / "reports/published/tiny"
    pages = {page.name for page in (checkout.folder / "reports/tiny").iterdir()}
    assert {file.name for file in published.iterdir()} == pages | {"summary.json", "tradeoff.svg"}
    assert not [file for file in published.iterdir() if "/checkout" in file.read_text()]
    first = BeautifulSoup((published / "index.html").read_text(), "html.parser").find("img")
    assert base64.b64decode(first["src"].partition(",")[2]) == (published / "tradeoff.svg").read_bytes()
    assert f"![{first['alt']}](reports/published/tiny/tradeoff.svg)" in (checkout.folder / "README.md").read_text()
    f1 = results.read(checkout.folder / "runs/tiny/bert/seed-0/evaluation.json").find("f1").value
    row = next(line for line in (checkout.folder / "README.md").read_text().splitlines() if line.startswith("| BERT |"))
    assert f"| {f1:.1f} (" in row


EVALUATED = {"bert/seed-0/2-evaluate", "distilbert/seed-0/2-evaluate", "4-analysis"}
PROFILED = {"bert/3-profile", "distilbert/3-profile", "4-analysis"}
TRAINED = {"bert/seed-0/1-train", "distilbert/seed-0/1-train"} | EVALUATED


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("src/qa_tradeoffs/report/charts.py", {"4-analysis"}),
        ("studies/prices.yaml", {"4-analysis"}),
        ("src/qa_tradeoffs/report/templates/parts.html", {"4-analysis"}),
        ("src/qa_tradeoffs/report/pages.py", set()),
        ("benchmarks/results/anomaly.json", {"4-analysis"}),
        ("studies/published.yaml", {"4-analysis"}),
        ("src/qa_tradeoffs/profiling/latency.py", PROFILED),
        ("src/qa_tradeoffs/evaluation/baseline.py", EVALUATED | PROFILED),
        ("src/qa_tradeoffs/training/collation.py", TRAINED),
        ("src/qa_tradeoffs/runs/stage.py", TRAINED | PROFILED),
    ],
)
def test_an_edit_repeats_only_what_depends_on_it_whatever_the_file_s_time(checkout, changed, expected):
    checkout.edit(changed, "\n" if changed.endswith(("yaml", "json")) else "\n# an edit\n")
    assert checkout.repeats() == expected


def test_a_touch_repeats_nothing(checkout):
    for path in checkout.folder.rglob("*"):
        os.utime(path)
    assert checkout.repeats() == set()


def test_a_notebook_saved_with_outputs_repeats_nothing_and_one_with_other_code_what_it_computed(checkout):
    path = checkout.folder / "notebooks/1-train.ipynb"
    content = json.loads(path.read_text())
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    code[0]["source"] = 'study: str = "studies/tiny.yaml"  # by hand'  # the parameters
    code[1] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "it ran"}], "execution_count": 3}
    path.write_text(json.dumps(content))
    assert checkout.repeats() == set()
    code[1]["source"] = [*code[1]["source"], "\n# an edit"]
    path.write_text(json.dumps(content))
    assert checkout.repeats() == TRAINED


def test_another_version_of_a_library_repeats_every_stage(checkout):
    record = checkout.folder / "runs/tiny/bert/seed-0/.1-train.inputs.json"
    made_from = json.loads(record.read_text())
    made_from["versions"]["torch"] = "2.12.0"
    record.write_text(json.dumps(made_from))
    assert checkout.repeats() == {"bert/seed-0/1-train", "bert/seed-0/2-evaluate", "4-analysis"}


def test_an_edit_of_one_model_retrains_only_that_model(checkout):
    study = checkout.folder / "studies/tiny.yaml"
    study.write_text(study.read_text().replace("n_layers: 1", "n_layers: 2"))
    assert checkout.repeats() == {
        "distilbert/seed-0/1-train",
        "distilbert/seed-0/2-evaluate",
        "distilbert/3-profile",
        "4-analysis",
    }


def test_a_comment_in_the_study_file_repeats_nothing(checkout):
    study = checkout.folder / "studies/tiny.yaml"
    study.write_text(study.read_text() + "# a comment\n")
    assert checkout.repeats() == set()


def test_a_new_seed_adds_its_own_runs(checkout):
    added = {f"{m}/seed-7/{n}" for m in ("bert", "distilbert") for n in ("1-train", "2-evaluate")}
    assert checkout.repeats("SEEDS=0 7") == added | {"4-analysis"}


def test_another_device_measures_again_but_trains_nothing(checkout):
    assert checkout.repeats("DEVICE=cpu") == PROFILED


def test_a_number_of_processes_reaches_the_trainings_and_makes_none_of_them_stale(checkout):
    assert checkout.repeats("NPROC=2") == set()
    checkout.edit("src/qa_tradeoffs/training/collation.py")
    assert checkout.make("-n", "train", "STUDY=tiny", "NPROC=2").stdout.count("-p processes 2") == 2
    assert "-p processes" not in checkout.make("-n", "train", "STUDY=tiny").stdout


def test_a_lost_result_is_made_again(checkout):
    (checkout.folder / "runs/tiny/bert/seed-0/evaluation.json").unlink()
    assert checkout.repeats() == {"bert/seed-0/2-evaluate", "4-analysis"}


# In place of a cluster's launcher: notes what it is given; the two trainings each wait for the other to have begun.
LAUNCHER = """
echo "${ALONE:-shared} $*" >> launched
case "$*" in
*/bert/seed-0/1-train.ipynb*) timeout 20 sh -c 'echo here > meet' || exit 1 ;;
*/distilbert/seed-0/1-train.ipynb*) timeout 20 cat meet > /dev/null || exit 1 ;;
esac
exec "$@"
"""


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
        f"runs/tiny/{name}.ipynb": "alone" if "3-profile" in name else "shared" for name in TRAINED | PROFILED
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["STUDY=nowhere"], "STUDY: there is no file studies/nowhere.yaml"),
        (["STUDY=tiny", "MODELS=bert albert"], "MODELS: there is no model 'albert' in studies/tiny.yaml"),
    ],
)
def test_make_refuses_what_the_study_does_not_have(finished, arguments, sentence):
    refused = finished.make("all", *arguments)
    assert refused.returncode != 0
    assert sentence in refused.stderr


def test_a_misspelt_key_stops_make_with_one_sentence(checkout):
    study = checkout.folder / "studies/tiny.yaml"
    study.write_text(study.read_text().replace("epochs:", "epoch:"))
    refused = checkout.make("all", "STUDY=tiny")
    assert refused.returncode != 0
    assert [line for line in refused.stderr.splitlines() if line.startswith("error:")] == [
        "error: studies/tiny.yaml: training.epoch: unknown key; the keys here are "
        + ", ".join(config.Training.model_fields)
    ]
    assert results.read(checkout.folder / "runs/tiny/bert/seed-0/training.json").stage == "train"


def test_make_help_lists_every_command_that_is_explained():
    makefile = (ROOT / "Makefile").read_text()
    explained = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([a-z-]+)", printed, re.MULTILINE) == explained
    assert {"all", "test", "setup", "lab", "lint", "smoke", "clean", "profile"} <= set(explained)
