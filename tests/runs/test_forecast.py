"""A forecast can be worked out by hand, starts nothing, and refuses what the disk cannot hold."""

import json
import re
import shutil
from collections import namedtuple
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import results_of
from huggingface_hub import constants
from transformers import AutoConfig

from qa_tradeoffs.core import errors
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import features
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.models import networks
from qa_tradeoffs.runs import forecast, plan, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config

SQUAD = ROOT / "studies" / "squad.yaml"
KNOWN = forecast.assumptions(ROOT / "studies" / "assumptions.yaml")
START = KNOWN.seconds_per_notebook
SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 100,
}  # fmt: skip


BUILD = forecast.build


@cache
def built(hub: str) -> Any:
    return BUILD(config.Model(label="x", hub=hub, revision="main"), KNOWN)


@pytest.fixture(autouse=True)
def published_networks_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting the operations of twelve layers takes a second: once for all tests."""
    monkeypatch.setattr(
        forecast, "build", lambda spec, known: built(spec.hub) if spec.hub in known.checkpoints else BUILD(spec, known)
    )


@pytest.fixture
def squad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that forecasts the study of SQuAD at 5 TFLOP/s with an empty cache; keywords replace arguments."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def call(study: config.Study | None = None, run: Path = tmp_path, **keys: Any) -> forecast.Forecast:
        settings = {"slugs": ["bert"], "seeds": [0, 1], "tflops": 5.0} | keys
        return forecast.forecast(study or config.load(SQUAD), RunPaths(run), **settings)

    return call


def checkpoint(folder: Path, kind: str, **settings: Any) -> config.Model:
    """A model whose folder has this config, and weights that a forecast does not open."""
    folder.mkdir()
    AutoConfig.for_model(kind, **{**SMALL, **settings}).save_pretrained(folder)
    (folder / "model.safetensors").touch()
    return config.Model(label="x", path=folder)


def count(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [("bert", flops.BERT_BASE), ("distilbert", flops.DISTILBERT_BASE), ("squeezebert", flops.SQUEEZEBERT)],
)
@pytest.mark.parametrize("length", [16, 384])
def test_operations_counted_on_the_meta_device_are_those_of_the_formula(architecture, shape, length):
    network = forecast.build(config.Model(label="x", architecture=architecture), KNOWN)
    assert forecast.row_flops(network, length) == pytest.approx(flops.encoder_flops(shape, 1, length), rel=0.01)
    assert next(network.parameters()).is_meta


def test_shared_layers_have_their_parameters_once_and_their_operations_each_time(tmp_path):
    twice, once = (
        forecast.build(checkpoint(tmp_path / str(n), "albert", embedding_size=8, num_hidden_layers=n), KNOWN)
        for n in (2, 1)
    )
    assert count(twice) == count(once)
    h, f, length = 16, 32, 10
    layer = 2 * length * (4 * h * h + 2 * h * f) + 4 * length * length * h
    assert forecast.row_flops(twice, length) - forecast.row_flops(once, length) == layer


def test_deberta_without_token_types_is_counted(tmp_path):
    settings = {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "share_att_key": True,
    }
    spec = checkpoint(tmp_path / "d", "deberta-v2", type_vocab_size=0, position_biased_input=False, **settings)
    network = forecast.build(spec, KNOWN)
    embeddings, positions = 100 * 16 + 2 * 16, 2 * 8 * 16
    layer = 4 * (16 * 16 + 16) + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 2 * 16
    assert count(network) == embeddings + positions + 2 * layer + (2 * 16 + 2)
    weights = 2 * 10 * 2 * (4 * 16 * 16 + 2 * 16 * 32)
    assert forecast.row_flops(network, 10) > weights + 2 * 4 * 10 * 10 * 16  # and products with positions on top


def test_a_network_that_looks_at_values_is_counted_by_its_linear_layers(tmp_path):
    network = forecast.build(checkpoint(tmp_path / "l", "longformer", attention_window=[4, 4]), KNOWN)
    layer = 7 * 16 * 16 + 2 * 16 * 32  # queries, keys and values a second time, for tokens that see all
    assert forecast.row_flops(network, 10) == 2 * 10 * (2 * layer + 16 * 2)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"hidden_size": "wide"}, "the config of this bert is not valid"),
        ({"hidden_size": 10}, "no bert can be built from this config"),
        ({"hidden_size": -12}, "no bert can be built from this config"),
        ({"vocab_size": 10**30}, "no bert can be built from this config"),
        ({"num_hidden_layers": 10**6}, "config.num_hidden_layers: is 1000000"),
    ],
)
def test_a_size_that_no_network_can_have_is_refused(settings, problem):
    with pytest.raises(StudyError, match=f"^models: {problem}"):
        forecast.build(config.Model(label="x", architecture="bert", config=settings), KNOWN)


@pytest.mark.parametrize("text", ["{}", "[]", "no", "[" * 10**5, '{"model_type": "bert", "auto_map": {}}'])
def test_a_folder_without_a_config_is_refused_by_name(tmp_path, text):
    spec = checkpoint(tmp_path / "x", "bert")
    (tmp_path / "x" / "config.json").write_text(text)
    with pytest.raises(StudyError, match=r"config\.json: "):
        forecast.build(spec, KNOWN)


def test_what_was_never_fetched_is_not_known(squad):
    with pytest.raises(StudyError, match="the size of some/model is not known before it is fetched"):
        forecast.build(config.Model(label="x", hub="some/model", revision="a" * 40), KNOWN)
    data = config.HubData(source="hub", name="some/set", revision="a" * 40)
    with pytest.raises(StudyError, match=r"data\.name: the size of some/set is not known before it is fetched"):
        forecast.splits(data, config.Training(), KNOWN)


@pytest.mark.parametrize(("length", "stride"), [(64, 16), (32, 8)])
def test_windows_are_counted_as_the_tokenizer_would_make_them(examples, tokenizer, length, stride):
    """Where every word is one token, the count is exact."""
    made = features.build(examples, tokenizer, length, stride)
    found = forecast.windows(examples, config.Training(max_length=length, stride=stride), tokens_per_word=1.0)
    assert found.windows == len(made.lengths)
    assert found.tokens == pytest.approx(made.lengths.mean())


def test_squad_s_windows_are_its_questions_times_the_windows_of_the_development_set():
    data = config.HubData(source="hub", name="rajpurkar/squad", revision="a" * 40, validation_limit=100)
    train, validation, _ = forecast.splits(data, config.Training(), KNOWN)
    assert train.windows == 89_369  # 87,599 × 1.0202
    assert validation.windows == 103
    # Full windows of 128 tokens that move on by 96, over texts of 176: one and a half of them.
    shorter = forecast.splits(data, config.Training(max_length=128, stride=32), KNOWN)[0]
    assert (shorter.windows, shorter.tokens) == (134_053, 128)


def test_bert_on_squad_by_hand(squad):
    need = squad().needs[0]
    # 108,893,186 parameters of 4 bytes: of two seeds, and the Hub's; Adam's two moments come on top to resume from.
    assert need.parameters == 108_893_186
    assert need.disk == 3 * 4 * 108_893_186
    assert need.resume == 2 * 3 * 4 * 108_893_186
    # Three epochs of 89,369 windows of 176 tokens, forward once and backward twice, at 5 · 10¹² FLOP/s.
    forward = flops.encoder_flops(flops.BERT_BASE, 1, 176)
    assert need.train == pytest.approx(START + 3 * 3 * 89_369 * forward / 5e12, rel=1e-4)
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


def test_pickles_in_the_hub_s_cache_are_not_fetched_again_but_need_room_for_their_conversion(squad, tmp_path):
    spec, before = config.load(SQUAD).models["bert"], squad().needs[0]
    snapshot = tmp_path / "hub" / "models--google-bert--bert-base-uncased" / "snapshots" / str(spec.revision)
    snapshot.mkdir(parents=True)
    for name in ("config.json", "pytorch_model.bin"):
        (snapshot / name).touch()
    need = squad().needs[0]
    assert (need.download, need.disk - before.disk) == (0, 4 * 108_893_186)


def test_a_folder_with_a_pickle_has_the_size_of_its_config(tmp_path):
    spec = checkpoint(tmp_path / "old", "bert")
    safe = count(forecast.build(spec, KNOWN))
    (tmp_path / "old" / "model.safetensors").rename(tmp_path / "old" / "pytorch_model.bin")
    assert count(forecast.build(spec, KNOWN)) == safe


def test_twice_the_rate_is_half_the_time(squad):
    slow, fast = squad().needs[0], squad(tflops=10.0).needs[0]
    assert slow.train - START == pytest.approx(2 * (fast.train - START))


def test_memory_is_states_and_activations_of_a_layer_by_the_formula():
    with torch.device("meta"):
        tiny = networks.from_config(AutoConfig.for_model("bert", **SMALL))
    # 16 bytes a parameter; twice 5 × 7 · (34 · 16 + 5 · 2 · 7) a layer.
    assert forecast.training_memory(tiny, batch_size=5, length=7) == 16 * count(tiny) + 2 * 2 * 35 * (544 + 70)


def test_a_model_that_came_fine_tuned_is_not_trained(squad):
    study = config.load(SQUAD)
    ready = study.models["bert"].model_copy(update={"fine_tuned": True})
    need = squad(study.model_copy(update={"models": {"bert": ready}})).needs[0]
    assert (need.trainings, need.evaluations, need.resume) == (0, 1, 0)
    assert need.seconds == need.evaluate + need.profile


def test_without_a_rate_it_is_the_stored_experiment_s(squad):
    found = squad(slugs=["bert", "squeezebert", "squeezebert-rewritten"], tflops=None)
    assert [need.rate.split(",")[1].split(" at ")[0] for need in found.needs] == [
        " BERT", " SqueezeBERT as published", " SqueezeBERT rewritten",
    ]  # fmt: skip


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
        f"{tmp_path / 'runs'}: the study's files take 950 MB, but the disk has 1.00 GB left; make room, "
        "or ask for fewer MODELS or SEEDS"
    )


def test_only_what_is_not_there_yet_has_to_fit(squad, tmp_path):
    run = RunPaths(tmp_path)
    found, weights = squad(), 4 * 108_893_186
    # Weights of two seeds, those of the Hub, and two checkpoints with Adam's moments.
    assert found.left(run, [0, 1])[::2] == (2, (2 + 1 + 6) * weights)
    earlier(config.load(SQUAD), run, 1.0, 2.0)
    assert found.left(run, [0, 1])[::2] == (1, (1 + 1 + 6) * weights)
    trainings, seconds, _ = found.left(run, [0])
    assert (trainings, seconds) == (0, found.needs[0].evaluate + found.needs[0].profile)


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
    assert usd == pytest.approx(1.555 * hours, rel=0.01)  # a P100's price
    assert not (tmp_path / "run").exists()


def test_before_the_start_one_line_has_what_is_still_to_be_done(tmp_path, squad, price_at):
    need = squad().needs[0]
    hours = (2 * (need.train + need.evaluate) + need.profile) / 3600
    line = plan.line(squad(), RunPaths(tmp_path), [0, 1], "dear", price_at(2.0))
    assert line.startswith("forecast: 2 to train, ")
    assert float(re.search(r"([\d.]+) h, USD", line)[1]) == pytest.approx(hours, rel=0.01)
    assert float(re.search(r"USD ([\d.]+)", line)[1]) == pytest.approx(2 * hours, rel=0.01)
    assert "3.92 GB of disk" in line  # weights of two seeds and of the Hub, and two checkpoints with Adam's moments


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
    assert err.startswith("error: data.name: the size of some/set is")
    code, out, err = ends_with([str(study), str(tmp_path), "--before-start"], capsys)
    assert (code, err) == (0, "")
    assert out[0].startswith("no forecast: data.name: the size of some/set is")
