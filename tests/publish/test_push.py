"""The preview equals the upload, nothing is sent unconfirmed, and stale models are refused."""

import json

import pytest
import yaml
from conftest import write_beside

from qa_tradeoffs.core import hub
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import checkpoints, networks
from qa_tradeoffs.publish import push
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config
from tests import hub_server


@pytest.fixture
def trained(collected_of, network_of, tokenizer, tmp_path):
    """(study file, folder of its run): a tiny BERT of seeds 0 and 1, and a fine-tuned DistilBERT of others."""
    entries = {
        "bert": {"label": "BERT", "architecture": "bert", "config": {"hidden_size": 16}},
        "distilbert": {"label": "DistilBERT", "hub": "some/one", "revision": "b" * 40, "fine_tuned": True},
    }
    collected = collected_of({"bert": [[1.0, 0.0], [1.0, 1.0]]}, models=entries, price="gcp-p100", seeds=[0, 1])
    study_file = tmp_path / "some.yaml"
    study_file.write_text(yaml.safe_dump(json.loads(collected.study.model_dump_json())))
    run = RunPaths(tmp_path / "run")
    for seed in (0, 1):
        run.seed_folder("bert", seed).mkdir(parents=True)
        collected.predictions["bert", seed].to_parquet(run.predictions("bert", seed))
        collected.histories["bert", seed].to_parquet(run.history("bert", seed))
        write_beside(run.training("bert", seed), collected.trainings["bert", seed], run.history("bert", seed))
        write_beside(run.evaluation("bert", seed), collected.evaluations["bert", seed], run.predictions("bert", seed))
        checkpoints.save(network_of("bert", seed), tokenizer, run.checkpoint("bert", seed))
    results.write(run.profile("bert"), collected.profiles["bert"])
    results.write(run.comparison, collected.comparison)
    return study_file, run


def command(trained, *more: str) -> list[str]:
    return [str(trained[0]), "--owner", "me", "--run", str(trained[1].folder), "--models", "bert", *more]


def test_the_first_seed_is_chosen_and_its_card_lists_the_others(trained):
    (upload,) = push.prepare(str(trained[0]), "me", run=str(trained[1].folder))
    assert upload.repository == "me/some-bert-seed-0"
    assert list(upload.files) == [
        "README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    ]  # fmt: skip
    assert "one of 2 trainings" in upload.files["README.md"].decode()


def test_each_requested_seed_has_its_own_repository(trained):
    uploads = push.prepare(str(trained[0]), "me", ["bert"], [1, 0], str(trained[1].folder))
    assert [upload.repository for upload in uploads] == ["me/some-bert-seed-1", "me/some-bert-seed-0"]
    weights = [upload.files["model.safetensors"] for upload in uploads]
    assert weights[0] == (trained[1].checkpoint("bert", 1) / "model.safetensors").read_bytes() != weights[1]


def test_without_a_confirmation_there_is_a_preview_and_nothing_is_sent(trained, server, capsys):
    push.main(command(trained))
    printed = capsys.readouterr().out
    assert printed.startswith(f"{server.url}/me/some-bert-seed-0 (a new repository is private)\n  README.md ")
    assert "\n# BERT: extractive question answering\n" in printed
    assert printed.endswith("Nothing was uploaded (1 to upload); repeat the command with CONFIRM=yes to upload\n")
    assert server.asked == []


def test_what_is_uploaded_comes_back_and_the_second_time_nothing_is_sent(trained, server, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    (upload,) = push.prepare(str(trained[0]), "me", run=str(trained[1].folder))
    for _ in range(2):
        push.main(command(trained, "--confirmed"))
    address = f"{server.url}/me/some-bert-seed-0"
    assert capsys.readouterr().out == f"{address}: uploaded\n{address}: is up to date, nothing was sent\n"
    assert len(server.repositories["models/me/some-bert-seed-0"].commits) == 2  # as it was created, and the upload
    folder = hub.fetch("me/some-bert-seed-0", "main", ["*"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == upload.files | {
        ".gitattributes": b"*.safetensors filter=lfs\n"
    }
    spec = config.Model(label="back", hub="me/some-bert-seed-0", revision=folder.name, fine_tuned=True)
    assert networks.load_network(spec, checkpoints.locate(spec), 10, 0).config.model_type == "bert"


@pytest.mark.parametrize(
    ("owner", "slugs", "seeds", "message"),
    [
        ("", [], [], "make push HUB_ORG=your-name"),
        ("me", ["distilbert"], [], "models.distilbert came fine-tuned; "),
        ("me", ["bret"], [], "models: unknown model 'bret'; the study has bert, distilbert"),
        ("me", ["bert"], [7], "seed-7/training.json: is missing; run the stage that writes it (make all does)"),
        ("m e", ["bert"], [], "'m e/some-bert-seed-0' "),
    ],
)
def test_what_cannot_be_uploaded_is_one_sentence(trained, owner, slugs, seeds, message):
    with pytest.raises(StudyError) as error:
        push.prepare(str(trained[0]), owner, slugs, seeds, str(trained[1].folder))
    assert message in str(error.value)


def test_results_of_other_settings_than_the_study_has_are_refused(trained):
    study_file, run = trained
    study_file.write_text(study_file.read_text().replace("learning_rate: 2.0e-05", "learning_rate: 3.0e-05"))
    with pytest.raises(StudyError, match=r"training\.json: is stale"):
        push.prepare(str(study_file), "me", run=str(run.folder))
