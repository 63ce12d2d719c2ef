"""The stages of a study as a graph: outputs, dependencies and staleness."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from qa_tradeoffs.core.files import ANOMALY, IN_ENGINES, OWN_ANOMALY, REPORTS, ROOT, is_file, write_text
from qa_tradeoffs.runs import inputs
from qa_tradeoffs.runs.selection import Selection

_PUBLISHED = ROOT / "studies" / "published.yaml"
_MARKUP = inputs.SOURCE / "report" / "templates" / "parts.html"
MEASURED = ("train", "evaluate", "profile", "compare")  # these stages write result files


@dataclass(frozen=True)
class Step(ABC):
    """What make runs. ``targets``: the files it writes, the executed notebook last; ``after``: steps it waits for."""

    name: str
    targets: tuple[Path, ...]
    slug: str = ""
    seed: int | None = None
    after: tuple["Step", ...] = field(default=(), repr=False)

    @property
    def notebook(self) -> Path:
        """The executed notebook; for the report, its first page."""
        return self.targets[-1]

    @property
    def record(self) -> Path:
        """The file that records the inputs of the result."""
        return self.notebook.with_name(f".{self.notebook.stem}.inputs.json")

    @cached_property
    def stale(self) -> bool:
        """Whether it has to run: a file is missing, its inputs have changed, or a step before it is stale."""
        return self.missing or any(step.stale for step in self.after) or bool(self.changes())

    @property
    def missing(self) -> bool:
        """Whether any of its files is missing."""
        return not all(is_file(path) for path in self.targets)

    def changes(self) -> list[str]:
        """Names of the inputs that have changed since its result was made."""
        before, now = inputs.recorded(self.record), self.inputs()
        return [key for key in now if before.get(key) != now[key]]

    @abstractmethod
    def inputs(self) -> dict[str, Any]:
        """All that its result depends on, as plain JSON."""

    def write_record(self, content: dict[str, Any]) -> None:
        """Record from which inputs the finished result was made."""
        write_text(self.record, json.dumps(content, indent=1))


@dataclass(frozen=True)
class Stage(Step):
    """A step of a study: of one model and seed (train, evaluate), of one model (profile), or of all."""

    selection: Selection = field(kw_only=True)

    @property
    def record(self) -> Path:
        """The file that records its inputs; the report's is in the run's folder, though the report lies elsewhere."""
        return self.selection.run.folder / ".report.inputs.json" if self.name == "report" else super().record

    def changes(self) -> list[str]:
        """Names of the inputs that have changed; of a comparison of more models, only the selected count."""
        before, now = inputs.recorded(self.record), self.inputs()
        if self.name == "compare" and set(self.selection.models) <= set(before.get("models", ())):
            before = before | {key: _of_these(before.get(key), now[key]) for key in _BY_MODEL}
        return [key for key in now if before.get(key) != now[key]]

    def inputs(self) -> dict[str, Any]:
        """Everything that its result depends on, as plain JSON."""
        chosen = self.selection
        if self.name == "analysis":
            return _of_analysis(chosen, [step.targets[0] for step in self.after])
        if self.name == "compare":
            return _of_comparison(chosen, [step.targets[0] for step in self.after])
        if self.name == "report":
            return _of_report(stages(chosen)[:-1], chosen.run.folder)
        found = inputs.of(chosen.study, self.name, self.slug, self.seed)  # type: ignore[arg-type]
        if self.name == "profile":
            found["device"] = chosen.device
        if self.name in ("train", "evaluate") and self.after:  # its teacher's, or its own
            found["weights"] = inputs.recorded(self.after[0].targets[0]).get("beside")
        return found


@dataclass(frozen=True)
class Excursion(Step):
    """A notebook on figures that belong to no study: it waits for no stage, and no measurement makes it stale."""

    def inputs(self) -> dict[str, Any]:
        """The files it reads, and the words and the code that show them."""
        return _shown(self.name, EXCURSIONS[self.name])


# The files that each excursion reads.
EXCURSIONS: dict[str, tuple[Path, ...]] = {
    "audit": (_PUBLISHED,),
    "anomaly": (_PUBLISHED, ANOMALY, OWN_ANOMALY, IN_ENGINES),
}


# Inputs of the comparison with one entry per model: a comparison of more models is valid for a subset.
_BY_MODEL = ("models", "training", "files", "weights")


def _of_these(before: Any, now: dict[str, Any]) -> dict[str, Any]:
    """The entries of ``before`` whose keys are also in ``now``."""
    return {key: before[key] for key in now if key in before} if isinstance(before, dict) else {}


def stages(chosen: Selection) -> list[Step]:
    """Every step of the selection, each after its dependencies; the report comes last."""
    run, found, first = chosen.run, list[Step](), list[Step]()
    trainings: dict[tuple[str, int], tuple[Step, ...]] = {}
    for slug in _teachers_first(chosen):
        for seed in chosen.seeds_of(slug):
            folder, after = run.seed_folder(slug, seed), tuple[Step, ...]()
            model = chosen.study.model(slug)
            if not model.fine_tuned:
                theirs = model.teacher and (model.teacher, chosen.study.teacher_seed(slug, seed))
                taught = trainings.get(theirs, ()) if theirs else ()
                targets = (run.training(slug, seed), folder / "1-train.ipynb")
                after = trainings[slug, seed] = (Stage("train", targets, slug, seed, taught, selection=chosen),)
            targets = (run.evaluation(slug, seed), folder / "2-evaluate.ipynb")
            found += [*after, Stage("evaluate", targets, slug, seed, after, selection=chosen)]
            first += after if seed == chosen.seeds[0] else ()
    for slug in chosen.models:
        targets = (run.profile(slug), run.folder / slug / "3-profile.ipynb")
        found.append(Stage("profile", targets, slug, selection=chosen))
    targets = (run.comparison, run.folder / "4-compare.ipynb")
    found.append(Stage("compare", targets, after=tuple(first), selection=chosen))
    analysis = Stage("analysis", (run.folder / "5-analysis.ipynb",), after=tuple(found), selection=chosen)
    shown = (analysis, *(Excursion(name, (run.folder / f"{name}.ipynb",)) for name in EXCURSIONS))
    page = ROOT / REPORTS / run.folder.name / "index.html"
    return [*found, *shown, Stage("report", (page,), after=shown, selection=chosen)]


def _teachers_first(chosen: Selection) -> list[str]:
    """The models in their order, but each after its teachers."""
    order: dict[str, None] = {}
    for slug in chosen.models:
        order |= dict.fromkeys([*reversed(chosen.study.teachers(slug)), slug])
    return list(order)


def _of_comparison(chosen: Selection, trainings: Sequence[Path]) -> dict[str, Any]:
    """Inputs of the comparison: the inputs of its result file, the device, and the weights that it loads."""
    weights = {str(path.relative_to(chosen.run.folder)): inputs.recorded(path).get("beside") for path in trainings}
    return inputs.of_comparison(chosen.study, chosen.models, chosen.seeds[0]) | {
        "device": chosen.device,
        "weights": weights,
    }


def _of_analysis(chosen: Selection, results: Sequence[Path]) -> dict[str, Any]:
    """Inputs of the analysis: the results, which name all files written with them, and everything else it reads."""
    study = chosen.study.model_dump(mode="json", exclude={"publish_texts"})
    return {
        "study": inputs.without_folders(study),
        "models": list(chosen.models),
        "seeds": list(chosen.seeds),
        "results": _digests(results, chosen.run.folder),
    } | _shown("analysis", (ROOT / "studies" / "prices.yaml", _PUBLISHED))


def _shown(name: str, tables: Sequence[Path]) -> dict[str, Any]:
    """Inputs of a notebook whose pages show results: the tables it reads, its code and its prose."""
    return {
        "tables": _digests([*tables, _MARKUP], ROOT),
        "code": inputs.code(name),
        "prose": inputs.prose(inputs.NOTEBOOKS[name]),
        "versions": inputs.versions(),
    }


def _of_report(steps: Sequence[Step], folder: Path) -> dict[str, Any]:
    """Inputs of the report: the executed notebooks, the code that renders them, and its templates."""
    wing = inputs.SOURCE / "report"
    return {
        "notebooks": _digests([step.notebook for step in steps], folder),
        "code": _digests([*inputs.closure([wing / "pages.py"]), *sorted((wing / "templates").glob("*"))], ROOT),
    }


def _digests(paths: Sequence[Path], folder: Path) -> dict[str, str | None]:
    """SHA-256 of each file by its path relative to ``folder``; None if it does not exist."""
    return {str(path.relative_to(folder)): inputs.sha256(path) if is_file(path) else None for path in paths}
