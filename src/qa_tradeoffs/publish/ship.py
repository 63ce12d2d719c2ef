"""Folders for deployment: a model's exported network, its tokenizer and settings, and its measured figures.

python -m qa_tradeoffs.publish.ship demo --engine onnxruntime-int8 --models bert
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qa_tradeoffs.analysis import engines
from qa_tradeoffs.analysis.collected import Collected, for_analysis
from qa_tradeoffs.core import words
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT, make_folder, write_text
from qa_tradeoffs.engines import shipped
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import checkpoints, inputs, tokenizers
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.paths import RunPaths, relative
from qa_tradeoffs.runs.selection import find_study
from qa_tradeoffs.study import config
from qa_tradeoffs.study.engines import point

EXPORTS = ROOT / "exports"
_HOW = ("precision", "quantisation")  # among the conditions of an engine's scores


def ship(collected: Collected, run: RunPaths, slug: str, engine: str, folder: Path) -> Path:
    """Write a model's first seed in an engine to ``folder``/<model>-<engine>, replacing what is there; return the path.

    Raises StudyError if the engine has no file or no result.
    """
    if engine not in (known := collected.study.of(slug).engines):
        raise StudyError(f"ENGINE: '{engine}' is not an engine of {slug}; it has {', '.join(known)}")
    row, seed = engines.row(collected, slug, engine), collected.seeds[0]
    if row["reason"]:
        raise StudyError(f"ENGINE: {slug} has no result to export: {row['reason']}")
    path, file = run.evaluation(slug, seed, engine), run.engines(slug, seed) / f"{engine}.onnx"
    found = results.read(path)
    if f"{file.parent.name}/{file.name}" not in found.beside:
        raise StudyError(f"ENGINE: {engine} runs the checkpoint itself; choose onnxruntime or onnxruntime-int8")
    results.check_beside(path, found, file)
    spec = collected.study.model(slug)
    trained = checkpoints.locate(spec) if spec.fine_tuned else run.checkpoint(slug, seed)
    assert trained is not None
    tokenizer, reads = tokenizers.load(spec, trained, []), inputs.of(checkpoints.load(trained))
    how = {key: str(value) for key, value in found.find("f1").conditions.items() if key in _HOW}
    make_folder(folder)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        new, target = Path(temporary, "new"), folder / point(slug, engine).replace(" ", "-")
        tokenizer.save_pretrained(new)
        shutil.copyfile(trained / "config.json", new / "config.json")
        shutil.copyfile(file, new / shipped.NETWORK)
        shipped.write(new, engine, reads, tokenizer.pad_token_id, Reading.of(collected.study.of(slug)), how)
        write_text(new / "README.md", _readme(collected, found, row, target.name))
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)
    return target


def _readme(collected: Collected, found: results.Results, row: Mapping[str, Any], name: str) -> str:
    """The README of a folder: the model's measured figures, and how to ask it."""
    device, how = collected.comparison.provenance.device, found.find("f1").conditions
    times = "{} ({} to {})".format(*(words.plain(row[f"times{end}"]) for end in ("", "_low", "_high")))
    gap = "{} ({} to {})".format(*(words.signed(row[key]) for key in ("f1_difference", "low", "high")))
    scores = f"exact match {_points(found.find('exact_match'))}, F1 {_points(found.find('f1'))}"
    n, changed = words.counted(found.find("f1").n, "question"), f"{row['differing']:,} of {row['answers']:,} answers"
    facts = [
        f"{scores} on {n} that it was not trained on, with 95 % intervals over questions",
        f"against the same weights in torch: F1 {gap} points, {changed} changed",
        f"a question alone is answered {times} times as fast as in torch, by the network that was trained, on "
        f"{device['name']} ({device['software']}), {device['threads']} threads",
        "; ".join([words.size(row["bytes"]), *(f"{key}: {how[key]}" for key in (*_HOW, "onnxruntime") if key in how)]),
    ]
    return _README.format(
        model=row["model"], engine=row["engine"], title=collected.study.title, seed=found.provenance.seed,
        facts="\n".join(f"- {fact}." for fact in facts), name=name,
    )  # fmt: skip


_README = """# {model} in {engine}

From the study "{title}", training seed {seed}.

{facts}

Ask it where qa-tradeoffs is installed; torch is not needed:

```sh
python -m qa_tradeoffs.answer --checkpoint {name} --context text.txt "Who?"
```
"""


def _points(record: Record) -> str:
    return words.points(record.value, *record.bounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this module: prints the folders that it wrote."""
    parser = argparse.ArgumentParser(description="Export trained models into folders that can be shipped.")
    parser.add_argument("study", help="demo, squad, or the path of a study file")
    parser.add_argument("--engine", default="onnxruntime-int8")
    parser.add_argument("--models", nargs="*", default=[], help="default: all of the study")
    parser.add_argument("--run", default="", help="folder of results, by default runs/<study>")
    options = parser.parse_args(arguments)
    study_file = find_study(options.study)
    study = config.load(ROOT / study_file)
    for slug in options.models or study.models:
        # The first seed is fixed before any result is known, so it is not selected for its score.
        collected, run = for_analysis(str(study_file), slug, str(study.seeds[0]), options.run)
        print(relative(ship(collected, run, slug, options.engine, EXPORTS / run.folder.name)))


if __name__ == "__main__":
    exit_cleanly(main)
