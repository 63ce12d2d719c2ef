"""The card agrees with the result files, in text and in the Hub's metadata, and its code runs."""

import re

import pytest
from huggingface_hub import ModelCard

from qa_tradeoffs.models import checkpoints
from qa_tradeoffs.publish import card

DEMO = {
    "data": {"source": "generated", "train_passages": 1000, "validation_passages": 150, "questions_per_passage": 4},
    "models": {"bert": {"label": "BERT", "architecture": "bert"}},
}


@pytest.fixture
def rendered(collected_of):
    """A function from the F1 scores of one model's seeds to the card of its first one."""

    def render(scores, **keys) -> str:
        return card.render(collected_of({"bert": scores}, **keys), "bert", 0, "me/some-bert-seed-0", "bert")

    return render


def line(text: str, start: str) -> list[str]:
    """The cells of the table row that begins with ``start``."""
    (row,) = [row for row in text.splitlines() if row.startswith(f"| {start} |")]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_the_metadata_are_evaluation_results_that_the_hub_can_read(rendered):
    data = ModelCard(rendered([[1.0, 0.5, 0.5]])).data
    results = {result.metric_type: result for result in data.eval_results}
    assert {name: result.metric_value for name, result in results.items()} == {"exact_match": 61.67, "f1": 66.67}
    assert results["f1"].metric_name == "F1 (95 % interval over 3 questions: 65.7 to 67.7)"
    assert (results["f1"].task_type, results["f1"].dataset_type, results["f1"].dataset_split) == (
        "question-answering", "some/squad", "validation"
    )  # fmt: skip
    assert (data.base_model, data.datasets, data.model_name) == ("some/bert", "some/squad", "some-bert-seed-0")
    assert data.pipeline_tag == "question-answering"


def test_scores_times_and_costs_are_those_of_the_result_files(rendered):
    text = rendered([[1.0, 0.5, 0.5]])
    assert line(text, "**this model, seed 0**") == ["61.7 (59.7–63.7)", "66.7 (65.7–67.7)"]
    assert line(text, "lexical overlap, without training") == ["10.0 (9.0–11.0)", "20.0 (18.0–22.0)"]
    assert line(text, "forward | 1 | 128") == ["1", "128", "200 ms (180 ms to 220 ms)", "12"]
    assert line(text, "training step | 8 | 32")[2] == "1.20 s (1.08 s to 1.32 s)"
    assert line(text, "training") == ["60.0 min", "this seed, on some processor, 2 threads"]
    assert line(text, "training, USD")[0] == "1.55"
    # 10⁶ questions of 0.2 s, 1.55 USD an hour
    assert line(text, "a million questions, USD")[0] == "86.1"


def test_a_card_gives_the_spread_of_several_seeds_or_says_that_there_is_one(rendered):
    text = rendered([[0.5, 0.5], [0.6, 0.6], [0.9, 0.9]])
    assert "It is one of 3 trainings that differ in their seed alone (0, 1, 2)." in text
    assert "F1 over the seeds goes from 50.0 to 90.0." in text
    assert line(text, "seed 2")[1] == "90.0 (89.0–91.0)"
    assert "Only this training was scored: how another seed would have done is not known." in rendered([[0.5]])


def test_the_steps_to_reproduce_it_name_code_study_and_data(rendered):
    text = rendered([[0.5]])
    assert f"at commit `{'f' * 40}`:" in text
    assert 'make all STUDY=path/to/some.yaml MODELS="bert" SEEDS="0"\n' in text
    assert f"`some.yaml` has SHA-256 `{'e' * 64}`" in text
    assert f"It is `some/bert` at commit `{'a' * 40}`, fine-tuned." in text


def test_a_model_of_generated_data_is_called_a_demonstration(rendered):
    text = rendered([[0.5]], **DEMO)
    assert "> **A demonstration, not a model to use.**" in text
    assert "demonstration" in ModelCard(text).data.tags
    assert "Its architecture is that of `bert`; training began from random weights." in text
    assert "Its 1,000 passages for training and 150 for scoring were generated with seed 0, 4 questions each." in text
    assert "demonstration" not in rendered([[0.5]])


def test_texts_of_the_study_are_not_markup(rendered):
    text = rendered([[0.5]], title='A "study" | <script>alert(1)</script> [x](http://y)')
    assert "<script>" not in text
    assert "[x]" not in text
    assert card.plain("a|b\n<c>") == "a&#124;b &#60;c&#62;"


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "squeezebert"])
def test_the_code_that_it_shows_answers_with_words_of_the_passage(
    collected_of, network_of, tokenizer, tmp_path, capsys, architecture
):
    network = network_of(architecture, max_position_embeddings=384)
    checkpoints.save(network, tokenizer, tmp_path / "checkpoint")
    collected = collected_of({"bert": [[0.5]]})
    text = card.render(collected, "bert", 0, str(tmp_path / "checkpoint"), network.config.model_type)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, {})
    answer = capsys.readouterr().out.strip()
    assert answer
    assert answer in "Ada lives in Rome. Bob lives in Paris."


def test_a_training_in_several_processes_is_reproduced_in_as_many_and_costs_each_device(collected_of):
    collected = collected_of({"bert": [[0.5]]})
    file = collected.trainings["bert", 0]
    recipe = {"dropout": None, "fast_dropout": False, "epochs": 3.0, "save_minutes": 10.0}
    shared = {"processes": 8, "devices": 8} | recipe
    collected.trainings["bert", 0] = file.model_copy(
        update={"records": tuple(record.model_copy(update={"conditions": shared}) for record in file.records)}
    )
    text = card.render(collected, "bert", 0, "me/some-bert-seed-0", "bert")
    assert 'MODELS="bert" SEEDS="0" NPROC=8\n' in text
    assert line(text, "training") == ["60.0 min", "this seed, on some processor, 2 threads; 8 of these"]
    assert line(text, "training, USD")[0] == "12.4"  # 8 × 1.55
    settings = [line(text, name)[0] for name in ("dropout", "fast dropout", "epochs")]
    assert settings == ["the network's own", "no", "3.0"]
    assert "save minutes" not in text


def test_data_from_files_and_local_checkpoints_are_named_without_their_folders(rendered, tmp_path):
    files = {split: tmp_path / f"{split}.json" for split in ("train", "validation")}
    for file in files.values():
        file.touch()
    models = {"bert": {"label": "Mine", "path": tmp_path}}
    text = rendered([[0.5]], data={"source": "files"} | files, models=models)
    assert "Its questions come from files: `train.json`, `validation.json`." in text
    assert f"It is a local checkpoint, `{tmp_path.name}`, fine-tuned." in text
    assert str(tmp_path) not in text
