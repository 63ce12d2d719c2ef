"""Make with a Hub on loopback: checkpoints that came fine-tuned, and one in an old layout."""

import functools
import hashlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from conftest import Checkout
from safetensors.torch import load_file

from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config
from tests import hub_server

pytestmark = pytest.mark.slow
SLUGS = ("bert", "distilbert", "squeezebert")


@pytest.fixture
def study(tmp_path: Path) -> tuple[Checkout, config.Study]:
    """A checkout whose ``originals.yaml`` is the committed study, except that less is timed."""
    (tmp_path / "checkout").mkdir()
    checkout = Checkout(tmp_path / "checkout")
    committed, tiny = (
        yaml.safe_load((checkout.folder / "studies" / name).read_text())
        for name in ("original-checkpoints.yaml", "tiny.yaml")
    )
    file = checkout.folder / "studies" / "originals.yaml"
    file.write_text(yaml.safe_dump(committed | {"profile": tiny["profile"], "compare": tiny["compare"]}))
    return checkout, config.load(file)


def questions(examples: list[Any], folder: str = "plain_text", held_out: str = "validation") -> hub_server.Files:
    """The examples as both splits, ``train`` and ``held_out``, of a data set in SQuAD's columns."""
    files = {}
    for split in ("train", held_out):
        rows = [
            {
                "id": f"{split}-{example.id}",
                "title": example.title,
                "context": example.context,
                "question": example.question,
                "answers": {"text": list(example.answers), "answer_start": list(example.answer_starts)},
            }
            for example in examples
        ]
        buffer = io.BytesIO()
        pd.DataFrame(rows).to_parquet(buffer)
        files[f"{folder}/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    return files


def as_in_2020(network: Any, tokenizer: Any, tensors: dict[str, torch.Tensor]) -> hub_server.Files:
    """A repository from before safetensors and tokenizer.json."""
    weights = io.BytesIO()
    torch.save(tensors, weights)
    settings = {key: value for key, value in network.config.to_dict().items() if key not in ("dtype", "architectures")}
    return {
        "config.json": json.dumps(settings).encode(),
        "pytorch_model.bin": weights.getvalue(),
        "vocab.txt": "\n".join(sorted(tokenizer.vocab, key=tokenizer.vocab.get)).encode(),
    }


def finished(checkout: Checkout, hub: hub_server.Hub, home: Path, *arguments: str, **variables: str) -> list[str]:
    """The output of make with this Hub and its cache in ``home``; it must succeed."""
    environment = {
        key: value for key, value in checkout.environment().items() if not key.startswith(("HF_", "HUGGING"))
    }
    variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), **variables}
    done = subprocess.run(
        checkout.command(*arguments), cwd=checkout.folder, env=environment | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("done: ")]


def test_they_are_fetched_scored_and_timed_and_the_second_time_nothing_is_done(
    study, network_of, tokenizer, examples, tmp_path
):
    checkout, content = study
    with hub_server.running() as hub:
        commits = {}
        for slug in SLUGS:
            network = network_of(slug, max_position_embeddings=384)
            files = as_in_2020(network, tokenizer, network.state_dict())
            commits[slug] = hub.add(f"models/{content.models[slug].hub}", files)
        hub.add(f"datasets/{content.data.name}", {})
        hub.repositories[f"datasets/{content.data.name}"].commits[content.data.revision] = questions(examples)

        each = [
            f"done: runs/originals/{slug}/{name}.ipynb" for slug in SLUGS for name in ("seed-0/2-evaluate", "3-profile")
        ]
        each += [f"done: runs/originals/{name}.ipynb" for name in ("4-compare", "5-analysis", "audit", "anomaly")]
        make = functools.partial(finished, checkout, hub, tmp_path / "home", "all", "STUDY=originals")
        assert sorted(make()) == sorted(each)
        assert make(HF_HUB_OFFLINE="1") == []

    run = checkout.folder / "runs" / "originals"
    for slug in SLUGS:
        evaluation = results.read(run / slug / "seed-0" / "evaluation.json")
        assert evaluation.find("f1").n == len(examples)
        for file in (evaluation, results.read(run / slug / "profile.json")):
            assert (file.provenance.checkpoint, file.provenance.revision, file.provenance.data_revision) == (
                content.models[slug].hub, commits[slug], content.data.revision
            )  # fmt: skip
            assert [made.file for made in file.provenance.converted] == ["pytorch_model.bin"]
    report = (checkout.folder / "reports" / "originals" / "index.html").read_text()
    assert "not trained" in report


CARD = b"""---
configs:
- {config_name: en, data_files: [{split: train, path: en/train-*}, {split: test, path: en/test-*}]}
- {config_name: other, data_files: [{split: train, path: other/train-*}]}
---
"""


def test_a_repository_as_in_2020_goes_from_training_to_the_report(network_of, tokenizer, examples, tmp_path):
    """SqueezeBERT as it was uploaded: weights in fp16 as a pickle, with heads of its pretraining, and vocab.txt.

    Its questions are one of two configs of a data set of the Hub, which has a test split in place of validation.
    """
    (tmp_path / "checkout").mkdir()
    checkout = Checkout(tmp_path / "checkout")
    content = yaml.safe_load((checkout.folder / "studies" / "tiny.yaml").read_text())
    content["models"] = {"squeezebert": {"label": "SqueezeBERT", "hub": "squeezebert/uncased", "revision": "main"}}
    splits = {"config": "en", "train_split": "train", "validation_split": "test"}
    content["data"] = {"source": "hub", "name": "some/languages", "revision": "main", **splits}
    (checkout.folder / "studies" / "old.yaml").write_text(yaml.safe_dump(content))

    network = network_of("squeezebert", max_position_embeddings=192)
    encoder = {name: value.half() for name, value in network.state_dict().items() if not name.startswith("qa_outputs")}
    words = encoder["transformer.embeddings.word_embeddings.weight"]
    pretraining = {"cls.predictions.decoder.weight": words, "transformer.embeddings.position_ids": torch.arange(192)}
    files = as_in_2020(network, tokenizer, encoder | pretraining)
    with hub_server.running() as hub:
        commit = hub.add("models/squeezebert/uncased", files)
        data = questions(examples, "en", "test") | questions(examples[:1], "other") | {"README.md": CARD}
        data_commit = hub.add("datasets/some/languages", data)
        make = functools.partial(finished, checkout, hub, tmp_path / "home", "all", "STUDY=old")
        names = *(f"squeezebert/{name}" for name in ("seed-0/1-train", "seed-0/2-evaluate", "3-profile")), "4-compare"
        each = [f"done: runs/old/{name}.ipynb" for name in (*names, "5-analysis", "audit", "anomaly")]
        assert sorted(make()) == sorted(each)
        assert make(HF_HUB_OFFLINE="1") == []

    (safe,) = (checkout.folder / "runs" / ".converted").glob("*/*.safetensors")
    sha256 = hashlib.sha256(files["pytorch_model.bin"]).hexdigest()
    assert (safe.parent.name, safe.stem) == (sha256, hashlib.sha256(safe.read_bytes()).hexdigest())
    for name in ("seed-0/training.json", "seed-0/evaluation.json", "profile.json"):
        origin = results.read(checkout.folder / "runs" / "old" / "squeezebert" / name).provenance
        (made,) = origin.converted
        assert (origin.checkpoint, origin.revision) == ("squeezebert/uncased", commit)
        assert origin.data_revision == data_commit
        assert (made.file, made.sha256, made.safetensors_sha256) == ("pytorch_model.bin", sha256, safe.stem)
    evaluation = results.read(checkout.folder / "runs" / "old" / "squeezebert" / "seed-0" / "evaluation.json")
    assert evaluation.find("f1").n == len(examples)
    trained = load_file(checkout.folder / "runs/old/squeezebert/seed-0/checkpoint/model.safetensors")
    assert {tensor.dtype for tensor in trained.values()} == {torch.float32}
    assert set(trained) == set(network.state_dict())
    report = (checkout.folder / "reports" / "old" / "index.html").read_text()
    assert f"pytorch_model.bin {sha256[:10]}, converted to safetensors {safe.stem[:10]}" in report
