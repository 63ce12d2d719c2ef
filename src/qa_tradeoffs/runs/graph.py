"""The stages of a study as a graph: what each writes, what it waits for, and whether its result still stands."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ANOMALY, OWN_ANOMALY, ROOT, is_file, write_text
from qa_tradeoffs.runs import inputs
from qa_tradeoffs.runs.selection import Selection


@dataclass(frozen=True)
class Stage:
    """One stage of one model and seed (train, evaluate), of one model (profile), or of all (analysis).

    ``targets``: the files it writes, the executed notebook last. ``after``: the stages whose results it reads.
    """

    name: str
    selection: Selection
    targets: tuple[Path, ...]
    slug: str = ""
    seed: int | None = None
    after: tuple["Stage", ...] = field(default=(), repr=False)

    @property
    def notebook(self) -> Path:
        """The executed notebook."""
        return self.targets[-1]

    @property
    def record(self) -> Path:
        """The file beside the notebook that says from which inputs it was made."""
        return self.notebook.with_name(f".{self.notebook.stem}.inputs.json")

    @cached_property
    def stale(self) -> bool:
        """Whether it has to run: a file is missing, its inputs are others by now, or a stage before it has to run."""
        return self.missing or any(stage.stale for stage in self.after) or bool(self.changes())

    @property
    def missing(self) -> bool:
        """Whether one of its files is not there."""
        return not all(is_file(path) for path in self.targets)

    def changes(self) -> list[str]:
        """Names of the inputs that are others than those its result was made from."""
        before, now = recorded(self.record), self.inputs()
        return [key for key in now if before.get(key) != now[key]]

    def inputs(self) -> dict[str, Any]:
        """All that its result depends on, as plain JSON."""
        chosen = self.selection
        if self.name == "analysis":
            return _of_analysis(chosen, [path for stage in self.after for path in stage.targets[:1]])
        found = inputs.of(chosen.study, self.name, self.slug, self.seed)  # type: ignore[arg-type]
        if self.name == "profile":
            found["device"] = chosen.device
        if self.name == "evaluate" and self.after:
            found["weights"] = recorded(self.after[0].targets[0]).get("beside")
        return found

    def write_record(self, content: dict[str, Any]) -> None:
        """Record from which inputs the finished result was made."""
        write_text(self.record, json.dumps(content, indent=1))


def stages(chosen: Selection) -> Iterator[Stage]:
    """Every stage of the selection, each after those that it waits for; the analysis last."""
    found: list[Stage] = []
    for slug in chosen.models:
        for seed in chosen.seeds_of(slug):
            found += _of_seed(chosen, slug, seed)
    for slug in chosen.models:
        targets = (chosen.run.profile(slug), chosen.run.folder / slug / "3-profile.ipynb")
        found.append(Stage("profile", chosen, targets, slug))
    yield from found
    yield Stage("analysis", chosen, (chosen.run.folder / "4-analysis.ipynb",), after=tuple(found))


def find(chosen: Selection, name: str, notebook: Path) -> Stage:
    """The stage of this name that writes this executed notebook. Raises StudyError."""
    for stage in stages(chosen):
        if (stage.name, stage.notebook) == (name, notebook):
            return stage
    raise StudyError(f"{notebook}: is not where {name} of {chosen.study_file} writes its notebook")


def recorded(path: Path) -> dict[str, Any]:
    """A JSON file's content; nothing where it is missing or broken."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _of_seed(chosen: Selection, slug: str, seed: int) -> list[Stage]:
    """Training, but for a model that came fine-tuned, and evaluation."""
    run, folder = chosen.run, chosen.run.seed_folder(slug, seed)
    evaluated = (run.evaluation(slug, seed), folder / "2-evaluate.ipynb")
    if chosen.study.model(slug).fine_tuned:
        return [Stage("evaluate", chosen, evaluated, slug, seed)]
    train = Stage("train", chosen, (run.training(slug, seed), folder / "1-train.ipynb"), slug, seed)
    return [train, Stage("evaluate", chosen, evaluated, slug, seed, (train,))]


def _of_analysis(chosen: Selection, results: Sequence[Path]) -> dict[str, Any]:
    """Inputs of the analysis: the results, which name all that was written with them, and what it reads beside them."""
    markup = ROOT / "src" / "qa_tradeoffs" / "report" / "templates" / "parts.html"
    tables = [ROOT / "studies" / "prices.yaml", ROOT / "studies" / "published.yaml", ANOMALY, OWN_ANOMALY, markup]
    return {
        "study": inputs.without_folders(chosen.study.model_dump(mode="json")),
        "models": list(chosen.models),
        "seeds": list(chosen.seeds),
        "results": {str(path.relative_to(chosen.run.folder)): _if_there(path) for path in results},
        "tables": {str(path.relative_to(ROOT)): _if_there(path) for path in tables},
        "code": inputs.code("analysis"),
        "versions": inputs.versions(),
    }


def _if_there(path: Path) -> str | None:
    return inputs.sha256(path) if is_file(path) else None
