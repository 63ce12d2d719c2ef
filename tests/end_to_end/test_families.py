"""Every encoder family in one study, through the notebooks that train, evaluate and profile, to its report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bs4
import pytest
import yaml
from conftest import Checkout

from qa_tradeoffs.analysis import accuracy as scores
from qa_tradeoffs.analysis import speed as times
from qa_tradeoffs.analysis.collected import for_analysis
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import precisions
from qa_tradeoffs.profiling import memory
from qa_tradeoffs.report import accuracy, speed
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from tests.families import FAMILIES, REFUSED, checkpoint_of, with_pieces_alone

GRID = {"batch_sizes": [1], "lengths": [16]}
STUDY: dict[str, Any] = {
    "title": "Families",
    "about": "Tiny checkpoints of encoder families.",
    "data": {"source": "files", "train": "train.json", "validation": "validation.json"},
    "training": {"learning_rate": 1e-3, "epochs": 1, "batch_size": 4, "max_length": 60, "stride": 8, "dropout": 0.2},
    "profile": {
        "forward": GRID, "training_step": {"batch_sizes": [2], "lengths": [16]}, "passes": 3, "warmup": 1,
        "min_repeats": 3, "min_seconds": 0.001, "questions": 2,
    },
    "compare": {"passes": 3, "questions": 2, "offline_batch_sizes": [2], "forward": GRID},
    "price": "gcp-n1-standard-2",
}  # fmt: skip
KINDS = {"splinter": "AutoModelForPreTraining"} | dict.fromkeys(REFUSED, "AutoModel")
COMPARED = ["bert", "squeezebert", "deberta", "fnet", "funnel", "longformer", "mobilebert"]  # differ most
# Their networks have nothing of their own that a stage could notice; other tests read all families.
LIKE_OTHERS = {
    "electra",
    "camembert",
    "xlm-roberta",
    "ernie",
    "megatron-bert",
    "data2vec-text",
    "rembert",
    "roformer",
    "nystromformer",
}
EACH = [pytest.param(family, marks=pytest.mark.slow) if family in LIKE_OTHERS else family for family in FAMILIES]
# Only Longformer depends on values in what it computes.
UNCOUNTED, REASON = "longformer", "LongformerForQuestionAnswering cannot be counted without data"


def write_study(folder: Path, families: list[str], **keys: Any) -> Path:
    """A study of pretrained checkpoints of these families on four questions, in a new folder."""
    folder.mkdir()
    for family in families:
        checkpoint_of(family, folder / family, KINDS.get(family, "AutoModelForMaskedLM"))
    context = "Ada lives in Rome and Bob lives in Paris."
    for split in ("train", "validation"):
        questions = [
            {
                "id": f"{split} {name} {n}",
                "question": f"Where is {name}?",
                "answers": [{"text": place, "answer_start": context.index(place)}],
            }
            for n in range(2)
            for name, place in (("Ada", "Rome"), ("Bob", "Paris"))
        ]
        article = {"title": split, "paragraphs": [{"context": context, "qas": questions}]}
        (folder / f"{split}.json").write_text(json.dumps({"data": [article]}))
    models = {family: {"label": family, "path": family} for family in families}
    file = folder / "families.yaml"
    file.write_text(yaml.safe_dump(STUDY | {"models": models} | keys))
    return file


def run_cells(stage: str, **parameters: Any) -> None:
    """What a notebook computes, in this process."""
    variables = {"seed": 0, "device": "cpu", "processes": 0} | parameters
    for cell in inputs.code_cells(inputs.NOTEBOOKS[stage]):
        exec(cell, variables)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study of all families."""
    return write_study(tmp_path_factory.mktemp("families") / "study", list(FAMILIES))


@pytest.fixture(scope="module")
def measured(study: Path) -> Callable[[str], RunPaths]:
    """A function that trains, evaluates and profiles a family once, and gives the folder of the study's results."""
    paths = RunPaths(study.parent.with_name("run"))

    def run(family: str) -> RunPaths:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setattr(memory, "prepare", lambda: None)  # no memory is measured
            for stage in ("train", "evaluate", "profile"):
                if not paths.profile(family).exists():
                    run_cells(stage, study=str(study), model=family, run=str(paths.folder))
        return paths

    return run


@pytest.mark.xdist_group("families")
@pytest.mark.parametrize("family", EACH)
def test_a_pretrained_checkpoint_is_trained_evaluated_and_profiled(family, measured):
    paths = measured(family)
    training, evaluation, profile = (
        results.read(path) for path in (paths.training(family, 0), paths.evaluation(family, 0), paths.profile(family))
    )
    assert training.find("train_steps").conditions["dropout"] == 0.2
    assert evaluation.find("f1").n == 4
    assert {record.conditions.get("network", "study") for record in profile.records} == {"study"}  # it has no twin
    forward = profile.find("forward_seconds", network="study").conditions
    assert ("flops" in forward) == (family != UNCOUNTED)
    assert (REASON in str(forward.get("flops_missing"))) == (family == UNCOUNTED)
    step = profile.find("training_step_seconds", network="study").conditions
    assert step["dropout"] == 0.2


@pytest.mark.xdist_group("families")
def test_families_are_timed_in_turn_and_each_has_its_row_in_the_report_s_tables(study, measured):
    """The families that differ most; the test of one make has all of them."""
    run = {family: measured(family) for family in COMPARED}["bert"]
    run_cells("compare", study=str(study), models=" ".join(COMPARED), run=str(run.folder))
    compared = results.read_comparison(run.comparison)
    assert [one.work for one in compared.works] == ["single_stream", "offline", "training_step", "forward"]
    assert all(set(COMPARED) <= set(one.models) for one in compared.works)
    attentions = {name: at["attention"] for name, at in compared.works[-1].models.items()}
    controls = {f"{family} eager" for family in COMPARED if attentions[family] != "eager"}
    assert {name for name in attentions if name.endswith(" eager")} == controls
    collected, _ = for_analysis(str(study), " ".join(COMPARED), run=str(run.folder))
    table = accuracy.table(collected, scores.models(collected), scores.baseline(collected)).cells.set_index("model")
    assert set(table.index) == set(COMPARED)
    assert table.notna().all(axis=None)
    networks = speed.full_size(times.full_size(collected)).cells.set_index("model")
    assert set(networks.index) == set(COMPARED)
    assert REASON in networks.loc[UNCOUNTED, "GFLOP"]
    assert list(networks.index[networks["share of peak"] == "not known"]) == [UNCOUNTED]


@pytest.mark.parametrize("family", REFUSED)
def test_a_tokenizer_that_cannot_say_no_answer_is_refused_before_anything_is_trained(family, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study, run = write_study(tmp_path / "study", [family]), tmp_path / "run"
    with pytest.raises(StudyError, match="does not encode a pair as special token, question, context"):
        run_cells("train", study=str(study), model=family, run=str(run))
    assert not (run / family).exists()


@pytest.mark.parametrize("key", ["forward", "training_step"])
def test_rows_that_are_too_long_for_a_network_are_refused_before_it_is_trained(key, tmp_path, monkeypatch):
    """RoBERTa's 66 positions are for 64 tokens."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    profile = STUDY["profile"] | {key: {"batch_sizes": [1], "lengths": [16, 65]}}
    study, run = write_study(tmp_path / "study", ["roberta"], profile=profile), tmp_path / "run"
    refused = rf"^profile\.{key}\.lengths: 65 tokens, but RobertaForQuestionAnswering takes at most 64; give lengths"
    with pytest.raises(StudyError, match=refused):
        run_cells("train", study=str(study), model="roberta", run=str(run))
    assert not (run / "roberta").exists()


def test_a_family_that_cannot_compute_in_bf16_runs_in_fp32_while_others_use_bf16(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(precisions, "native_bf16", lambda device_type: True)
    study, paths = write_study(tmp_path / "study", ["bert", "deberta"]), RunPaths(tmp_path / "run")
    found = {}
    for family in ("bert", "deberta"):
        for stage in ("train", "evaluate"):
            run_cells(stage, study=str(study), model=family, run=str(paths.folder))
        found[family] = [results.read(file) for file in (paths.training(family, 0), paths.evaluation(family, 0))]
    run_cells("compare", study=str(study), models="", run=str(paths.folder))
    for family, precision in (("bert", "bf16"), ("deberta", "fp32")):
        training, evaluation = found[family]
        assert training.find("train_steps").conditions["precision"] == precision
        assert training.find("train_steps").conditions["precision_chosen"] is True
        assert evaluation.find("f1").conditions["precision"] == precision
        warned = [any("fp32" in note for note in stage.notes) for stage in found[family]]
        assert warned == [family == "deberta"] * 2
        for work in results.read_comparison(paths.comparison).works:
            assert work.models[family]["precision"] == precision


@pytest.mark.slow
def test_one_make_takes_every_family_to_the_report(tmp_path):
    (tmp_path / "checkout").mkdir()
    checkout = Checkout(tmp_path / "checkout")
    study = write_study(tmp_path / "study", list(FAMILIES))
    with_pieces_alone("deberta-v2", study.parent / "deberta-v2")  # as DeBERTa-v3 is on the Hub
    done = checkout.make("-k", "-j2", "all", f"STUDY={study}")  # -k: every family that fails is named
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [page for page in Path(done.stdout.splitlines()[-1]).parent.iterdir() if page.name != "5-analysis.html"]
    report = [row for page in pages for row in bs4.BeautifulSoup(page.read_text(), "html.parser").select("tr")]
    for family in FAMILIES:
        assert len(rows_of(report, family)) > 5, family
        gaps = [row for row in rows_of(report, family) if "cannot be counted" in " ".join(row)]
        assert bool(gaps) == (family == UNCOUNTED), family


def rows_of(report: list[bs4.Tag], model: str) -> list[list[str]]:
    """The cells of each row, in any table, whose first is the model's label."""
    rows = [[cell.get_text(strip=True) for cell in row.select("th, td")] for row in report]
    return [row for row in rows if row[:1] == [model]]
