"""The README tells the truth: its commands, files, defaults and examples are those of the repository."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from benchmarks.readme import filled
from qa_tradeoffs.publish import snapshot
from qa_tradeoffs.study import config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if line]
EXAMPLES = [yaml.safe_load(block) for kind, block in BLOCKS if kind == "yaml"]


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make")])
def test_make_commands_name_a_target_and_a_study_that_exist(command):
    _, target, *variables = (word for word in shlex.split(command) if not word.startswith("-j"))
    assert target in makefile_targets()
    settings = dict(variable.split("=", 1) for variable in variables)
    assert settings.keys() <= set(re.findall(r"^([A-Z_]+) *\?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    study = config.load(ROOT / "studies" / f"{settings.get('STUDY', 'demo')}.yaml")
    assert set(settings.get("MODELS", "").split()) <= study.models.keys()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("python")])
def test_python_commands_name_a_module_with_a_command_line(command):
    _, option, module, *_ = shlex.split(command)
    assert option == "-m"
    imported = importlib.import_module(module)
    assert callable((importlib.import_module(f"{module}.__main__") if hasattr(imported, "__path__") else imported).main)


def test_every_command_is_one_of_these():
    assert {command.split()[0] for command in COMMANDS} == {"make", "python"}


def test_the_file_map_names_every_wing_and_folder():
    wings = {path.parent.name for path in (ROOT / "src" / "qa_tradeoffs").glob("*/__init__.py")}
    named = set(re.findall(r"`([a-z0-9_]+)`", README))
    assert wings <= named
    for folder in re.findall(r"^\| `([a-z_/]+)/` \|", README, re.MULTILINE):
        assert (ROOT / folder).is_dir()


def test_the_example_models_and_data_are_valid():
    models, data = EXAMPLES[0]["models"], EXAMPLES[1]["data"]
    assert [config.Model.model_validate(model).label for model in models.values()] == ["BERT", "Mine", "Small"]
    assert config.FileData.model_validate(data).misplaced_answers == "repair"


def test_the_recipe_it_states_is_the_default():
    recipe = config.Training()
    stated = re.search(
        r"learning rate (\S+), (\S+) epochs, batch (\S+), weight decay (\S+), length (\S+), stride (\d+)\.", README
    )
    assert stated is not None
    assert [float(number) for number in stated.groups()] == [
        recipe.learning_rate,
        recipe.epochs,
        recipe.batch_size,
        recipe.weight_decay,
        recipe.max_length,
        recipe.stride,
    ]


def test_the_pinned_revision_in_the_example_is_the_one_of_the_squad_study():
    study = config.load(ROOT / "studies" / "squad.yaml")
    assert EXAMPLES[0]["models"]["bert"]["revision"] == study.models["bert"].revision


def test_its_main_figures_are_those_of_the_published_reports():
    summaries = sorted((ROOT / "reports" / "published").glob("*/summary.json"))
    if not summaries:
        pytest.skip("no report is published yet: make publish")
    for path in summaries:
        assert f"](reports/published/{path.parent.name}/index.html)" in README
        for model in snapshot.read(path).models:
            (f1,) = model.find("f1")
            row = next(line for line in README.splitlines() if line.startswith(f"| {model.label} |"))
            assert f" {f1.value:.1f} ({f1.interval.low:.1f}–{f1.interval.high:.1f}) " in row


def test_its_pictures_have_texts_and_what_it_links_to_is_there():
    links = re.findall(r"(!?)\[([^]]*)\]\(([^)#]+)\)", README)
    assert links
    for picture, text, address in links:
        assert text
        assert address.startswith("https://") or (ROOT / address).is_file()
        assert not picture or len(text) > 20


def test_its_tables_are_those_of_the_committed_result_files():
    assert filled(README) == README
