"""The study of checkpoints that came fine-tuned, by make from a Hub on loopback: scored and timed, and not trained."""

import io
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import Checkout

from qa_tradeoffs.models import checkpoints
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config
from tests import hub_server

pytestmark = pytest.mark.slow
SLUGS = ("bert", "distilbert", "squeezebert")


@pytest.fixture
def study(tmp_path: Path) -> tuple[Checkout, config.Study]:
    """A checkout whose ``originals.yaml`` is the study as it is committed, but for how much is timed."""
    (tmp_path / "checkout").mkdir()
    checkout = Checkout(tmp_path / "checkout")
    committed, tiny = (
        yaml.safe_load((checkout.folder / "studies" / name).read_text())
        for name in ("original-checkpoints.yaml", "tiny.yaml")
    )
    file = checkout.folder / "studies" / "originals.yaml"
    file.write_text(yaml.safe_dump(committed | {"profile": tiny["profile"]}))
    return checkout, config.load(file)


def questions(examples: list[Any]) -> hub_server.Files:
    """The examples as both splits of a data set in SQuAD's columns."""
    files = {}
    for split in ("train", "validation"):
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
        files[f"plain_text/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    return files


def test_they_are_fetched_scored_and_timed_and_the_second_time_nothing_is_done(
    study, network_of, tokenizer, examples, tmp_path
):
    checkout, content = study
    with hub_server.running() as hub:
        commits = {}
        for slug in SLUGS:
            checkpoints.save(network_of(slug, max_position_embeddings=384), tokenizer, tmp_path / slug)
            files = {path.name: path.read_bytes() for path in (tmp_path / slug).iterdir()}
            commits[slug] = hub.add(f"models/{content.models[slug].hub}", files)
        hub.add(f"datasets/{content.data.name}", {})
        hub.repositories[f"datasets/{content.data.name}"].commits[content.data.revision] = questions(examples)

        def make(*arguments: str, **variables: str) -> list[str]:
            environment = {
                key: value for key, value in checkout.environment().items() if not key.startswith(("HF_", "HUGGING"))
            }
            variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), **variables}
            done = subprocess.run(
                checkout.command(*arguments, "STUDY=originals"),
                cwd=checkout.folder, env=environment | variables, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            return [line for line in done.stdout.splitlines() if line.startswith("done: ")]

        each = [
            f"done: runs/originals/{slug}/{name}.ipynb" for slug in SLUGS for name in ("seed-0/2-evaluate", "3-profile")
        ]
        assert sorted(make("all")) == sorted([*each, "done: runs/originals/4-analysis.ipynb"])
        assert make("all", HF_HUB_OFFLINE="1") == []

    run = checkout.folder / "runs" / "originals"
    for slug in SLUGS:
        evaluation = results.read(run / slug / "seed-0" / "evaluation.json")
        assert evaluation.find("f1").n == len(examples)
        for file in (evaluation, results.read(run / slug / "profile.json")):
            assert (file.provenance.checkpoint, file.provenance.revision, file.provenance.data_revision) == (
                content.models[slug].hub, commits[slug], content.data.revision
            )  # fmt: skip
    report = (checkout.folder / "reports" / "originals" / "index.html").read_text()
    assert "not trained" in report
