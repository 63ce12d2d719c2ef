"""The paths of all files of a study.

runs/<study>/                                   results of one study
    .study                                      the study file that they belong to
    rules.mk                                    make's rules for it
    <model>/seed-<seed>/checkpoint/             fine-tuned weights and tokenizer
    <model>/seed-<seed>/unfinished/             checkpoint from which an interrupted training resumes
    <model>/seed-<seed>/targets.npy                 its teacher's probabilities, until training is finished
    <model>/seed-<seed>/logits.{npy,json}           a teacher's logits of the training windows, and their inputs
    <model>/seed-<seed>/{training,evaluation}.json   result records
    <model>/seed-<seed>/{history,predictions}.parquet
    <model>/seed-<seed>/{evaluation-<engine>.json,predictions-<engine>.parquet}   of each engine other than torch
    <model>/seed-<seed>/engines/                    the trained network's files for those engines
    <model>/{profile.json,timings.parquet}
    comparison.json, calls.parquet              all models side by side, and the time of each call
    .../1-train.ipynb, 2-evaluate.ipynb, ...    executed notebooks, beside their results
    audit.ipynb, anomaly.ipynb                  executed notebooks on figures that belong to no study
    .../.1-train.inputs.json, ...               the inputs of each notebook
runs/.converted/                                safetensors made from pickles of all studies, by SHA-256
reports/<study>/index.html                      the report, with a page beside it for every further question
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, RUNS, write_text
from qa_tradeoffs.study.engines import REFERENCE


@dataclass(frozen=True)
class RunPaths:
    """The files of one study's run; ``folder`` is ``runs/<study>``."""

    folder: Path

    @classmethod
    def of(cls, study_file: Path, run: str = "") -> "RunPaths":
        """The folder ``run``, relative to the repository's root, or ``runs/<study name>``. Raises StudyError."""
        return cls(ROOT / (run or RUNS / study_name(study_file)))

    def claim(self, study_file: Path) -> None:
        """Record that the folder has this study's results. Raises StudyError if it has another study file's."""
        mine, note = str(relative(study_file.resolve())), self.folder / ".study"
        owner = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
        if owner not in ("", mine) and (ROOT / owner).is_file():
            raise StudyError(
                f"{relative(self.folder)}: has the results of {owner}, not of {mine}; "
                f"give RUN={RUNS}/another-name, or rename the study file"
            )
        if owner != mine:
            write_text(note, f"{mine}\n")

    def seed_folder(self, model: str, seed: int) -> Path:
        """The folder of one fine-tuning: a model with one seed."""
        return self.folder / model / f"seed-{seed}"

    def _of_seed(self, name: str, model: str, seed: int) -> Path:
        return self.seed_folder(model, seed) / name

    checkpoint = partialmethod(_of_seed, "checkpoint")  # fine-tuned weights (safetensors), config and tokenizer
    unfinished = partialmethod(_of_seed, "unfinished")  # checkpoints to resume from, removed when training is finished
    training = partialmethod(_of_seed, "training.json")  # records of one fine-tuning
    targets = partialmethod(_of_seed, "targets.npy")  # a teacher's probabilities, removed with `unfinished`
    logits = partialmethod(_of_seed, "logits.npy")  # a teacher's logits of the training windows
    history = partialmethod(_of_seed, "history.parquet")  # loss and learning rate, one row per logged step
    engines = partialmethod(_of_seed, "engines")  # files that engines write for the trained network

    def evaluation(self, model: str, seed: int, engine: str = REFERENCE) -> Path:
        """Records of one evaluation."""
        return self._of_seed(f"evaluation{_of(engine)}.json", model, seed)

    def predictions(self, model: str, seed: int, engine: str = REFERENCE) -> Path:
        """One row per question."""
        return self._of_seed(f"predictions{_of(engine)}.parquet", model, seed)

    def profile(self, model: str) -> Path:
        """Records of one model's timings and sizes."""
        return self.folder / model / "profile.json"

    def timings(self, model: str) -> Path:
        """Raw timings, one row per repeat."""
        return self.folder / model / "timings.parquet"

    @property
    def comparison(self) -> Path:
        """Interleaved timings of all models."""
        return self.folder / "comparison.json"

    @property
    def calls(self) -> Path:
        """The seconds of each call of the comparison, one row each."""
        return self.folder / "calls.parquet"

    def notebooks(self, model: str, seeds: Sequence[int], *, trained: bool) -> list[Path]:
        """The executed notebooks of one model, in order of execution."""
        names = ("1-train.ipynb", "2-evaluate.ipynb") if trained else ("2-evaluate.ipynb",)
        by_seed = [self.seed_folder(model, seed) / name for seed in seeds for name in names]
        return [*by_seed, self.folder / model / "3-profile.ipynb"]

    def page_name(self, notebook: Path) -> str:
        """File name of an executed notebook's page in the report: bert-seed-0-1-train.html."""
        return "-".join(notebook.relative_to(self.folder).with_suffix(".html").parts)


def _of(engine: str) -> str:
    """The suffix of an engine's file names."""
    return "" if engine == REFERENCE else f"-{engine}"


def study_name(study_file: Path) -> str:
    """'demo' for studies/demo.yaml; 'exp1-study' for exp1/study.yaml, as exp2 may have one. Raises StudyError."""
    path = study_file.resolve()
    if path.stem in ("", ".", ".."):
        raise StudyError(f"{study_file}: has no name for its results' folder; rename it")
    return path.stem if path.parent in (ROOT, ROOT / "studies") else f"{path.parent.name}-{path.stem}"


def relative(path: Path) -> Path:
    """The path relative to the repository's root, if it is inside."""
    return path.relative_to(ROOT) if path.is_absolute() and path.is_relative_to(ROOT) else path
