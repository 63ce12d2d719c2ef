"""The start of every notebook: the checked study, one of its models, the device, and the results' paths."""

import hashlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.core.locks import end_with_parent
from qa_tradeoffs.data import features, sources, splitting
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.metrics.records import Condition, Record
from qa_tradeoffs.models import allocator, checkpoints, devices, networks, precisions, tokenizers, trial, weights
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config


@dataclass(frozen=True)
class Stage:
    """One stage of one model of a study, with that model's recipe and, except for profiling, one seed."""

    name: inputs.Stage
    study_file: Path
    study: config.Study
    slug: str
    seed: int | None
    device: torch.device
    paths: RunPaths

    @property
    def model(self) -> config.Model:
        """The model's entry in the study file."""
        return self.study.model(self.slug)

    def summary(self) -> dict[str, Any]:
        """A description of this run, for a reader."""
        machine = devices.describe(self.device)
        return {
            "study": self.study.title,
            "model": self.model.label,
            "seed": self.seed,
            "device": f"{machine['name']}, {machine['threads']} threads, {machine['software']}",
            "precision": precisions.in_words(self.study.training.precision, self.device),
        }

    @cached_property
    def inputs(self) -> str:
        """Digest of everything that this stage's result depends on."""
        return inputs.digest(self.study, self.name, self.slug, self.seed)

    def precision(self, network: Any) -> str:
        """'fp32', 'bf16' or 'fp16': what the recipe's precision resolves to for this network on this device."""
        return precisions.chosen(self.study.training.precision, self.device, network)

    @cached_property
    def splits(self) -> sources.Splits:
        """The study's questions, read and checked once."""
        return sources.load(self.study.data)

    @cached_property
    def questions(self) -> tuple[list[Example], list[Example]]:
        """The training questions, and those that the recipe holds out for early stopping, if any."""
        n = self.study.training.early_stopping_questions
        if n is None:
            return self.splits.train, []
        return splitting.hold_out(self.splits.train, n, "training.early_stopping_questions")

    def windows(self, examples: Sequence[Example], tokenizer: Any) -> Windows | None:
        """The windows of these examples by the recipe; None if there are no examples."""
        recipe = self.study.training
        limits = recipe.max_length, recipe.stride, recipe.max_question_tokens
        return features.build(examples, tokenizer, *limits) if examples else None

    @cached_property
    def checkpoint(self) -> Path | None:
        """Folder of the checkpoint to start from; None for an architecture built from its config."""
        return checkpoints.locate(self.study.origin(self.slug))

    @cached_property
    def tokenizer(self) -> Any:
        """The checkpoint's tokenizer, or one whose vocabulary comes from the training split."""
        texts = (text for example in self.splits.train for text in (example.context, example.question))
        return tokenizers.load(self.model, self.checkpoint, texts)

    @cached_property
    def trained_tokenizer(self) -> Any:
        """The tokenizer saved with the trained weights."""
        return tokenizers.load(self.model, self.trained_folder, [])

    def untrained_network(self) -> Any:
        """The network before training: published or random weights, and a random answer head."""
        network = networks.load_network(self.model, self.checkpoint, len(self.tokenizer), self.seed or 0)
        return self._tried(network, self.tokenizer)

    def trained_network(self) -> Any:
        """The network with its trained weights."""
        network = checkpoints.load(self.trained_folder, grouped_matmul=self.model.grouped_matmul)
        checkpoints.check_vocabulary(network, len(self.trained_tokenizer), self.trained_folder)
        return self._tried(network, self.trained_tokenizer)

    def _tried(self, network: Any, tokenizer: Any) -> Any:
        """The network, after checking that it answers a question from its tokenizer and fits all inputs.

        That includes profiling's grids, so that nothing is trained whose profile would be refused.
        """
        trial.try_out(network, tokenizer, f"models.{self.slug}", self.precision(network))
        every = (*self.splits.train, *self.splits.validation, *self.splits.threshold)
        trial.check_windows(network, tokenizer, every, self.study.training)
        trial.check_grids(network, self.study.profile)
        return network

    def _warnings(self, precision: Condition) -> list[str]:
        """Warnings about the precision that this stage computed in."""
        requested, label = self.study.training.precision, self.model.label
        if precisions.emulated(requested, self.device):
            return [f"{label}: training.precision {requested} is {precisions.SLOWER}"]
        if precision == "fp32" and precisions.chosen(requested, self.device) == "bf16":
            return [f"{label}: computed in fp32, because its network cannot run in bf16"]
        return []

    @cached_property
    def trained_folder(self) -> Path:
        """The checkpoint to evaluate: written by training, or fine-tuned already. Raises StudyError if stale."""
        if self.model.fine_tuned:
            assert self.checkpoint is not None
            return self.checkpoint
        assert self.seed is not None
        wanted = inputs.digest(self.study, "train", self.slug, self.seed)
        path, folder = self.paths.training(self.slug, self.seed), self.paths.checkpoint(self.slug, self.seed)
        results.check_beside(path, results.read_fresh(path, wanted), folder)  # the weights belong to this result
        return folder

    def collect(
        self,
        rows: Sequence[Record | Mapping[str, Any]],
        *,
        beside: Sequence[Path] = (),
        **conditions: Condition,
    ) -> results.Results:
        """These rows as a result file's content, with this stage's provenance and the notes on the data.

        ``beside``: files and folders written with it; their digests are recorded and checked on reading.
        """
        spec, origin = self.model, self.study.origin(self.slug)
        provenance = results.Provenance(
            study=self.study_file.name,
            study_sha256=hashlib.sha256(self.study_file.read_bytes()).hexdigest(),
            inputs_sha256=self.inputs,
            data_sha256=self.splits.fingerprint,
            data_revision=self.splits.revision,
            seed=self.seed,
            checkpoint=_begins_with(spec, origin),
            revision=checkpoints.revision(origin, self.checkpoint),
            weights={path.name: inputs.sha256(path) for path in _safetensors(self.checkpoint)},
            converted=tuple(weights.conversions(self.checkpoint)) if self.checkpoint else (),
            device=devices.describe(self.device),
            **results.software(),
        )
        return results.Results(
            stage=self.name,
            model=self.slug,
            provenance=provenance,
            records=results.records(rows, **conditions),
            notes=(*self.splits.notes, *self._warnings(conditions.get("precision"))),
            beside=results.fingerprints(beside[0].parent, *beside) if beside else {},
        )


def _safetensors(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*.safetensors")) if folder else []


def _begins_with(spec: config.Model, origin: config.Model) -> str:
    """The checkpoint that a model starts from, in words; ``origin``: the model that it belongs to."""
    name = origin.hub or (origin.path.name if origin.path else f"{spec.architecture} from a config")
    if spec.init_from is None:
        return name
    return f"{spec.architecture} from layers {', '.join(map(str, spec.init_from.layers))} of {name}"


def start(
    name: inputs.Stage, study: str, model: str, seed: int | None = None, device_name: str = "auto", run: str = ""
) -> Stage:
    """Open a stage of ``study`` (a path, relative to the repository's root) for one of its models.

    ``run`` is the folder for results, by default ``runs/<name of the study file>``. Raises StudyError.
    """
    study_file = ROOT / study
    checked = config.load(study_file).of(model)
    if seed is not None and not 0 <= seed < 2**31:
        raise StudyError(f"seed: {seed} is not a seed; give a whole number from 0 to 2147483647")
    if progress.VARIABLE in os.environ:  # headless: an orphaned kernel would go unnoticed
        end_with_parent(signal.SIGKILL)
    devices.use_all_cores()
    allocator.keep_freed_memory()
    paths = RunPaths.of(study_file, run)
    paths.claim(study_file)
    return Stage(name, study_file, checked, model, seed, devices.choose(device_name), paths)
