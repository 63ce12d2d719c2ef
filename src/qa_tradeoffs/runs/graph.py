"""What make needs to know of a study: its models and seeds, and files that change only when a stage's inputs do.

python -m qa_tradeoffs.runs.graph studies/demo.yaml runs/demo > runs/demo/graph.mk
"""

import argparse
import json
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT, is_file, write_if_changed
from qa_tradeoffs.runs import inputs
from qa_tradeoffs.study import config, prices


def describe(study: config.Study, price_table: Path) -> str:
    """The study as make variables."""
    prices.of(study, prices.load(price_table))
    trained = [slug for slug, model in study.models.items() if not model.fine_tuned]
    names = [_followed(f"data.{key}", path) for key, path in inputs.data_files(study.data).items()]
    return "".join(
        f"{variable} := {' '.join(values)}\n"
        for variable, values in (
            ("STUDY_MODELS", list(study.models)),
            ("STUDY_TRAINED", trained),
            ("STUDY_SEEDS", [str(seed) for seed in study.seeds]),
            ("DATA_FILES", names),
            *(
                (f"FILES_{slug}", [_followed(f"models.{slug}.path", path) for path in inputs.model_files(model)])
                for slug, model in study.models.items()
                if model.path is not None
            ),
            *((f"{stage.upper()}_CODE", _code(stage)) for stage in inputs.CODE),
        )
    )


def _code(stage: inputs.Stage) -> list[str]:
    """A stage's source files as make knows them, from the repository's root."""
    return [str(file.relative_to(ROOT)) for file in inputs.code(stage)]


def _followed(key: str, path: Path) -> str:
    """The path as make can follow it. Raises StudyError, before any work is done, where there is no such file."""
    if not is_file(path):
        raise StudyError(f"{key}: there is no file {path}")
    if set(str(path)) & set(" \t\n#$%:;*?[]~\\"):
        raise StudyError(f"{key}: make cannot follow the path '{path}'; rename it to letters, digits and / . _ -")
    return str(path)


def write_stage_inputs(study: config.Study, run: Path) -> None:
    """One file per stage and model with what the stage depends on; untouched when that is what it already says."""
    for slug in study.models:
        for stage in inputs.CODE:
            content = config.stage_inputs(study, stage, slug) | {"code": inputs.CODE[stage]}
            write_if_changed(run / "stages" / f"{stage}-{slug}.json", json.dumps(content, indent=1))
    write_if_changed(run / "stages" / "analysis.json", study.model_dump_json(indent=1))


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Print a study's models and seeds as make variables.")
    parser.add_argument("study", type=Path)
    parser.add_argument("run", type=Path)
    options = parser.parse_args(arguments)
    study = config.load(options.study)
    text = describe(study, ROOT / "studies" / "prices.yaml")
    write_stage_inputs(study, options.run)
    print(text, end="")


if __name__ == "__main__":
    exit_cleanly(main)
