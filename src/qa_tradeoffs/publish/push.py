"""Upload fine-tuned models to the Hub, each with a card made from its results; without confirmation only a preview.

python -m qa_tradeoffs.publish.push studies/demo.yaml --owner someone --models bert --seeds 0 --confirmed
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars

from qa_tradeoffs.analysis.collected import for_analysis
from qa_tradeoffs.core import hub
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.core.words import size
from qa_tradeoffs.models import checkpoints
from qa_tradeoffs.publish import card
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.selection import find_study
from qa_tradeoffs.study import config


@dataclass(frozen=True)
class Upload:
    """A repository on the Hub and its files, content by name; README.md is the card."""

    repository: str
    files: dict[str, bytes]


def prepare(
    study_file: str, owner: str, slugs: Sequence[str] = (), seeds: Sequence[int] = (), run: str = ""
) -> list[Upload]:
    """One upload per model (by default all that are trained here) and seed (by default the first).

    The first seed is fixed before any result is known, so it is not selected for its score. ``run`` is the folder of
    results, by default ``runs/<name of the study file>``. Raises StudyError naming what is missing or stale.
    """
    study = config.load(ROOT / study_file)
    if not owner:
        raise StudyError("HUB_ORG: is missing; give a user or organisation of the Hub: make push HUB_ORG=your-name")
    chosen = slugs or [slug for slug, model in study.models.items() if not model.fine_tuned]
    for slug in chosen:
        if study.model(slug).fine_tuned:
            raise StudyError(f"{study_file}: models.{slug} came fine-tuned; upload a model that was trained here")
    paths = RunPaths.of(ROOT / study_file, run)
    pairs = [(slug, seed) for slug in chosen for seed in (seeds or study.seeds[:1])]
    return [_upload(study_file, study, paths, owner, *pair) for pair in pairs]


def preview(upload: Upload) -> str:
    """The upload, for a reader: the repository, its files with their sizes, the card."""
    files = "\n".join(f"  {name:24}{size(len(content)):>12}" for name, content in upload.files.items())
    return f"{_address(upload)} (a new repository is private)\n{files}\n\n{upload.files['README.md'].decode()}"


def _upload(study_file: str, study: config.Study, run: RunPaths, owner: str, slug: str, seed: int) -> Upload:
    """One model with its card, which lists all scored seeds."""
    repository = f"{owner}/{(ROOT / study_file).stem}-{slug}-seed-{seed}"
    hub.check_name(repository)
    scored = [other for other in study.seeds if other != seed and run.evaluation(slug, other).exists()]
    collected, _ = for_analysis(study_file, slug, " ".join(map(str, [seed, *scored])), str(run.folder))
    folder = run.checkpoint(slug, seed)
    checkpoints.check(folder)
    results.check_beside(run.training(slug, seed), collected.trainings[slug, seed], folder)
    model_type = json.loads((folder / "config.json").read_bytes()).get("model_type", "")
    text = card.render(collected, slug, seed, repository, model_type)
    paths = sorted({path for pattern in checkpoints.FILES for path in folder.glob(pattern)})
    return Upload(repository, {"README.md": text.encode()} | {path.name: path.read_bytes() for path in paths})


def _address(upload: Upload) -> str:
    return f"{constants.ENDPOINT}/{upload.repository}"


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Upload fine-tuned models to the Hub, or preview the upload.")
    parser.add_argument("study", help="demo, squad, or the path of a study file")
    parser.add_argument("--owner", default="", help="user or organisation on the Hub")
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", default=[], type=config.seed)
    parser.add_argument("--run", default="", help="folder of results, by default runs/<study>")
    parser.add_argument("--confirmed", action="store_true", help="upload; without it nothing is sent")
    options = parser.parse_args(arguments)
    if not sys.stderr.isatty():
        disable_progress_bars()
    uploads = prepare(str(find_study(options.study)), options.owner, options.models, options.seeds, options.run)
    for upload in uploads:
        if not options.confirmed:
            print(preview(upload))
        elif hub.upload(upload.repository, upload.files, "Weights, tokenizer and card from qa-tradeoffs"):
            print(f"{_address(upload)}: uploaded")
        else:
            print(f"{_address(upload)}: is up to date, nothing was sent")
    if not options.confirmed:
        print(f"Nothing was uploaded ({len(uploads)} to upload); repeat the command with CONFIRM=yes to upload")


if __name__ == "__main__":
    exit_cleanly(main)
