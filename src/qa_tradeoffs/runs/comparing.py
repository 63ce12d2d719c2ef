"""Start and end of notebook 4: all trained models of a study on the device, and the result file."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import sources
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import checkpoints, devices
from qa_tradeoffs.profiling import outcomes, workloads, works
from qa_tradeoffs.profiling.side_by_side import Measured
from qa_tradeoffs.profiling.workloads import Setting
from qa_tradeoffs.runs import inputs, results, stage
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import config


@dataclass(frozen=True)
class Comparing:
    """The models of a study that are compared, each as trained with this ``seed``."""

    study_file: Path
    study: config.Study
    stages: Mapping[str, stage.Stage]
    seed: int

    @property
    def device(self) -> torch.device:
        """The device on which all of them are timed."""
        return next(iter(self.stages.values())).device

    @property
    def paths(self) -> RunPaths:
        """The paths of the results."""
        return next(iter(self.stages.values())).paths

    @property
    def splits(self) -> sources.Splits:
        """The study's questions, read once."""
        return next(iter(self.stages.values())).splits

    @cached_property
    def setting(self) -> Setting:
        """How they are timed: in the recipe's precision, on random inputs that are the same for every training seed."""
        return workloads.setting(self.study, self.device, 0)

    @cached_property
    def inputs(self) -> str:
        """Digest of everything that the result depends on."""
        return config.digest(inputs.of_comparison(self.study, list(self.stages), self.seed))

    def models(self) -> dict[str, works.Model]:
        """Every model with its networks, on the device; engines have loaded their files when this returns."""
        with tempfile.TemporaryDirectory(dir=self.paths.folder, prefix=".engines-") as folder:
            return {slug: self._model(job, Path(folder)) for slug, job in self.stages.items()}

    def _model(self, job: stage.Stage, folder: Path) -> works.Model:
        """One model. ``folder``: for this comparison's engine files; models may share a full-size network's."""
        network = checkpoints.load(job.trained_folder, grouped_matmul=job.model.grouped_matmul)
        large = folder / f"full-size-{network.config.model_type}"
        folders = {works.STUDY: evaluated_files(job) or folder / job.slug, works.FULL_SIZE: large}
        return works.of(job.study, job.model, job.trained_tokenizer, network, self.setting, folders)

    def collect(
        self, measured: Sequence[Measured], engines: Sequence[Record] = (), *, beside: Sequence[Path] = ()
    ) -> results.Comparison:
        """The measurements as the result file's content, with the records of ``engines``.

        ``beside``: files written with it.
        """
        provenance = results.OfStudy(
            study=self.study_file.name,
            study_sha256=hashlib.sha256(self.study_file.read_bytes()).hexdigest(),
            inputs_sha256=self.inputs,
            data_sha256=self.splits.fingerprint,
            data_revision=self.splits.revision,
            seed=self.seed,
            device=devices.describe(self.device),
            **results.software(),
        )
        return results.Comparison(
            models=tuple(self.stages),
            provenance=provenance,
            works=tuple(map(outcomes.side_by_side, measured)),
            records=(*engines, *(record for one in measured for record in outcomes.records(one))),
            notes=self.splits.notes,
            beside=results.fingerprints(beside[0].parent, *beside) if beside else {},
        )


def start(study: str, models: str = "", seed: int = 0, device_name: str = "auto", run: str = "") -> Comparing:
    """Open the comparison of a study's ``models``, separated by spaces; all of them if empty. Raises StudyError."""
    study_file = ROOT / study
    checked = config.load(study_file)
    slugs = models.split() or list(checked.models)
    return Comparing(
        study_file, checked, {s: stage.start("evaluate", study, s, seed, device_name, run) for s in slugs}, seed
    )


def evaluated_files(job: stage.Stage) -> Path | None:
    """The folder of the files that this evaluation's engines ran; None if they are stale."""
    assert job.seed is not None
    folder, engines = job.paths.engines(job.slug, job.seed), job.study.other_engines
    try:
        for path in (job.paths.evaluation(job.slug, job.seed, name) for name in engines):
            results.check_beside(path, results.read_fresh(path, job.inputs), folder)
    except StudyError:
        return None
    return folder if engines else None
