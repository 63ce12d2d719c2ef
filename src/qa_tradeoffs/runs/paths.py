"""Where every file of a study lies.

runs/<study>/                                   results of one study
    .study                                      the study file that they are of
    rules.mk                                    what make runs for it
    <model>/seed-<seed>/checkpoint/             fine-tuned weights and tokenizer
    <model>/seed-<seed>/unfinished/             what an interrupted training resumes from
    <model>/seed-<seed>/targets.npy                 what its teacher adds to the labels, likewise
    <model>/seed-<seed>/logits.{npy,json}           a teacher's logits of the training windows, and what they are of
    <model>/seed-<seed>/{training,evaluation}.json   result records
    <model>/seed-<seed>/{history,predictions}.parquet
    <model>/seed-<seed>/{evaluation-<engine>.json,predictions-<engine>.parquet}   of each engine beside torch
    <model>/seed-<seed>/engines/                    the trained network as those engines run it
    <model>/{profile.json,timings.parquet}
    comparison.json, calls.parquet              all models side by side, and the time of each of their calls
    .../1-train.ipynb, 2-evaluate.ipynb, ...    executed notebooks, beside what they wrote
    audit.ipynb, anomaly.ipynb                  executed notebooks on figures that belong to no study
    .../.1-train.inputs.json, ...               from which inputs each was made
runs/.converted/                                weights that came as pickles, as safetensors, by SHA-256; of all studies
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
        """The folder ``run``, relative to the repository's root, or ``runs/<name of the study>``. Raises StudyError."""
        return cls(ROOT / (run or RUNS / study_name(study_file)))

    def claim(self, study_file: Path) -> None:
        """Note that the folder holds this study's results. Raises StudyError where it holds those of another file."""
        mine, note = str(relative(study_file.resolve())), self.folder / ".study"
        owner = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
        if owner not in ("", mine) and (ROOT / owner).is_file():
            raise StudyError(
                f"{relative(self.folder)}: holds the results of {owner}, not of {mine}; "
                f"give RUN={RUNS}/another-name, or rename the study file"
            )
        if owner != mine:
            write_text(note, f"{mine}\n")

    def seed_folder(self, model: str, seed: int) -> Path:
        """Folder of one fine-tuning: a model with one seed."""
        return self.folder / model / f"seed-{seed}"

    def _of_seed(self, name: str, model: str, seed: int) -> Path:
        return self.seed_folder(model, seed) / name

    checkpoint = partialmethod(_of_seed, "checkpoint")  # fine-tuned weights (safetensors), config and tokenizer
    unfinished = partialmethod(_of_seed, "unfinished")  # checkpoints to resume from, until the fine-tuning is finished
    training = partialmethod(_of_seed, "training.json")  # records of one fine-tuning
    targets = partialmethod(
        _of_seed, "targets.npy"
    )  # what a teacher adds to the labels, as long as `unfinished` is there
    logits = partialmethod(_of_seed, "logits.npy")  # of the training windows, of a model that teaches others
    history = partialmethod(_of_seed, "history.parquet")  # loss and learning rate, one row per logged step
    engines = partialmethod(_of_seed, "engines")  # files that engines make of the trained network

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
        """What was timed of all models in turn."""
        return self.folder / "comparison.json"

    @property
    def calls(self) -> Path:
        """The seconds of each call that is in the comparison, a row each."""
        return self.folder / "calls.parquet"

    def notebooks(self, model: str, seeds: Sequence[int], *, trained: bool) -> list[Path]:
        """The executed notebooks of one model, in the order in which they ran."""
        names = ("1-train.ipynb", "2-evaluate.ipynb") if trained else ("2-evaluate.ipynb",)
        by_seed = [self.seed_folder(model, seed) / name for seed in seeds for name in names]
        return [*by_seed, self.folder / model / "3-profile.ipynb"]

    def page_name(self, notebook: Path) -> str:
        """File name of an executed notebook's page in the report: bert-seed-0-1-train.html."""
        return "-".join(notebook.relative_to(self.folder).with_suffix(".html").parts)


def _of(engine: str) -> str:
    """How the name of an engine's file goes on."""
    return "" if engine == REFERENCE else f"-{engine}"


def study_name(study_file: Path) -> str:
    """'demo' for studies/demo.yaml; 'exp1-study' for exp1/study.yaml, so that exp2/study.yaml is another study."""
    path = study_file.resolve()
    if path.stem in ("", ".", ".."):
        raise StudyError(f"{study_file}: results are named after a study file, and this has no name; rename it")
    return path.stem if path.parent in (ROOT, ROOT / "studies") else f"{path.parent.name}-{path.stem}"


def relative(path: Path) -> Path:
    """The path from the repository's root, where it lies in there."""
    return path.relative_to(ROOT) if path.is_absolute() and path.is_relative_to(ROOT) else path
