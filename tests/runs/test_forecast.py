"""A forecast can be worked out by hand, starts nothing, and refuses what the disk cannot hold."""

import json
import re
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from conftest import results_of
from huggingface_hub import constants

from qa_tradeoffs.core import errors
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.runs import forecast, plan, results, sizes
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config

SQUAD = ROOT / "studies" / "squad.yaml"
KNOWN = sizes.assumptions(ROOT / "studies" / "assumptions.yaml")
START = KNOWN.seconds_per_notebook.value


@pytest.fixture
def squad(tmp_path: Path, price_at: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that forecasts the study of SQuAD at 5 TFLOP/s and 2 USD an hour; keywords replace arguments."""
    price = price_at(2.0)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def call(study: config.Study | None = None, run: Path = tmp_path, **keys: Any) -> forecast.Forecast:
        settings = {"slugs": ["bert"], "seeds": [0, 1], "tflops": 5.0} | keys
        return forecast.forecast(study or config.load(SQUAD), RunPaths(run), price, KNOWN, **settings)

    return call


def test_bert_on_squad_by_hand(squad):
    need = squad().needs[0]
    # 108,893,186 parameters of 4 bytes: of two seeds, and the Hub's; Adam's two moments come on top to resume from.
    assert need.network.parameters == 108_893_186
    assert need.disk == 3 * 4 * 108_893_186
    assert need.resume == 2 * 3 * 4 * 108_893_186
    # Three epochs of 89,369 windows of 176 tokens, forward once and backward twice, at 5 · 10¹² FLOP/s.
    forward = flops.encoder_flops(flops.BERT_BASE, 1, 176)
    assert need.train == pytest.approx(START + 3 * 3 * 89_369 * forward / 5e12)
    assert need.evaluate == pytest.approx(START + 10_784 * forward / 5e12, rel=1e-4)
    assert need.rate == "5 TFLOP/s as given"


def test_hours_disk_and_copies_add_up(squad):
    one, five = squad(slugs=["bert", "distilbert"]), squad(slugs=["bert", "distilbert"], copies=5)
    bert, distilbert = one.needs
    assert one.seconds == sum(2 * (n.train + n.evaluate) + n.profile for n in (bert, distilbert))
    assert one.disk == bert.disk + distilbert.disk + bert.resume
    assert five.seconds == 5 * one.seconds
    assert five.disk - five.needs[0].resume == 5 * (one.disk - bert.resume)


def test_weights_that_are_in_the_hub_s_cache_are_not_fetched_again(squad, tmp_path):
    spec = config.load(SQUAD).models["bert"]
    assert squad().needs[0].download == 4 * 108_893_186
    snapshot = tmp_path / "hub" / "models--google-bert--bert-base-uncased" / "snapshots" / str(spec.revision)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    assert squad().needs[0].download == 0


def test_twice_the_rate_is_half_the_time(squad):
    slow, fast = squad().needs[0], squad(tflops=10.0).needs[0]
    assert slow.train - START == pytest.approx(2 * (fast.train - START))


def test_memory_is_states_and_activations_of_a_layer_by_the_formula():
    tiny = sizes.Network("bert", flops.Shape(layers=3, hidden=4, intermediate=8), heads=2, parameters=1000)
    # 16 bytes a parameter; twice 5 × 7 · (34 · 4 + 5 · 2 · 7) a layer.
    assert forecast.training_memory(tiny, batch_size=5, length=7) == 16_000 + 3 * 2 * 35 * (136 + 70)


def test_a_model_that_came_fine_tuned_is_not_trained(squad):
    study = config.load(SQUAD)
    ready = study.models["bert"].model_copy(update={"fine_tuned": True})
    need = squad(study.model_copy(update={"models": {"bert": ready}})).needs[0]
    assert (need.trainings, need.evaluations, need.resume) == (0, 1, 0)
    assert need.seconds == need.evaluate + need.profile


def test_without_a_rate_it_is_the_stored_experiment_s_and_the_forecast_says_so(squad):
    found = squad(slugs=["bert", "squeezebert", "squeezebert-rewritten"], tflops=None)
    assert [need.rate.split(",")[1].split(" at ")[0] for need in found.needs] == [
        " BERT", " SqueezeBERT as published", " SqueezeBERT rewritten",
    ]  # fmt: skip
    assert "where the price is of another, give TFLOPS" in plan.lines(found, "s", "p")[-1]
    assert "give TFLOPS" not in plan.lines(squad(), "s", "p")[-1]


def earlier(study: config.Study, run: RunPaths, seconds: float, duration: float) -> None:
    """A finished training of BERT with seed 0 that took ``seconds`` in a notebook of ``duration``."""
    row = {"metric": "train_seconds", "value": seconds, "unit": "s", "n": 1}
    results.write(run.training("bert", 0), results_of(study, "train", "bert", 0, [row]))
    notebook = {"metadata": {"papermill": {"duration": duration}}}
    run.training("bert", 0).with_name("1-train.ipynb").write_text(json.dumps(notebook))


def test_what_an_earlier_run_took_comes_before_any_formula(squad, tmp_path):
    study = config.load(SQUAD)
    earlier(study, RunPaths(tmp_path), 100.0, 130.0)
    need = squad(study, tflops=None).needs[0]
    assert need.train == 130.0
    assert need.rate.startswith("this study's earlier train; else 0.1")
    assert squad(study, tflops=5.0).needs[0].train != 130.0


def test_an_earlier_run_of_another_recipe_or_one_that_was_resumed_does_not_count(squad, tmp_path):
    study = config.load(SQUAD)
    longer = study.model_copy(update={"training": config.Training(epochs=9)})
    earlier(longer, RunPaths(tmp_path), 100.0, 130.0)
    assert squad(study, tflops=None).needs[0].train != 130.0
    earlier(study, RunPaths(tmp_path), 200.0, 130.0)  # of 200 s of updates, this notebook saw a part
    assert squad(study, tflops=None).needs[0].train != 130.0


def test_the_profile_of_the_study_gives_the_rate(squad, tmp_path):
    study = config.load(SQUAD)
    rows = [
        {
            "metric": "training_step_seconds", "value": 2.0, "unit": "s per call", "n": 1,
            "conditions": {"network": "study", "batch_size": batch, "length": 8, "flops": 1e12 * batch, "device": "X"},
        }
        for batch in (1, 12)
    ]  # fmt: skip
    results.write(RunPaths(tmp_path).profile("bert"), results_of(study, "profile", "bert", None, rows))
    assert squad(study, tflops=None).needs[0].rate == "6 TFLOP/s, this study's profile on X"  # 12 is nearest to 16


def test_a_disk_that_cannot_hold_it_is_refused_with_a_tenth_to_spare(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2e9, 1e9, 1e9))
    plan.check_disk(0.9e9, tmp_path / "not" / "there")
    with pytest.raises(StudyError) as error:
        plan.check_disk(0.95e9, tmp_path / "runs")
    assert str(error.value) == (
        f"{tmp_path / 'runs'}: the study's files take 950 MB, but the disk has 1.0 GB left; make room, "
        "or ask for fewer MODELS or SEEDS"
    )


def test_only_what_is_not_there_yet_has_to_fit(squad, tmp_path):
    run = RunPaths(tmp_path)
    found, weights = squad(), 4 * 108_893_186
    # Weights of two seeds, those of the Hub, and two checkpoints with Adam's moments.
    assert forecast.left(found, run, [0, 1])[::2] == (2, (2 + 1 + 6) * weights)
    earlier(config.load(SQUAD), run, 1.0, 2.0)
    assert forecast.left(found, run, [0, 1])[::2] == (1, (1 + 1 + 6) * weights)
    count, seconds, _ = forecast.left(found, run, [0])
    assert (count, seconds) == (0, found.needs[0].evaluate + found.needs[0].profile)


def ends_with(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[Any, list[str], str]:
    with pytest.raises(SystemExit) as end:
        errors.exit_cleanly(lambda: plan.main(arguments))
    printed = capsys.readouterr()
    return end.value.code, printed.out.splitlines(), printed.err


def test_the_command_prints_twenty_models_times_five_seeds_on_paper(tmp_path, capsys):
    on_paper = "--seeds 0 1 2 3 4 --copies 5 --tflops 5.2 --price gcp-p100".split()
    code, out, err = ends_with([str(SQUAD), str(tmp_path / "run"), *on_paper], capsys)
    assert (code, err) == (0, "")
    assert out[0].endswith("models 20, each model 5 times; notebooks: 100 to train, 100 to evaluate, 20 to profile")
    assert [line.split()[0] for line in out[3:8]] == ["model", *config.load(SQUAD).models]
    assert len({len(line) for line in out[3:8]}) == 1
    hours, usd = float(out[9].split()[2]), float(out[9].split("USD ")[1].split()[0])
    assert usd == pytest.approx(1.555 * hours, rel=1e-3)  # a P100's price
    assert not (tmp_path / "run").exists()


def test_before_the_start_it_says_in_one_line_what_is_still_to_be_done(tmp_path, squad):
    needs = squad().needs[0]
    hours = 2 * (needs.train + needs.evaluate) / 3600 + needs.profile / 3600
    assert plan.line(squad(), RunPaths(tmp_path), [0, 1], "dear") == (
        f"forecast: 2 to train, {hours:.1f} h, USD {2 * hours:.2f} (dear), 3.9 GB of disk, "
        f"{needs.memory / 1e9:.1f} GB of memory; make plan says more"
    )


def test_before_the_start_of_a_study_that_trains_nothing_it_says_so_too(tmp_path, capsys):
    study = tmp_path / "ready.yaml"
    models = "models:\n  bert: {label: B, hub: google-bert/bert-base-uncased, revision: main, fine_tuned: true}\n"
    study.write_text(re.sub(r"(?s)models:.*?seeds: ", f"{models}seeds: ", SQUAD.read_text()))
    code, out, err = ends_with([str(study), str(tmp_path / "run"), "--before-start"], capsys)
    assert (code, len(out), err) == (0, 1, "")
    assert out[0].startswith("forecast: 0 to train, ")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--tflops", "nan"], "TFLOPS: 'nan' is no speed; give 10^12 FLOP/s, a number above 0"),
        (["--tflops", "inf"], "TFLOPS: 'inf' is no speed; "),
        (["--tflops", "0"], "TFLOPS: '0' is no speed; "),
        (["--tflops=-1"], "TFLOPS: '-1' is no speed; "),
        (["--tflops", "fast"], "TFLOPS: 'fast' is no speed; "),
        (["--copies", "0"], "COPIES: '0' is no number of copies; give a whole number from 1 to 999999"),
        (["--copies", "9" * 5000], "COPIES: '999"),
        (["--seeds", "01"], "SEEDS: '01' is no seed; give whole numbers from 0, separated by blanks"),
        (["--seeds", "9" * 5000], "SEEDS: '999"),
    ],
)
def test_a_number_that_is_none_is_refused(tmp_path, capsys, option, said):
    code, out, err = ends_with([str(SQUAD), str(tmp_path), *option], capsys)
    assert (code, out) == (2, [])
    assert err.startswith(f"error: {said}")


@pytest.mark.parametrize("notebook", ["", "[]", '{"metadata": []}', '{"metadata": {"papermill": {"duration": 1e999}}}'])
def test_an_earlier_notebook_that_tells_nothing_does_not_count(squad, tmp_path, notebook):
    study = config.load(SQUAD)
    earlier(study, RunPaths(tmp_path), 100.0, 130.0)
    assert squad(study, tflops=None).needs[0].train == 130.0
    RunPaths(tmp_path).training("bert", 0).with_name("1-train.ipynb").write_text(notebook)
    assert 130.0 < squad(study, tflops=None).needs[0].train < 1e9


def test_a_size_that_cannot_be_told_stops_the_plan_but_not_the_study(tmp_path, capsys):
    study = tmp_path / "other.yaml"
    study.write_text(SQUAD.read_text().replace("rajpurkar/squad", "some/set"))
    code, out, err = ends_with([str(study), str(tmp_path)], capsys)
    assert (code, out) == (2, [])
    assert err.startswith("error: data.name: how large some/set is")
    code, out, err = ends_with([str(study), str(tmp_path), "--before-start"], capsys)
    assert (code, err) == (0, "")
    assert out[0].startswith("no forecast: data.name: how large some/set is")
