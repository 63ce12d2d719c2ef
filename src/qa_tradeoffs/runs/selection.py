"""The selection: make's variables, checked, as a study, models, seeds and a folder for results.

STUDY=demo SEEDS="0 1" python -m qa_tradeoffs.runs.selection    # check whether it can run
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.runs.paths import RunPaths, relative
from qa_tradeoffs.study import config, prices

_ALLOWED = {
    "STUDY": (r"[\w./+@-]*", "a name or a path, without blanks"),
    "MODELS": (r"[\w.\s-]*", "names of models, with blanks between them"),
    "SEEDS": (r"[\d\s]*", "whole numbers, with blanks between them"),
    "DEVICE": (r"[a-z]*", "cpu, cuda or auto"),
    "NPROC": (r"\d{0,9}", "a whole number"),
    "RUN": (r"[\w./+@-]*", "a path, without blanks"),
}


@dataclass(frozen=True)
class Selection:
    """The selected part of a study, and how to start its notebooks; ``study_file`` is relative to the repository.

    ``models``: including the teachers of those selected.
    ``launch``, ``launch_profile``: command prefixes for notebooks, for a cluster's scheduler; ``processes``: how many
    share a training, 0 for the study's number.
    """

    study_file: Path
    study: config.Study
    run: RunPaths
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    device: str = "auto"
    launch: str = ""
    launch_profile: str = ""
    processes: int = 0

    def seeds_of(self, slug: str) -> tuple[int, ...]:
        """The chosen seeds of a model; only one if it came fine-tuned."""
        return self.study.seeds_of(slug, self.seeds)


def selected(variables: Mapping[str, str]) -> Selection:
    """The selection in make's variables. Raises StudyError naming the variable."""
    values = {name: variables.get(name, "").strip() for name in (*_ALLOWED, "LAUNCH", "LAUNCH_PROFILE")}
    for name, (pattern, expected) in _ALLOWED.items():
        if not re.fullmatch(pattern, value := values[name]):
            raise StudyError(f"{name}: '{value}' is not a valid value; give {expected}")
    study_file, study = load_study(values["STUDY"])
    prices.of(study, prices.load(ROOT / "studies" / "prices.yaml"))
    models = _once("MODELS", values["MODELS"].split()) or list(study.models)
    if unknown := [slug for slug in models if slug not in study.models]:
        raise StudyError(f"MODELS: unknown model '{unknown[0]}'; {study_file} has {', '.join(study.models)}")
    needed = {teacher for slug in models for teacher in study.teachers(slug)} | set(models)
    models = [*models, *(slug for slug in study.models if slug in needed - set(models))]
    seeds = [config.seed(text) for text in _once("SEEDS", values["SEEDS"].split())] or list(study.seeds)
    _check_seeds(study, models, seeds)
    return Selection(
        study_file,
        study,
        RunPaths.of(ROOT / study_file, values["RUN"]),
        tuple(models),
        tuple(seeds),
        values["DEVICE"] or "auto",
        launch=values["LAUNCH"],
        launch_profile=values["LAUNCH_PROFILE"] or values["LAUNCH"],
        processes=int(values["NPROC"] or 0),
    )


def _check_seeds(study: config.Study, models: Sequence[str], seeds: Sequence[int]) -> None:
    """Refuse seeds that cannot run.

    All models are timed with the first seed, so each must have it. A student needs the seed of its teacher's run.
    """
    for slug in models:
        if seeds[0] not in study.seeds_of(slug, seeds):
            has = ", ".join(map(str, study.models[slug].seeds or ()))
            raise StudyError(f"SEEDS: models.{slug} has the seeds {has}; begin with one that every model has")
    for slug in models:
        teacher = study.models[slug].teacher
        for seed in study.seeds_of(slug, seeds) if teacher else ():
            if (needed := study.teacher_seed(slug, seed)) not in seeds:
                raise StudyError(f"SEEDS: {slug} with seed {seed} learns from seed {needed} of {teacher}; name it too")


def load_study(text: str) -> tuple[Path, config.Study]:
    """The study file, relative to the repository if inside, and its content. Raises StudyError."""
    study_file = find_study(text)
    return study_file, config.load(study_file if study_file.is_file() else ROOT / study_file)


def find_study(text: str) -> Path:
    """'demo' → studies/demo.yaml; another path as it is, relative to the repository if inside. Raises StudyError."""
    path = relative(Path(text if text.endswith((".yaml", ".yml")) else f"studies/{text}.yaml"))
    if not (ROOT / path).is_file():
        raise StudyError(f"STUDY: there is no file {path}; give demo, squad, or the path of a study file")
    return path


def _once(variable: str, names: Sequence[str]) -> Sequence[str]:
    if len(set(names)) < len(names):
        raise StudyError(f"{variable}: '{' '.join(names)}' has a duplicate; name each once")
    return names


def main() -> None:
    """Command line of this module. Raises StudyError."""
    selected(os.environ)


if __name__ == "__main__":
    exit_cleanly(main)
