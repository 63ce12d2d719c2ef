"""What of a study is asked for: make's variables, checked, as a study, models, seeds and a folder of results."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.runs.paths import RunPaths, relative
from qa_tradeoffs.study import config, prices

_ALLOWED = {
    "STUDY": r"[\w./+@-]*",
    "MODELS": r"[\w.\s-]*",
    "SEEDS": r"[\d\s]*",
    "DEVICE": r"[a-z]*",
    "NPROC": r"\d*",
    "RUN": r"[\w./-]*",
}


@dataclass(frozen=True)
class Selection:
    """What of a study is asked for, and on which device it runs; ``study_file`` is relative to the repository."""

    study_file: Path
    study: config.Study
    run: RunPaths
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    device: str = "auto"

    def seeds_of(self, slug: str) -> tuple[int, ...]:
        """A model that came fine-tuned is not trained, and is evaluated once."""
        return self.seeds[:1] if self.study.model(slug).fine_tuned else self.seeds


@dataclass(frozen=True)
class Launch:
    """How notebooks are started: commands in front of each, for a cluster's scheduler, and processes per training."""

    every: str = ""
    profile: str = ""
    processes: str = ""

    @property
    def side_by_side(self) -> bool:
        """Whether several notebooks may run at once: on one machine they would measure each other."""
        return bool(self.every)


def selected(variables: Mapping[str, str]) -> Selection:
    """The study, models and seeds that the variables name. Raises StudyError naming the variable."""
    values = _checked(variables)
    study_file = find_study(values["STUDY"])
    study = config.load(study_file if study_file.is_file() else ROOT / study_file)
    prices.of(study, prices.load(ROOT / "studies" / "prices.yaml"))
    models = _once("MODELS", values["MODELS"].split()) or list(study.models)
    if unknown := [slug for slug in models if slug not in study.models]:
        raise StudyError(f"MODELS: there is no model '{unknown[0]}' in {study_file}; it has {', '.join(study.models)}")
    seeds = [config.seed(text) for text in _once("SEEDS", values["SEEDS"].split())] or list(study.seeds)
    run = RunPaths.of(ROOT / study_file, values["RUN"])
    return Selection(study_file, study, run, tuple(models), tuple(seeds), values["DEVICE"] or "auto")


def launched(variables: Mapping[str, str]) -> Launch:
    """How the variables say that notebooks are started."""
    every = variables.get("LAUNCH", "").strip()
    return Launch(every, variables.get("LAUNCH_PROFILE", "").strip() or every, _checked(variables)["NPROC"])


def _checked(variables: Mapping[str, str]) -> dict[str, str]:
    """Their values without blanks around them; characters that are in no name or number are refused."""
    values = {name: variables.get(name, "").strip() for name in _ALLOWED}
    for name, value in values.items():
        if not re.fullmatch(_ALLOWED[name], value):
            raise StudyError(f"{name}: '{value}' is not a value for it; STUDY, MODELS, SEEDS are names and numbers")
    return values


def find_study(text: str) -> Path:
    """'demo' → studies/demo.yaml; the path of a study file as it is, relative to the repository if it is in there."""
    path = relative(Path(text if text.endswith((".yaml", ".yml")) else f"studies/{text}.yaml"))
    if not (ROOT / path).is_file():
        raise StudyError(f"STUDY: there is no file {path}; give demo, squad, or the path of a study file")
    return path


def _once(variable: str, names: Sequence[str]) -> Sequence[str]:
    if len(set(names)) < len(names):
        raise StudyError(f"{variable}: '{' '.join(names)}' names one twice; name each once")
    return names
