"""The pages tell the truth: commands, files, keys, defaults, links and figures are those of the repository."""

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from benchmarks import readme
from benchmarks.__main__ import ROWS
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources
from qa_tradeoffs.study import config, prices
from qa_tradeoffs.study.engines import LABELS
from tests import documentation
from tests.documentation import PAGES, ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z_]+) *\?=", MAKEFILE, re.MULTILINE))
STUDIES = {path.stem: path for path in (ROOT / "studies").glob("*.yaml")}
BASE: dict[str, Any] = {
    "data": {"source": "generated", "train_passages": 1, "validation_passages": 1},
    "models": {"bert": {"label": "BERT", "architecture": "bert"}},
}


def values(word: str) -> tuple[str, str]:
    """Name and value of NAME=value."""
    name, _, value = word.partition("=")
    return name, value


@pytest.mark.parametrize("command", documentation.commands("make"), ids=str)
def test_make_commands_name_targets_variables_and_values_that_exist(command):
    words = [word for word in shlex.split(command.content)[1:] if not re.fullmatch(r"-[a-z]\d*", word)]
    assert {word for word in words if "=" not in word} <= TARGETS
    given = dict(values(word) for word in words if "=" in word)
    assert given.keys() <= VARIABLES
    if (name := given.get("STUDY", "demo")).endswith(".yaml"):
        return  # a reader's own
    study = config.load(STUDIES[name])
    assert set(given.get("MODELS", "").split()) <= study.models.keys()
    assert given.get("ENGINE", "torch") in LABELS
    assert given.get("PRICE", study.price) in prices.load(STUDIES["prices"])
    assert set(given.get("ROWS", "").split()) <= set(ROWS)


@pytest.mark.parametrize("command", documentation.commands("python -m"), ids=str)
def test_python_commands_take_these_arguments(command, monkeypatch, tmp_path):
    """They are run without the files that they name: the error says that these are missing, and nothing else."""
    words = shlex.split(command.content)
    _, _, module, *arguments = words[: words.index(">")] if ">" in words else words
    if module == "pytest":
        assert (ROOT / arguments[0]).is_file()
        return
    found = importlib.import_module(module)
    main = getattr(found, "main", None) or importlib.import_module(f"{module}.__main__").main
    if not arguments:
        assert callable(main)
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    files = [re.escape(argument) for argument in arguments if re.search(r"[./]", argument)]
    assert files
    with pytest.raises(StudyError, match="|".join(files)):
        main()


def test_scoring_a_file_gives_what_the_page_shows(monkeypatch, tmp_path, capsys):
    (command, *_) = [c.content for c in documentation.commands("python -m") if "qa_tradeoffs.metrics dev" in c.content]
    question = {"id": "1", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 13}]}
    dataset = {"data": [{"title": "", "paragraphs": [{"context": "Ada lives in Rome.", "qas": [question]}]}]}
    for name, content in (("dev.json", dataset), ("predictions.json", {"1": "in Rome"})):
        (tmp_path / name).write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(command)[2:])
    importlib.import_module("qa_tradeoffs.metrics.__main__").main()
    # One of two words is right, and the whole reference is found: precision 1/2, recall 1.
    assert json.loads(capsys.readouterr().out) == {"exact_match": 0, "f1": pytest.approx(200 / 3)}


@pytest.mark.parametrize("example", documentation.yaml_blocks(), ids=str)
def test_examples_of_yaml_are_valid(example):
    if example.content.keys() <= config.Study.model_fields.keys():
        study = config.check(BASE | example.content, ROOT / "studies" / "example.yaml")
        assert prices.of(study, prices.load(STUDIES["prices"]))
    else:
        for price in example.content.values():
            prices.Price.model_validate(price)


def test_the_example_of_a_row_is_read_as_a_question(tmp_path):
    (row,) = documentation.blocks(ROOT / "docs" / "data.md", "json")
    (tmp_path / "rows.jsonl").write_text(row)
    (found,), _ = sources.read_files(tmp_path / "rows.jsonl")
    assert (found.question, found.answers, found.answer_starts) == ("Where does Ada live?", ("Rome",), (13,))


@pytest.mark.parametrize(
    "page, section",
    [
        ("studies", config.Study), ("studies", config.Training), ("data", config.FileData), ("data", config.HubData),
        ("data", config.GeneratedData), ("models", config.Model), ("models", config.Distillation),
        ("scoring", config.Evaluation), ("measuring", config.Compare), ("measuring", config.Profile),
        ("capacity", config.Traffic), ("report", config.Analysis),
    ],
)  # fmt: skip
def test_every_key_of_a_study_file_is_explained(page, section):
    words = set(re.findall(r"\w+", (ROOT / "docs" / f"{page}.md").read_text()))
    assert set(section.model_fields) - words == set()


def test_the_recipe_it_states_is_the_default():
    recipe = config.Training()
    stated = re.search(
        r"learning rate (\S+), (\S+) epochs, batch (\S+), weight decay (\S+), length (\S+), stride (\d+)\.",
        (ROOT / "docs" / "studies.md").read_text(),
    )
    assert stated is not None
    names = ("learning_rate", "epochs", "batch_size", "weight_decay", "max_length", "stride")
    assert [float(number) for number in stated.groups()] == [getattr(recipe, name) for name in names]


def test_pinned_revisions_are_those_of_the_squad_study():
    study = config.load(STUDIES["squad"])
    known = {model.hub: model.revision for model in study.models.values()}
    pinned = [
        (model["hub"], model["revision"])
        for example in documentation.yaml_blocks()
        for model in example.content.get("models", {}).values()
        if "hub" in model
    ]
    assert pinned
    assert all(known[name] == revision for name, revision in pinned)


def test_the_families_it_lists_are_those_that_a_config_may_name():
    listed = re.search(r"## Families\n\n.*?: (.*?)\.\n\n", (ROOT / "docs" / "models.md").read_text(), re.DOTALL)
    names = re.sub(r" \([^)]*\)", "", " ".join(listed[1].split())).split(", ")
    assert sorted(names) == sorted(ast.literal_eval(str(list(config.Architecture.__args__))))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_it_names_are_there(page):
    rooted = r"(src|tests|studies|notebooks|benchmarks|docs|reports/published)/[\w./-]*"
    for text in documentation.code(page):
        if re.fullmatch(rooted, text):
            assert (ROOT / text).exists(), text
        elif re.fullmatch(r"[a-z_]+/[a-z_0-9]+\.py", text):
            assert (ROOT / "src" / "qa_tradeoffs" / text).is_file(), text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_links_lead_somewhere(page):
    for _, text, address in documentation.links(page):
        assert text
        path, _, anchor = address.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), address
        assert not anchor or anchor in documentation.anchors(target), address


def test_every_page_is_linked_to_from_the_readme_and_begins_with_its_question():
    linked = {address for _, _, address in documentation.links(ROOT / "README.md")}
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert f"docs/{page.name}" in linked
        assert re.match(r"# .+\?\n\n", page.read_text()), page.name


@pytest.mark.parametrize("page", readme.PAGES, ids=lambda page: page.stem)
def test_its_tables_are_those_of_the_committed_result_files(page):
    text = page.read_text()
    assert readme.filled(text, readme.PAGES[page]) == text


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The pages as make builds them, in a copy of what they are made of."""
    pytest.importorskip("material", reason="the site is built where the extra `docs` is installed: make docs")
    folder = tmp_path_factory.mktemp("site")
    names = ["Makefile", "mkdocs.yml", *re.search(r"^PAGES := (.*)$", MAKEFILE, re.MULTILINE)[1].split()]
    for name in ["pyproject.toml", "constraints.txt", *names]:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    for state in ("ready", "docs-ready"):
        (folder / f".qa-tradeoffs-{state}").touch()
    command = ["make", "docs", "VENV=.", f"PY={sys.executable}"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}  # of make test
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == str(folder / "site/html/index.html")
    return folder / "site/html"


def test_the_site_loads_nothing_from_elsewhere_and_its_links_lead_somewhere(site):
    pages = [page for page in site.rglob("*.html") if "published" not in page.parts]
    assert {page.stem for page in pages} >= {page.stem for page in PAGES if page.parent == ROOT / "docs"}
    for page in pages:
        text = page.read_text()
        if page.name == "404.html":  # a server sends it for any address, so that its own begin at the root
            text = re.sub(r'(src|href)="/', r'\1="./', text)
        soup = BeautifulSoup(text, "html.parser")
        loaded = [tag["src"] for tag in soup.find_all(src=True)]
        loaded += [tag["href"] for tag in soup.find_all("link", href=True) if "canonical" not in tag.get("rel", ())]
        assert loaded
        for address in loaded:
            assert (page.parent / address.partition("?")[0]).is_file() or address.startswith("data:"), address
        for tag in soup.find_all("a", href=True):
            path = tag["href"].partition("#")[0]
            assert path.startswith("https://") or (page.parent / path).exists(), (page, path)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//", style.read_text()), style
