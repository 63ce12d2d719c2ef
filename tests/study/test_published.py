"""The file of published figures: read as it stands, refused when it is wrong."""

from pathlib import Path

import pytest
import yaml

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.study import published
from tests.changes import REMOVED, replaced

FILE = Path(__file__).parents[2] / "studies" / "published.yaml"


def test_the_original_s_scores_and_costs_are_those_it_published():
    original = published.load(FILE).original
    scores = {model: original.scores.by_model.of(model) for model in published.MODELS}
    assert {model: (s.exact_match, s.f1) for model, s in scores.items()} == {
        "bert": (80.54, 88.13),
        "distilbert": (76.95, 85.31),
        "squeezebert": (77.31, 85.57),
    }
    spent = {model: original.fine_tuning.by_model.of(model) for model in published.MODELS}
    assert {model: (s.hours, s.usd) for model, s in spent.items()} == {
        "bert": (3.0, 4.65),
        "distilbert": (1.5, 2.32),
        "squeezebert": (5.35, 8.28),
    }


def test_every_time_belongs_to_its_machine_model_and_point():
    rows = list(published.load(FILE).original.inference.rows())
    assert len(rows) == 2 * 3 * 4
    assert ("p100", "distilbert", 256, 512, 1.09) in rows
    assert ("p100", "bert", 256, 8, 0.0446) in rows
    assert ("k80", "squeezebert", 256, 32, 0.6043) in rows


def test_running_out_of_memory_is_a_figure_too():
    rows = list(published.load(FILE).original.memory.rows())
    assert len(rows) == 2 * 3 * 7
    assert [row[2:4] for row in rows if row[4] is None] == [(512, 512)] * 6
    assert ("k80", "bert", 64, 512, 3269) in rows
    assert ("p100", "squeezebert", 256, 512, 10193) in rows


def test_published_scores_give_model_source_and_whether_it_was_read():
    papers = published.load(FILE).papers
    plain = {(s.model, s.exact_match, s.f1) for s in papers.scores if s.model}
    assert {("bert", 81.22, 88.52), ("distilbert", 77.7, 85.8), ("squeezebert", 76.66, 85.83)} <= plain
    by_name = {score.name: score for score in papers.scores}
    assert len(by_name) == len(papers.scores)
    assert by_name["BERT-base, Hugging Face's run_qa"].note.startswith("learning rate 3e-5, 2 epochs")
    pruned, mobile = by_name["BERT-base, 97 % pruned (oBERT)"], by_name["MobileBERT"]
    assert (pruned.model, pruned.exact_match, pruned.f1, pruned.read) == (None, 78.28, 86.06, True)
    assert (mobile.exact_match, mobile.f1, mobile.source, mobile.read) == (None, 90.0, "arXiv 2004.02984", False)
    assert papers.squeezebert_faster.times == 4.3


def test_the_updates_are_those_of_the_model_card():
    recipe = published.load(FILE).original.fine_tuning
    assert recipe.epochs * recipe.updates_per_epoch == 16_599
    assert "SupriyaArun/squeezebert-uncased-finetuned-squad" in recipe.updates_source


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("original.scores.source", REMOVED, "original.scores.source: is missing"),
        ("original.inference.p100.bert", [0.1, 0.2, -1, 3], "original.inference.p100.bert[2]: must be greater than 0"),
        ("original.fine_tuning.by_model.bert.hours", "3", "original.fine_tuning.by_model.bert.hours: must be a number"),
        ("machines.t4", {}, "machines.t4: unknown key"),
        (
            "original.queue.launches.bert",
            [300, 102],
            "original.queue: launches.bert: 10 calls of 102 launches all fit into a queue of 1024; give more than 102",
        ),
        (
            "original.queue.launches.bert",
            [300],
            "original.queue: launches: each model needs one number for each way of counting",
        ),
    ],
)
def test_a_wrong_figure_is_named_with_its_file_and_key(tmp_path, key, value, message):
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump(replaced(yaml.safe_load(FILE.read_text()), key.split("."), value)))
    with pytest.raises(StudyError) as error:
        published.load(path)
    assert str(error.value).startswith(f"{path}: {message}")
