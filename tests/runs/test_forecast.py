"""A forecast can be worked out by hand, starts nothing, and refuses a study that does not fit on the disk."""

import hashlib
import json
import re
import shutil
from collections import namedtuple
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from conftest import results_of
from huggingface_hub import constants
from transformers import AutoConfig

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import features
from qa_tradeoffs.metrics import flops
from qa_tradeoffs.models import counting, networks, weights
from qa_tradeoffs.runs import forecast, graph, plan, rates, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.selection import Selection
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
def selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that selects BERT of the study of SQuAD, in torch, with two seeds; keywords replace these."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def call(study: config.Study | None = None, **keys: Any) -> Selection:
        study = study or config.load(SQUAD).model_copy(update={"engines": ("torch",)})
        return Selection(SQUAD, study, RunPaths(tmp_path), **{"models": ("bert",), "seeds": (0, 1)} | keys)

    return call


@pytest.fixture
def needs(selection: Any) -> Any:
    """A function that forecasts such a selection, by the same keywords, at 5 TFLOP/s."""
    return lambda study=None, tflops=5.0, **keys: forecast.forecast(selection(study, **keys), tflops)[0]


@pytest.fixture
def bert(needs: Any) -> Any:
    """A function that gives BERT's row of such a forecast."""
    return lambda *arguments, **keys: needs(*arguments, **keys).loc["bert"]


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
    assert rates.row_flops(network, length) == pytest.approx(flops.encoder_flops(shape, 1, length), rel=0.01)
    assert next(network.parameters()).is_meta


# Families whose default configs have BERT's kinds of layer, but for some per cent of embeddings or head.
LIKE_BERT = {"bert", "roberta", "xlm-roberta", "camembert", "mpnet", "megatron-bert", "ernie", "roformer", "rembert",
             "data2vec-text", "deberta", "deberta-v2", "electra", "albert", "nystromformer", "splinter"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", get_args(config.Architecture))
def test_every_family_is_built_and_counted_at_the_size_of_its_default_config(family):
    network = forecast.build(config.Model(label="x", architecture=family), KNOWN)
    assert count(network) > 1e7
    counted = rates.row_flops(network, 32)
    if family in LIKE_BERT:
        of = network.config
        shape = flops.Shape(of.num_hidden_layers, of.hidden_size, of.intermediate_size)
        assert counted == pytest.approx(flops.encoder_flops(shape, 1, 32), rel=0.02)
    elif family != "longformer":  # which is estimated, as it looks at values
        assert counted == counting.flops(network, 1, 32, backward=False)[0] > 0


def test_shared_layers_have_their_parameters_once_and_their_operations_each_time(tmp_path):
    twice, once = (
        forecast.build(checkpoint(tmp_path / str(n), "albert", embedding_size=8, num_hidden_layers=n), KNOWN)
        for n in (2, 1)
    )
    assert count(twice) == count(once)
    layer = 2 * 10 * (4 * 16 * 16 + 2 * 16 * 32) + 4 * 10 * 10 * 16
    assert rates.row_flops(twice, 10) - rates.row_flops(once, 10) == layer


def test_deberta_without_token_types_is_counted(tmp_path):
    settings = {"pos_att_type": ["p2c", "c2p"], "position_buckets": 8, "share_att_key": True, "type_vocab_size": 0}
    relative = {"relative_attention": True, "position_biased_input": False}
    network = forecast.build(checkpoint(tmp_path / "d", "deberta-v2", **settings, **relative), KNOWN)
    embeddings, positions = 100 * 16 + 2 * 16, 2 * 8 * 16
    layer = 4 * (16 * 16 + 16) + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 2 * 16
    assert count(network) == embeddings + positions + 2 * layer + (2 * 16 + 2)
    weights = 2 * 10 * 2 * (4 * 16 * 16 + 2 * 16 * 32)
    assert rates.row_flops(network, 10) > weights + 2 * 4 * 10 * 10 * 16  # and products with positions on top


def test_a_network_that_looks_at_values_is_counted_by_its_linear_layers(tmp_path):
    network = forecast.build(checkpoint(tmp_path / "l", "longformer", attention_window=[4, 4]), KNOWN)
    layer = 7 * 16 * 16 + 2 * 16 * 32  # queries, keys and values a second time, for tokens that see all
    assert rates.row_flops(network, 10) == 2 * 10 * (2 * layer + 16 * 2)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
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


def test_the_size_of_what_was_never_fetched_is_unknown(selection):
    with pytest.raises(StudyError, match="the size of some/model is unknown"):
        forecast.build(config.Model(label="x", hub="some/model", revision="a" * 40), KNOWN)
    data = config.HubData(source="hub", name="some/set", revision="a" * 40)
    with pytest.raises(StudyError, match=r"data\.name: the size of some/set is unknown"):
        forecast.splits(data, config.Training(), KNOWN)


@pytest.mark.parametrize(("length", "stride"), [(64, 16), (32, 8)])
def test_windows_are_counted_as_the_tokenizer_would_make_them(examples, tokenizer, length, stride):
    """If every word is one token, the count is exact."""
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


def test_one_split_of_the_hub_is_shared_out():
    data = config.HubData(source="hub", name="rajpurkar/squad", revision="a" * 40, split="train", validation_share=0.25)
    train, validation, _ = forecast.splits(data, config.Training(), KNOWN)
    assert (train.windows, validation.windows) == (67_027, 22_343)  # 65,699.25 and 21,899.75, × 1.0202


def test_a_model_is_forecast_with_its_own_recipe(selection):
    content = yaml.safe_load(SQUAD.read_text())
    content["models"]["bert"]["training"] = {"epochs": 6, "max_length": 128, "stride": 32}
    table, said = forecast.forecast(selection(config.check(content, SQUAD), models=("bert", "distilbert")), tflops=5)
    plain, _ = forecast.forecast(selection(models=("bert", "distilbert")), tflops=5)
    # Twice the epochs, of 134,053 windows of 128 tokens instead of 89,369 of 176.
    shorter, longer = (n * flops.encoder_flops(flops.BERT_BASE, 1, at) for n, at in ((134_053, 128), (89_369, 176)))
    ours, others = table["train"] - START, plain["train"] - START
    assert ours["bert"] / others["bert"] == pytest.approx(2 * shorter / longer, rel=1e-3)
    assert ours["distilbert"] == others["distilbert"]
    assert re.findall(r"[\d,]+(?= windows to train on)", said) == ["134,053", "89,369"]


def test_bert_on_squad_by_hand(bert):
    need = bert()
    # 108,893,186 parameters of 4 bytes: of two seeds, and the Hub's; Adam's two moments come on top to resume from.
    assert need.parameters == 108_893_186
    assert need.disk == 3 * 4 * 108_893_186
    assert need.resume == 2 * 3 * 4 * 108_893_186
    # Three epochs of 89,369 windows of 176 tokens, forward once and backward twice, at 5 · 10¹² FLOP/s.
    forward = flops.encoder_flops(flops.BERT_BASE, 1, 176)
    assert need.train == pytest.approx(START + 3 * 3 * 89_369 * forward / 5e12, rel=1e-4)
    assert need.evaluate == pytest.approx(START + 10_784 * forward / 5e12, rel=1e-4)
    # Ten passes: 500 questions alone and in batches of three sizes, an update of 16, and the rows of a grid.
    rows = sum(b * flops.encoder_flops(flops.BERT_BASE, 1, n) for b in (1, 256) for n in (8, 32, 128, 512))
    assert need["compare"] - START == pytest.approx(10 * ((500 * 4 + 3 * 16) * forward + rows) / 5e12, rel=1e-3)
    assert need.seconds == pytest.approx(2 * (need.train + need.evaluate) + need.profile + need["compare"])
    assert need.rate == "5 TFLOP/s as given; may take up to 2 times as long"
    assert need.train_high - START == pytest.approx(2 * (need.train - START))
    assert need.train - START == pytest.approx(2 * (bert(tflops=10.0).train - START))


def test_weights_that_are_in_the_hub_s_cache_are_not_fetched_again(bert, tmp_path):
    spec = config.load(SQUAD).models["bert"]
    assert bert().download == 4 * 108_893_186
    snapshot = tmp_path / "hub" / "models--google-bert--bert-base-uncased" / "snapshots" / str(spec.revision)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    assert (bert().download, bert().conversion) == (0, 0)


def test_pickles_in_the_hub_s_cache_need_room_for_their_conversion_until_it_is_made(bert, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "CACHE", tmp_path / "converted")
    spec, before = config.load(SQUAD).models["bert"], bert()
    assert before.conversion == 4 * 108_893_186  # it may come as a pickle
    snapshot = tmp_path / "hub" / "models--google-bert--bert-base-uncased" / "snapshots" / str(spec.revision)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").touch()
    pickle = snapshot / "pytorch_model.bin"
    pickle.write_bytes(bytes(5_000))
    need = bert()
    assert (need.download, need.conversion, need.disk - before.disk) == (0, 5_000, 5_000)
    converted = tmp_path / "converted" / hashlib.sha256(pickle.read_bytes()).hexdigest() / "of another.safetensors"
    converted.parent.mkdir(parents=True)
    converted.touch()
    need = bert()
    assert (need.download, need.conversion, need.disk - before.disk) == (0, 0, 5_000)


def test_a_folder_with_a_pickle_has_the_size_of_its_config(tmp_path):
    spec = checkpoint(tmp_path / "old", "bert")
    safe = count(forecast.build(spec, KNOWN))
    (tmp_path / "old" / "model.safetensors").rename(tmp_path / "old" / "pytorch_model.bin")
    assert count(forecast.build(spec, KNOWN)) == safe


def test_memory_is_states_and_activations_of_a_layer_by_the_formula():
    with torch.device("meta"):
        tiny = networks.from_config(AutoConfig.for_model("bert", **SMALL))
    # 16 bytes a parameter; twice 5 × 7 · (34 · 16 + 5 · 2 · 7) a layer.
    assert forecast.training_memory(tiny, batch_size=5, length=7) == 16 * count(tiny) + 2 * 2 * 35 * (544 + 70)


def ready() -> config.Study:
    """The study of SQuAD, whose BERT came fine-tuned."""
    study = config.load(SQUAD)
    return study.model_copy(update={"models": {"bert": study.models["bert"].model_copy(update={"fine_tuned": True})}})


def test_a_model_that_came_fine_tuned_is_not_trained(bert, selection):
    need = bert(ready())
    assert (need.trainings, need.evaluations, need.train, need.resume) == (0, 1, 0, 0)
    assert need.seconds == pytest.approx(need.evaluate + need.profile + need["compare"])
    assert plan.line(selection(ready()), need.to_frame().T).startswith("forecast: 0 to train, ")


def test_without_a_rate_it_is_the_stored_experiment_s(needs):
    found = needs(models=("bert", "squeezebert", "squeezebert-rewritten"), tflops=None)
    assert [rate.split(",")[1].split(" at ")[0] for rate in found["rate"]] == [
        " BERT", " SqueezeBERT as published", " SqueezeBERT rewritten",
    ]  # fmt: skip


def earlier(chosen: Selection, name: str, rows: list[dict[str, Any]], duration: float = 0.0) -> None:
    """A finished stage of BERT, seed 0, with these results, in a notebook that took ``duration`` seconds."""
    stage = next(stage for stage in graph.stages(chosen) if (stage.name, stage.slug) == (name, "bert"))
    results.write(stage.targets[0], results_of(chosen.study, name, "bert", stage.seed, rows))  # type: ignore[arg-type]
    stage.notebook.write_text(json.dumps({"metadata": {"papermill": {"duration": duration}}}))
    stage.write_record(stage.inputs())


def took(seconds: float) -> list[dict[str, Any]]:
    """The record of a training of so many seconds."""
    return [{"metric": "train_seconds", "value": seconds, "unit": "s", "n": 1}]


def test_what_an_earlier_run_of_this_recipe_took_comes_before_any_formula(bert, selection):
    longer = config.load(SQUAD).model_copy(update={"training": config.Training(epochs=9)})
    earlier(selection(longer), "train", took(100.0), 130.0)
    assert bert(tflops=None).train != 130.0
    earlier(selection(), "train", took(200.0), 130.0)  # resumed: of 200 s of updates, this notebook saw a part
    assert bert(tflops=None).train != 130.0
    earlier(selection(), "train", took(100.0), 130.0)
    assert bert(tflops=None).train == 130.0
    assert bert(tflops=None).rate.startswith("this study's earlier train; otherwise 0.1")
    assert bert(tflops=5.0).train != 130.0


@pytest.mark.parametrize("notebook", ["", "[]", '{"metadata": []}', '{"metadata": {"papermill": {"duration": 1e999}}}'])
def test_earlier_notebooks_without_metadata_do_not_count(bert, selection, notebook):
    earlier(selection(), "train", took(100.0))
    graph.stages(selection())[0].notebook.write_text(notebook)
    assert 130.0 < bert(tflops=None).train < 1e9


def test_the_profile_of_the_study_gives_the_rate(bert, selection):
    conditions = {"network": "study", "length": 8, "device": "X", "threads": 2}
    rows = [
        {
            "metric": "training_step_seconds", "value": 2.0, "unit": "s per call", "n": 1,
            "conditions": conditions | {"batch_size": batch, "flops": 1e12 * batch},
        }
        for batch in (1, 12)
    ]  # fmt: skip
    earlier(selection(), "profile", rows)
    assert bert(tflops=None).rate == "6 TFLOP/s, this study's profile on X, 2 threads"  # 12 is nearest to 16


def test_another_dense_network_s_rate_follows_from_compute_and_bandwidth_of_those_profiled(needs, selection):
    network, rows = built("google-bert/bert-base-uncased"), []
    for batch, length in ((1, 64), (1, 384), (8, 64), (8, 384)):
        flop = 3 * batch * rates.row_flops(network, length)
        n_bytes = 4 * 108_893_186 + 12 * 2 * batch * length * (34 * 768 + 5 * 12 * length)
        conditions = {"batch_size": batch, "length": length, "flops": flop, "device": "X", "threads": 2}
        rows.append({
            "metric": "training_step_seconds", "value": flop / 2e12 + n_bytes / 1e9, "unit": "s per call", "n": 1,
            "conditions": {"network": "study", **conditions},
        })  # fmt: skip
    earlier(selection(), "profile", rows)
    found = needs(models=("bert", "distilbert", "squeezebert"), tflops=None)
    assert re.search(r" 4 training steps of bert, .* 0 % .* X, 2 threads$", found.at["distilbert", "rate"])
    flop = 3 * 16 * flops.encoder_flops(flops.DISTILBERT_BASE, 1, 176)
    n_bytes = 4 * 66_364_418 + 6 * 2 * 16 * 176 * (34 * 768 + 5 * 12 * 176)
    expected = flop / (flop / 2e12 + n_bytes / 1e9) / 1e12
    assert float(found.at["distilbert", "rate"].split()[0]) == pytest.approx(expected, rel=0.01)
    assert found.at["distilbert", "seconds_high"] == found.at["distilbert", "seconds"]
    assert "SqueezeBERT as published at full size" in found.at["squeezebert", "rate"]


def test_a_given_rate_does_not_apply_to_grouped_convolutions(needs, selection):
    found = needs(models=("squeezebert",))
    assert found[["train", "evaluate", "profile", "seconds", "seconds_high"]].isna().all(axis=None)
    assert found["disk"].item() > 0
    lines = plan.lines(selection(models=("squeezebert",)), found, "", 1)
    assert lines[4].split()[3:6] == ["unknown"] * 3
    assert "one after the other 0 ms; all at once unknown" in lines


def test_a_disk_that_cannot_hold_it_is_refused_with_a_tenth_to_spare(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2e9, 1e9, 1e9))
    plan.check_disk(0.9e9, tmp_path / "not" / "there")
    with pytest.raises(StudyError, match=rf"^{tmp_path}/runs: .* 950 MB, but the disk has 1\.00 GB left"):
        plan.check_disk(0.95e9, tmp_path / "runs")


def test_before_the_start_one_line_has_what_is_still_to_be_done(selection):
    chosen = selection(config.load(SQUAD).model_copy(update={"price": "gcp-p100"}), seeds=(0, 1, 2))
    found, weights = forecast.forecast(chosen, 5.0)[0], 4 * 108_893_186
    need = found.loc["bert"]

    def said() -> list[float]:
        times = r"([\d.]+) h to ([\d.]+) h, USD ([\d.]+) to ([\d.]+)"
        pattern = rf"forecast: (\d) to train, {times} \(gcp-p100\), ([\d.]+) GB of disk"
        return list(map(float, re.findall(pattern, plan.line(chosen, found))[0]))

    hours, most = need.seconds / 3600, need.seconds_high / 3600
    # Weights of three seeds, each also in two files for other engines, those of the Hub and their conversion, and two
    # checkpoints with Adam's moments.
    assert said() == pytest.approx([3, hours, most, 1.555 * hours, 1.555 * most, 17 * weights / 1e9], rel=0.01)
    earlier(chosen, "train", took(1.0), 2.0)  # a training less
    hours, most = hours - need.train / 3600, most - need.train_high / 3600
    assert said() == pytest.approx([2, hours, most, 1.555 * hours, 1.555 * most, 16 * weights / 1e9], rel=0.01)


def prints(capsys: pytest.CaptureFixture[str], *arguments: str, **variables: Any) -> list[str]:
    """The lines of the command's output."""
    plan.main(arguments, {name: str(value) for name, value in variables.items()})
    return capsys.readouterr().out.splitlines()


def test_the_command_prints_twenty_models_times_five_seeds_on_paper(tmp_path, capsys):
    models = ["bert", "distilbert", "squeezebert", "squeezebert-rewritten"]
    given = {"STUDY": "squad", "MODELS": " ".join(models), "SEEDS": "0 1 2 3 4", "TFLOPS": 5.2, "PRICE": "gcp-p100"}
    given["RUN"] = tmp_path / "run"
    once, out = prints(capsys, **given), prints(capsys, **given, COPIES=5)
    assert out[0].endswith(
        "models 20, each model 5 times; notebooks: 100 to train, 100 to evaluate, 20 to profile, 1 to compare"
    )
    assert [line.split()[0] for line in out[3:8]] == ["model", *models]
    assert len({len(line) for line in out[3:8]}) == 1
    number = r"([\d.]+)"
    whole = (
        f"without squeezebert and squeezebert-rewritten: {number} to {number} device hours, USD {number} to {number}"
    )
    (first, five) = (list(map(float, re.findall(whole, lines[9])[0])) for lines in (once, out))
    assert five == pytest.approx([5 * value for value in first], rel=0.02)
    assert five[2:] == pytest.approx([1.555 * hours for hours in five[:2]], rel=0.01)  # a P100's price
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TFLOPS", "nan", "'nan' is not a speed; give 10^12 FLOP/s"),
        ("TFLOPS", "inf", "'inf' is not a speed; "),
        ("TFLOPS", "0", "'0' is not a speed; "),
        ("TFLOPS", "-1", "'-1' is not a speed; "),
        ("TFLOPS", "fast", "'fast' is not a speed; "),
        ("COPIES", "0", "'0' is not a count; give a whole number from 1 to 999999"),
        ("COPIES", "9" * 5000, "'999"),
        ("SEEDS", "01", "'01' is not a seed; "),
        ("SEEDS", "9" * 5000, "'999"),
        ("PRICE", "free", "unknown price 'free'"),
    ],
)
def test_an_invalid_number_is_refused(capsys, variable, value, said):
    with pytest.raises(StudyError, match=rf"^{variable}: {re.escape(said)}"):
        prints(capsys, STUDY="squad", **{variable: value})
    assert capsys.readouterr().out == ""


def test_an_unknown_size_stops_the_plan_but_not_the_study(tmp_path, capsys):
    study = tmp_path / "other.yaml"
    study.write_text(SQUAD.read_text().replace("rajpurkar/squad", "some/set"))
    given = {"STUDY": study, "RUN": tmp_path / "run"}
    with pytest.raises(StudyError, match=r"^data\.name: the size of some/set is"):
        prints(capsys, **given)
    (line,) = prints(capsys, "--before-start", **given)
    assert line.startswith("no forecast: data.name: the size of some/set is")


def test_wrong_data_are_refused_before_the_start_and_not_treated_as_unknown(tmp_path, capsys):
    study = tmp_path / "mine.yaml"
    study.write_text("data: {source: files, file: nowhere.json}\nmodels: {a: {label: A, architecture: bert}}\n")
    with pytest.raises(StudyError, match=r"nowhere\.json: no such file"):
        prints(capsys, "--before-start", STUDY=study, RUN=tmp_path / "run")


def begun(study: config.Study, source: config.Model, layers: list[int]) -> config.Study:
    """The study, whose BERT is a DistilBERT that begins with layers of another model's checkpoint."""
    shallow = config.Model(label="y", architecture="distilbert", init_from={"model": "source", "layers": layers})
    return study.model_copy(update={"models": {"source": source, "bert": shallow}})


def test_a_network_that_begins_with_anothers_layers_has_its_widths(bert, tmp_path):
    study = begun(config.load(SQUAD), checkpoint(tmp_path / "source", "bert", max_position_embeddings=64), [1])
    layer = 4 * (16 * 16 + 16) + (16 * 32 + 32) + (32 * 16 + 16) + 4 * 16
    assert bert(study)["parameters"] == (100 + 64) * 16 + 2 * 16 + layer + 2 * (16 + 1)


@pytest.mark.parametrize(
    ("recipe", "layers", "message"),
    [
        ({}, [0, 2], "models: init_from.layers: source has no layer 2, only 2, counted from 0"),
        (
            {"freeze_layers": 2},
            [1],
            "training.freeze_layers: is 2, but DistilBertForQuestionAnswering has 1 layers",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_before_anything_starts(needs, tmp_path, recipe, layers, message):
    study = begun(config.load(SQUAD), checkpoint(tmp_path / "source", "bert"), layers)
    with pytest.raises(StudyError) as error:
        needs(study.model_copy(update={"training": study.training.model_copy(update=recipe)}))
    assert str(error.value) == message


def test_fp16_is_refused_on_a_cpu_unless_the_work_is_done_elsewhere(selection):
    study = config.load(SQUAD)
    halved = study.model_copy(update={"training": study.training.model_copy(update={"precision": "fp16"})})
    with pytest.raises(StudyError, match=r"^training\.precision: fp16 is for GPUs"):
        plan.check_precisions(selection(halved, device="cpu"))
    plan.check_precisions(selection(halved, device="cpu", launch="srun --gpus=1"))
    plan.check_precisions(selection(study, device="cpu"))
