"""What a stage's result depends on, as a dict and as a digest; a result is stale if its digest has changed.

These are the stage's part of the study, the bytes of its data and checkpoint files, the code of its notebook and of all
modules that it imports, directly or indirectly, and the versions of the libraries that its numbers depend on. File
times are ignored, since copies and archives keep old ones.
"""

import ast
import importlib.metadata
import importlib.util
import json
import platform
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from qa_tradeoffs.core.documents import read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, RUNS, is_file, sha256_of, write_text
from qa_tradeoffs.data import folders
from qa_tradeoffs.study import config
from qa_tradeoffs.study.engines import KINDS

Stage = Literal["train", "evaluate", "profile"]

NOTEBOOKS: dict[str, Path] = {
    "train": ROOT / "notebooks" / "1-train.ipynb",
    "evaluate": ROOT / "notebooks" / "2-evaluate.ipynb",
    "profile": ROOT / "notebooks" / "3-profile.ipynb",
    "compare": ROOT / "notebooks" / "4-compare.ipynb",
    "analysis": ROOT / "notebooks" / "5-analysis.ipynb",
    "audit": ROOT / "notebooks" / "audit.ipynb",
    "anomaly": ROOT / "notebooks" / "anomaly.ipynb",
}
_READ = ("analysis", "audit", "anomaly")  # these display results: `report` is a part of their code
SOURCE = ROOT / "src" / "qa_tradeoffs"
PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy", "safetensors")
_DISPLAY = "report"  # this wing shows what a stage computed, and changes none of its results
_PATHS = ("train", "validation", "file", "path")  # keys of a study file that name files
_OF_A_CHECKPOINT = (".json", ".txt", ".model")  # files other than its weights
_DIGESTS = ROOT / RUNS / ".digests.json"
_LARGE = 2**20  # bytes; smaller files are hashed again each time


def of(study: config.Study, stage: Stage, slug: str, seed: int | None) -> dict[str, Any]:
    """Everything that the result of a stage of one model depends on, as plain JSON. Raises StudyError.

    An evaluation also depends on the inputs of its training, and a training on those of its teacher.
    """
    content = without_folders(config.stage_inputs(study, stage, slug)) | {
        "seed": seed,
        "code": code(stage),
        "files": {key: sha256(path) for key, path in files(study, slug).items()},
        "versions": versions(),
    }
    if stage == "evaluate" and not study.model(slug).fine_tuned:
        content["training"] = digest(study, "train", slug, seed)
    if stage == "train" and (teacher := study.model(slug).teacher):
        content["teacher"] = digest(study, "train", teacher, seed if seed is None else study.teacher_seed(slug, seed))
    return content | (_engine_versions(study.of(slug)) if stage == "evaluate" else {})


def digest(study: config.Study, stage: Stage, slug: str, seed: int | None) -> str:
    """SHA-256 of ``of``: a result with another digest is stale."""
    return config.digest(of(study, stage, slug, seed))


def of_comparison(study: config.Study, slugs: Sequence[str], seed: int) -> dict[str, Any]:
    """Everything that the comparison of these models, trained with ``seed``, depends on. Raises StudyError."""
    return {
        "models": {slug: without_folders(config.stage_inputs(study, "compare", slug)) for slug in slugs},
        "seed": seed,
        "code": code("compare"),
        "files": {key: sha256(path) for slug in slugs for key, path in files(study, slug).items()},
        "versions": versions(),
        "training": {slug: digest(study, "train", slug, seed) for slug in slugs if not study.model(slug).fine_tuned},
    } | _engine_versions(study)


def without_folders(content: dict[str, Any]) -> dict[str, Any]:
    """The content with paths reduced to file names: a study that is moved with its files stays the same."""
    nested = {key: without_folders(value) for key, value in content.items() if isinstance(value, dict)}
    named = {key: content[key] for key in _PATHS if isinstance(content.get(key), (str, list))}
    names = {
        key: [Path(path).name for path in ([paths] if isinstance(paths, str) else paths)]
        for key, paths in named.items()
    }
    return content | names | nested


def files(study: config.Study, slug: str) -> dict[str, Path]:
    """The data files of a study and the checkpoint files of a model on this machine, by their key in the study."""
    named: dict[str, Path] = {}
    for key in ("train", "validation", "file"):
        data_files = folders.files(getattr(study.data, key, None) or ())
        named |= {f"data.{key}[{i}]": path for i, path in enumerate(data_files)}
    folder = study.origin(slug).path
    there = [path for path in (sorted(folder.glob("*")) if folder else []) if is_file(path)]
    # Pickles are ignored if there are safetensors.
    weights = [p for p in there if p.suffix == ".safetensors"] or [p for p in there if p.match("pytorch_model*.bin")]
    read = [path for path in there if path.suffix in _OF_A_CHECKPOINT or path in weights]
    return named | {f"models.{slug}.path/{path.name}": path for path in read}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a number."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def _engine_versions(study: config.Study) -> dict[str, Any]:
    """Versions of other engines' libraries, None if not installed; empty without such engines."""
    libraries = sorted({library for name in study.other_engines for library in KINDS[name].libraries})
    installed = {name: importlib.util.find_spec(name) and importlib.metadata.version(name) for name in libraries}
    return {"engine_versions": installed} if installed else {}


@cache
def code(stage: str) -> str:
    """SHA-256 of a notebook's code and of the modules that it imports; of the wing ``report`` only for ``_READ``."""
    cells = code_cells(NOTEBOOKS[stage])
    modules = closure(_imported("\n".join(cells)), without=() if stage in _READ else (_DISPLAY,))
    return config.digest([cells, [[str(path.relative_to(SOURCE)), sha256_of(path)] for path in modules]])


def code_cells(notebook: Path) -> list[str]:
    """The notebook's code, without prose, outputs and the cell of parameters."""
    return _cells(notebook, "code")


def prose(notebook: Path) -> list[str]:
    """The notebook's text between cells of code."""
    return _cells(notebook, "markdown")


def _cells(notebook: Path, kind: str) -> list[str]:
    try:
        cells = [cell for cell in read_json(notebook)["cells"] if cell["cell_type"] == kind]
        return ["".join(cell["source"]) for cell in cells if "parameters" not in cell["metadata"].get("tags", ())]
    except (LookupError, TypeError, AttributeError):
        raise StudyError(f"{notebook}: is not a notebook") from None


def closure(modules: Iterable[Path], without: Iterable[str] = ()) -> list[Path]:
    """These source files and all that they import, sorted, except those of the wings ``without``."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = waiting.pop()
        if path not in found and path.relative_to(SOURCE).parts[0] not in without:
            found.add(path)
            waiting += _imported(path.read_text(encoding="utf-8"))
    return sorted(found)


@cache
def _imported(source: str) -> list[Path]:
    """Files of this package that the source imports anywhere."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    found = []
    for node in imports:
        if (node.module or "").split(".")[0] == SOURCE.name:
            at = SOURCE.joinpath(*(node.module or "").split(".")[1:])
            found += [at.with_suffix(".py"), *(at / f"{alias.name}.py" for alias in node.names)]
    # If a wing is imported whole, `from qa_tradeoffs import report`, only the modules that the code names.
    wings = {alias.name for node in imports if node.module == SOURCE.name for alias in node.names}
    found += [
        SOURCE / node.value.id / f"{node.attr}.py"
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in wings
    ]
    return [path for path in found if path.is_file()]


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes; a large file is read again only if its size, times or inode changed."""
    if not is_file(path) or (status := path.stat()).st_size < _LARGE:
        return sha256_of(path)
    signature = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    known = _digests()
    if known.get(str(path), [None])[:-1] != signature:
        known[str(path)] = [*signature, sha256_of(path)]
        write_text(_DIGESTS, json.dumps(known, indent=0))
    return str(known[str(path)][-1])


def recorded(path: Path) -> dict[str, Any]:
    """A JSON file's mapping; empty if it is missing or broken."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def _digests() -> dict[str, list[Any]]:
    """Path → size, times, inode and SHA-256, cached by earlier commands."""
    return recorded(_DIGESTS)
