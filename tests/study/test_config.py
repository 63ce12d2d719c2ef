"""The study file: valid ones are read correctly, and errors are one sentence."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_tradeoffs.core import documents
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.study import config, prices
from tests.changes import REMOVED, replaced

STUDIES = Path(__file__).parents[2] / "studies"
VALID = {
    "title": "A study",
    "about": "For tests.",
    "data": {"source": "generated", "train_passages": 4, "validation_passages": 2},
    "models": {
        "bert": {"label": "BERT", "architecture": "bert", "config": {"hidden_size": 16}},
        "mini": {"label": "MiniLM", "hub": "someone/mini", "revision": "0123abc"},
    },
    "profile": {
        "forward": {"batch_sizes": [1], "lengths": [16, 32]},
        "training_step": {"batch_sizes": [2], "lengths": [16]},
    },
    "price": "laptop",
}


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """The valid study with other values at dotted keys."""
    study: dict[str, Any] = VALID
    for dotted, value in changes:
        study = replaced(study, dotted.split("."), value)
    return study


def loaded(folder: Path, content: Any) -> config.Study:
    path = folder / "study.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return config.load(path)


def sentence(folder: Path, content: Any) -> str:
    with pytest.raises(StudyError) as error:
        loaded(folder, content)
    message = str(error.value)
    assert message.startswith(f"{folder / 'study.yaml'}: ")
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'study.yaml'}: ")


@pytest.mark.parametrize("path", [path for path in STUDIES.glob("*.yaml") if "models:" in path.read_text()], ids=str)
def test_every_study_of_the_repository_loads_and_names_a_price_of_the_table(path):
    study = config.load(path)
    assert prices.of(study, prices.load(STUDIES / "prices.yaml")).source


def test_a_study_needs_only_data_and_models_and_names_the_defaults_in_use(tmp_path):
    study = loaded(tmp_path, {key: VALID[key] for key in ("data", "models")})
    assert (study.title, study.about) == ("study", "")
    assert prices.of(study, prices.load(STUDIES / "prices.yaml")).machine == "n1-standard-2 (2 virtual CPUs)"
    assert study.defaults() == (
        "training: 3 epochs in batches of 16 at a learning rate of 2e-05; profile: forward passes of 1 or 8 × 32 or "
        "128 tokens and training steps of 8 × 128; price: gcp-n1-standard-2, not the price of this machine"
    )
    assert loaded(tmp_path, changed(("training", {"epochs": 1}))).defaults() == ""
    came = {"mini": VALID["models"]["mini"] | {"fine_tuned": True}}
    assert loaded(tmp_path, changed(("models", came))).defaults() == ""  # nothing is trained


def test_the_default_recipe_is_that_of_the_original_study(tmp_path):
    recipe = loaded(tmp_path, VALID).training
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_size, recipe.weight_decay) == (2e-5, 3, 16, 0.01)
    assert (recipe.max_length, recipe.stride) == (384, 128)


def test_a_rate_without_a_point_is_a_number_although_yaml_1_1_reads_it_as_text(tmp_path):
    text = yaml.safe_dump(VALID) + "training: {learning_rate: 3e-5, weight_decay: 1E+0}\n"
    recipe = loaded(tmp_path, text).training
    assert (recipe.learning_rate, recipe.weight_decay) == (0.00003, 1.0)


def test_keys_can_be_shared_with_yaml_anchors(tmp_path):
    text = yaml.safe_dump(changed(("models", REMOVED)))
    text += "models:\n  a: &a {label: A, architecture: bert}\n  b: {<<: *a, label: B}\n"
    models = loaded(tmp_path, text).models
    assert (models["b"].label, models["b"].architecture) == ("B", "bert")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [1", "is not valid YAML (line 1: "),
        ("a\x00", "is not valid YAML ("),
        ("- title", "must be a mapping with the keys title, about, data, models, training, "),
        ("data: {source: hub, source: files}", "is not valid YAML (line 1: the key 'source' "),
    ],
)
def test_a_file_that_is_not_a_yaml_mapping_is_one_sentence(tmp_path, text, message):
    assert sentence(tmp_path, text).startswith(message)


def test_a_recipe_without_its_newer_keys_has_the_digest_that_it_had_before(tmp_path):
    """Results of studies without these keys stay valid."""
    content = config.stage_inputs(loaded(tmp_path, VALID), "train", "bert")
    assert content["training"].keys() == {
        "learning_rate", "epochs", "batch_size", "weight_decay", "warmup_ratio", "max_length", "stride",
        "max_question_tokens", "dropout", "fast_dropout", "precision", "save_minutes",
    }  # fmt: skip
    given = loaded(tmp_path, changed(("training", {"schedule": "cosine", "layer_decay": 0.9})))
    new = config.stage_inputs(given, "train", "bert")["training"]
    assert new == content["training"] | {"schedule": "cosine", "layer_decay": 0.9}


def test_a_teacher_and_its_student_have_separate_recipes(tmp_path):
    """A stage sees the study as it applies to one model; other models keep their recipes in it."""
    changes = (("training", {"epochs": 4}), ("models.bert.training", {"epochs": 9}), ("models.bert.teacher", "mini"))
    study = loaded(tmp_path, changed(*changes))
    assert study.of("bert").training.epochs == 9
    assert study.of("bert").of("mini").training.epochs == study.of("mini").training.epochs == 4
    assert config.stage_inputs(study.of("bert"), "train", "mini") == config.stage_inputs(study, "train", "mini")
    assert (study.teachers("bert"), study.teachers("mini")) == (["mini"], [])


def test_a_model_may_have_fewer_seeds_than_the_study(tmp_path):
    changes = (("seeds", [4, 5, 6]), ("models.bert.seeds", [4, 5]), ("models.mini.teacher", "bert"))
    study = loaded(tmp_path, changed(*changes))
    assert (study.seeds_of("bert", study.seeds), study.seeds_of("mini", study.seeds)) == ((4, 5), (4, 5, 6))
    assert study.seeds_of("bert", [6]) == ()
    assert [study.teacher_seed("mini", seed) for seed in study.seeds] == [4, 5, 4]
    without = loaded(tmp_path, changed(changes[0], changes[2]))
    assert config.stage_inputs(study, "train", "bert") == config.stage_inputs(without, "train", "bert")


def test_a_models_explicit_default_overrides_the_studys_value(tmp_path):
    study = loaded(
        tmp_path, changed(("training", {"schedule": "cosine"}), ("models.bert.training", {"schedule": "linear"}))
    )
    assert (study.recipe("bert").schedule, study.recipe("mini").schedule) == ("linear", "cosine")


FILES = {"source": "files", "file": "dev.json"}
HUB = {"source": "hub", "name": "some/squad", "revision": "0123abc"}
ONLY_DEV = {"source": "files", "validation": "dev.json"}
FINE_TUNED = {"only": {"label": "Only", "path": "checkpoint", "fine_tuned": True}}
HELD_OUT = (("data.unanswerable_share", 0.5), ("data.threshold_questions", 9))
THRESHOLD = "`data.threshold_questions`"


SHALLOW = {"label": "Shallow", "architecture": "distilbert", "init_from": {"model": "mini", "layers": [0, 2]}}
BEGUN = ("models.shallow", SHALLOW)


def test_the_digest_of_a_model_with_init_from_depends_on_that_models_checkpoint(tmp_path):
    def digest(*changes):
        return config.stage_inputs(loaded(tmp_path, changed(BEGUN, *changes)), "train", "shallow")

    assert digest(("models.mini.revision", "fedcba9")) != digest() == digest(("models.mini.label", "Other"))
    assert digest(("models.shallow.init_from.layers", [0, 1])) != digest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            [BEGUN, ("models.shallow.init_from.model", "x")],
            "`models.shallow.init_from.model`: unknown model 'x'; the study has bert, mini, shallow",
        ),
        (
            [BEGUN, ("models.shallow.init_from.model", "bert")],
            "`models.shallow.init_from.model`: 'bert' has only a config; ",
        ),
        (
            [BEGUN, ("models.shallow.init_from.layers", [2, 0])],
            "models.shallow.init_from.layers: must name each layer once",
        ),
        (
            [BEGUN, ("models.shallow.init_from.layers", [-1])],
            "models.shallow.init_from.layers[0]: must be greater than",
        ),
        ([BEGUN, ("models.shallow.init_from.layers", [])], "models.shallow.init_from.layers: must not be empty"),
        (
            [("models.mini.init_from", {"model": "mini", "layers": [0]})],
            "models.mini: `init_from` requires `architecture`",
        ),
        ([("seeds", [1, 2]), ("models.bert.seeds", [2])], "`models.bert.seeds` must be the first of the study's "),
        # teachers
        ([("models.bert.teacher", "x")], "`models.bert.teacher`: unknown model 'x'; the study has bert, mini"),
        ([("models.bert.teacher", "bert")], "`models.bert.teacher`: bert learns from bert; "),
        (
            [("models.bert.teacher", "mini"), ("models.mini.teacher", "bert")],
            "`models.mini.teacher`: bert learns from mini, mini learns from bert; ",
        ),
        (
            [("models.mini.fine_tuned", True), ("models.mini.teacher", "bert")],
            "models.mini: is `fine_tuned` already and cannot learn from a `teacher`",
        ),
        (
            [("models.bert.distillation", {"weight": 0.5})],
            "models.bert: `distillation` requires a `teacher`",
        ),
        (
            [("models.bert.teacher", "mini"), ("models.bert.distillation", {"weight": 1.5})],
            "models.bert.distillation.weight: must be less than or equal to 1 (it is 1.5)",
        ),
        (
            [("models.bert.teacher", "mini"), ("models.bert.distillation", {"temperature": 0})],
            "models.bert.distillation.temperature: must be greater than 0 (it is 0)",
        ),
        # unknown keys, at every level, with the keys that there are
        ([("titel", "x")], "titel: unknown key; the keys here are title, about, data, models, training, evaluation, "),
        ([("title", REMOVED), ("titel", "x")], "titel: unknown key; the keys here are title, "),
        ([("training.rate", 1)], "training.rate: unknown key; the keys here are learning_rate, epochs, batch_size, "),
        (
            [("training.early_stopping_every", 0.5)],
            "training: `early_stopping_every` ",
        ),
        ([("training.schedule", "step")], "training.schedule: must be 'linear', 'cosine' or 'constant' (it is 'step')"),
        ([("training.layer_decay", 0)], "training.layer_decay: must be greater than 0 (it is 0)"),
        ([("training.label_smoothing", 1)], "training.label_smoothing: must be less than 1 (it is 1)"),
        ([("evaluation.x", 1)], "evaluation.x: unknown key; the keys here are max_answer_tokens, batch_tokens, "),
        ([("data.file", "x")], "data.file: unknown key; the keys here are source, train_passages, validation_passages"),
        ([("data", FILES | {"name": "x"})], "data.name: unknown key; the keys here are validation_share, "),
        ([("models.bert.size", 1)], "models.bert.size: unknown key; the keys here are label, hub, revision, path, "),
        ([("models.hub", {"x": 1})], "models.hub.x: unknown key; the keys here are label, hub, revision, "),
        ([("models.training", {"x": 1})], "models.training.x: unknown key; the keys here are label, hub, revision, "),
        ([("profile.repeats", 9)], "profile.repeats: unknown key; the keys here are forward, training_step, passes, "),
        ([("profile.forward.x", 9)], "profile.forward.x: unknown key; the keys here are batch_sizes, lengths"),
        # missing keys and wrong types: nothing is converted
        ([("data", REMOVED)], "data: is missing"),
        ([("data.questions_per_passage", 6)], "data.questions_per_passage: must be less than or equal to 5 (it is 6)"),
        ([("data.source", REMOVED)], "data: needs `source`, one of generated, hub, files"),
        ([("data.source", "web")], "data: `source` must be one of generated, hub, files"),
        ([("data", "squad")], "data: must be a mapping of keys (it is 'squad')"),
        ([("training", None)], "training: must be a mapping with the keys learning_rate, epochs, "),
        ([("models", ["bert"])], "models: must be a mapping of keys"),
        ([("models", {})], "models: must not be empty"),
        ([("models.mini.hub", 3)], "models.mini.hub: must be text, in quotes if it looks like a number (it is 3)"),
        ([("training.batch_size", "many")], "training.batch_size: must be a whole number (it is 'many')"),
        ([("training.batch_size", "8")], "training.batch_size: must be a whole number (it is '8')"),
        ([("training.batch_size", 8.0)], "training.batch_size: must be a whole number (it is 8.0)"),
        ([("training.epochs", True)], "training.epochs: must be a number (it is True)"),
        ([("seeds", 3)], "seeds: must be a list, as in [0, 1] (it is 3)"),
        ([("seeds", [0, True])], "seeds[1]: must be a whole number (it is True)"),
        ([("data", FILES | {"file": 3})], "data.file[0]: must be the path of a file (it is 3)"),
        # values out of range
        ([("training.learning_rate", float("inf"))], "training.learning_rate: must be a finite number (it is inf)"),
        ([("training.epochs", -1)], "training.epochs: must be greater than 0 (it is -1)"),
        (
            [("training.precision", "fp\n16")],
            "training.precision: must be 'auto', 'fp32', 'bf16' or 'fp16' (it is 'fp\\n16')",
        ),
        (
            [("models.bert.training", {"rate": 1})],
            "models.bert.training.rate: unknown key; the keys here are learning_r",
        ),
        ([("models.bert.training", {"epochs": -1})], "models.bert.training.epochs: must be greater than 0 (it is -1)"),
        (
            [("models.bert.training", {"max_length": 128})],
            "`models.bert.training`: with the study's `training`, `stride` 128 must be smaller than `max_length` 128",
        ),
        ([("training.stride", 384)], "training: `stride` 384 must be smaller than `max_length` 384"),
        ([("evaluation.language", "xx")], "evaluation.language: must be one of ar, bn, ca, "),
        ([("training.max_question_tokens", 0)], "training.max_question_tokens: must be greater than 0 (it is 0)"),
        ([("training.processes", 3)], "training: `processes` 3 must divide `batch_size` 16"),
        ([("seeds", [])], "seeds: must not be empty"),
        ([("seeds", [-1])], "seeds[0]: must be greater than or equal to 0 (it is -1)"),
        ([("seeds", [0, 1, 0])], "`seeds` has 0 twice; name each seed once"),
        (
            [("engines", ["torch", "tensorrt"])],
            "engines[1]: must be one of torch, torch-bf16, onnxruntime, onnxruntime-int8 (it is 'tensorrt')",
        ),
        ([("engines", ["onnxruntime"])], "`engines` must include torch, "),
        ([("engines", ["torch", "torch"])], "`engines` has torch twice; name each engine once"),
        ([("engines", "torch")], "engines: must be a list, as in [0, 1] (it is 'torch')"),
        (
            [("profile.forward.lengths", [4])],
            "profile.forward.lengths[0]: must be greater than or equal to 8",
        ),
        ([("traffic", {"p99_ms": 300})], "traffic.questions_per_second: is missing"),
        ([("traffic", 20)], "traffic: must be a mapping with the keys questions_per_second, p99_ms (it is 20)"),
        ([("traffic", {"rate": 20})], "traffic.rate: unknown key; the keys here are questions_per_second, p99_ms"),
        (
            [("traffic", {"questions_per_second": 0, "p99_ms": 300})],
            "traffic.questions_per_second: must be greater than 0 (it is 0)",
        ),
        (
            [("traffic", {"questions_per_second": 20, "p99_ms": 0.001})],  # impossible to meet
            "traffic.p99_ms: must be greater than or equal to 0.01 (it is 0.001)",
        ),
        ([("data", FILES | {"validation_share": 1.0})], "data.validation_share: must be less than 1 (it is 1.0)"),
        # models
        ([("models.bert.path", "x")], "models.bert: must name exactly one of `hub`, `path`, `architecture`, not 2"),
        ([("models.x", {"label": "X"})], "models.x: must name exactly one of `hub`, `path`, `architecture`, not 0"),
        (
            [("models.mini.revision", REMOVED)],
            "models.mini: `hub` and `revision` go together; `revision` is a commit hash",
        ),
        ([("models.mini.revision", "")], "models.mini.revision: must not be empty"),
        ([("models.mini.config", {"a": 1})], "models.mini: `config` requires `architecture`"),
        ([("models.bert.fine_tuned", True)], "models.bert: an `architecture` starts from random weights"),
        ([("models.bert.config.trust_remote_code", True)], "models.bert.config: `trust_remote_code` is not allowed"),
        ([("models.bert.config.eps", float("nan"))], "models.bert.config: `eps` must be one finite number, text, "),
        ([("models.mini.label", "BERT")], "two `models` have the label 'BERT'; charts could not tell them apart"),
        ([("models.Big Bert", {})], "models.Big Bert: must be at most 41 characters of a-z 0-9 . _ - and begin with"),
        ([("models.a\nb", {})], "models.a b: must be at most 41 characters of a-z 0-9 . _ -"),
        # data
        ([("data", {"source": "hub", "name": "some/squad"})], "data.revision: is missing"),
        ([("data", {"source": "files"})], "data: names no data; give `train` and `validation`, or one `file`"),
        ([("data", {"source": "files", "train": "x"})], "data: names no data; give `train` and `validation`, or"),
        ([("data", FILES | {"train": "x"})], "data: gives both `file` and `train`/`validation`; give one `file`"),
        ([("data", FILES | {"file": []})], "data.file: must not be empty"),
        ([("data", HUB | {"split": "dev", "train_split": "dev"})], "data: gives both `split` and `train_split`/"),
        (
            [("data", HUB | {"validation_split": "train"})],
            "data: trains and validates on 'train'; use `split: train`",
        ),
        ([("data", ONLY_DEV)], "`data` has no `train`, but models.bert has to be trained"),
        ([("data.threshold_questions", 9)], f"{THRESHOLD} applies to questions that may have no answer; set `unans"),
        ([("data", FILES | {"threshold_questions": 9})], f"{THRESHOLD} applies to questions that may have no answer"),
        (
            [("models", FINE_TUNED), ("data", ONLY_DEV | {"v2": True, "threshold_questions": 9})],
            f"{THRESHOLD} are training questions, but `data` has no `train`",
        ),
        (
            [*HELD_OUT, ("evaluation.no_answer_threshold", 0.0)],
            f"gives both `evaluation.no_answer_threshold` and {THRESHOLD}",
        ),
        (
            [("data", FILES | {"misplaced_answers": "fix"})],
            "data.misplaced_answers: must be 'repair', 'drop' or 'refuse'",
        ),
    ],
)
def test_a_wrong_study_is_one_sentence_that_names_file_and_key(tmp_path, changes, message):
    assert sentence(tmp_path, changed(*changes)).startswith(message)


def test_a_missing_study_file_or_a_folder_is_one_sentence(tmp_path):
    with pytest.raises(StudyError, match=r"missing\.yaml: no such file$"):
        config.load(tmp_path / "missing.yaml")
    with pytest.raises(StudyError, match=r": cannot be read \(Is a directory\)$"):
        config.load(tmp_path)


def test_a_study_only_needs_training_data_for_models_that_are_trained(tmp_path):
    assert loaded(tmp_path, changed(("models", FINE_TUNED), ("data", ONLY_DEV))).models["only"].fine_tuned


def test_an_unknown_slug_is_refused_with_the_known_ones(tmp_path):
    study = loaded(tmp_path, VALID)
    assert study.model("mini").hub == "someone/mini"
    with pytest.raises(StudyError, match=r"study\.yaml: models: unknown model 'bart'; the study has bert, mini$"):
        study.model("bart")


def test_a_model_s_own_recipe_is_the_study_s_with_its_own_keys(tmp_path):
    own = {"learning_rate": 1.0e-4, "max_length": 128, "stride": 32}
    study = loaded(tmp_path, changed(("training.epochs", 2), ("models.mini.training", own)))
    assert study.recipe("mini").model_dump() == study.training.model_dump() | own
    assert study.recipe("bert") == study.of("bert").training == study.training
    assert study.of("mini").training == study.of("mini").recipe("mini") == study.recipe("mini")
    assert config.check(study.model_dump(mode="json"), tmp_path / "again.yaml").recipe("mini") == study.recipe("mini")


def test_relative_paths_start_from_the_folder_of_the_study_file_and_absolute_ones_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(STUDIES)
    local = {"label": "Local", "path": "../checkpoint"}
    data = {"source": "files", "train": "/data/train.json", "validation": "dev.json"}
    study = loaded(tmp_path, changed(("data", data), ("models.local", local)))
    assert isinstance(study.data, config.FileData)
    assert (study.data.train, study.data.validation) == ((Path("/data/train.json"),), (tmp_path / "dev.json",))
    assert study.models["local"].path == tmp_path / "../checkpoint"


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        (("title", "Another"), set()),
        (("about", "Another."), set()),
        (("price", "server"), set()),
        (("traffic", {"questions_per_second": 20, "p99_ms": 300}), set()),
        (("seeds", [4]), set()),
        (("models.bert.label", "Bert"), set()),
        (("models.mini.training", {"learning_rate": 1.0e-3}), set()),
        (("models.bert.training", {"learning_rate": 1.0e-3}), {"train", "evaluate", "profile"}),
        (("models.bert.training", {"learning_rate": 2.0e-5}), set()),  # the study's own
        (("models.mini.revision", "4567def"), set()),
        (("models.bert.config.hidden_size", 32), {"train", "evaluate", "profile"}),
        (("data.seed", 1), {"train", "evaluate", "profile"}),
        (("data.unanswerable_share", 0.5), {"train", "evaluate", "profile"}),
        (("training.learning_rate", 1.0e-3), {"train", "evaluate", "profile"}),
        (("evaluation.max_answer_tokens", 10), {"evaluate", "profile"}),
        (("profile.min_repeats", 20), {"profile"}),
        (("engines", ["torch"]), set()),  # the default
        (("engines", ["torch", "onnxruntime"]), {"evaluate"}),
    ],
)
def test_a_change_touches_only_the_stages_that_depend_on_it(tmp_path, change, affected):
    before, after = loaded(tmp_path, VALID), loaded(tmp_path, changed(change))
    digests = [
        {stage: config.digest(config.stage_inputs(study, stage, "bert")) for stage in ("train", "evaluate", "profile")}
        for study in (before, after)
    ]
    assert {stage for stage in digests[0] if digests[0][stage] != digests[1][stage]} == affected


def test_settings_of_v2_studies_are_not_inputs_of_others(tmp_path):
    assert loaded(tmp_path, VALID).data.model_dump(mode="json").keys() == {
        "source", "train_passages", "validation_passages", "questions_per_passage", "seed"
    }  # fmt: skip
    content = config.stage_inputs(loaded(tmp_path, changed(*HELD_OUT)), "train", "bert")["data"]
    assert (content["unanswerable_share"], content["threshold_questions"]) == (0.5, 9)


def test_the_digest_does_not_depend_on_the_order_of_keys():
    assert config.digest({"a": 1, "b": [2]}) == config.digest({"b": [2], "a": 1})
    # printf '{"a": 1}' | sha256sum
    assert config.digest({"a": 1}).startswith("f9d86028c6e0d64e")


def test_long_errors_of_libraries_become_one_short_line():
    assert documents.one_line(ValueError("a\n  b\tc ")) == "a b c"
    assert documents.one_line("x" * 300, limit=10) == "x" * 9 + "…"
