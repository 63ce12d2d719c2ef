"""The README's tables, from the committed result files: python -m benchmarks.readme"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks import aa, demo, engines, record
from benchmarks.__main__ import ENGINES, GROWTH, ROWS
from qa_tradeoffs.analysis.anomaly import explanation
from qa_tradeoffs.core.files import ROOT, write_text
from qa_tradeoffs.core.words import parameters, points, seconds, usd
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.publish import snapshot
from qa_tradeoffs.report import anomaly
from qa_tradeoffs.runs import forecast, plan
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.selection import Selection
from qa_tradeoffs.study import config

README = ROOT / "README.md"
PUBLISHED = ROOT / "reports" / "published"
_NOT_YET = "No run of this version is committed yet."


def filled(text: str) -> str:
    """The README with what stands between ``<!-- name -->`` and ``<!-- end -->`` made anew."""
    tables = {
        "published": _published,
        "anomaly": _anomaly,
        "aa": _aa,
        "speed": _speed,
        "engines": _engines,
        "demo": _demo,
        "plan": _plan,
        "graph": _graph,
    }
    for name, make in tables.items():
        begin = text.index(f"<!-- {name} -->\n") + len(f"<!-- {name} -->\n")
        text = f"{text[:begin]}{make()}\n{text[text.index('<!-- end -->', begin) :]}"
    return text


def _published() -> str:
    found = {path.parent.name: snapshot.read(path) for path in sorted(PUBLISHED.glob(f"*/{snapshot.SUMMARY}"))}
    return "\n\n".join(_snapshot(*item) for item in found.items()) or "No report is published yet."


def _snapshot(name: str, summary: snapshot.Summary) -> str:
    """What was studied, the link to the report, its answer, its first chart, and the table of its models."""
    machine, folder = summary.origin.device, f"reports/published/{name}"
    code = (summary.origin.git_commit or "no git")[:10] + (" and edits" if summary.origin.git_dirty else "")
    where = f"{machine['name']}, {machine['threads']} threads; code {code}"
    link = f"[{summary.title}]({folder}/index.html) ({where}; costs at the price of {summary.price})."
    chart = f"![{summary.chart}]({folder}/{snapshot.CHART})"
    table = _markdown(pd.DataFrame(map(_row, summary.models)))
    return "\n\n".join([f"{link} {summary.kind}", *summary.answer, chart, summary.caption, table])


def _row(model: snapshot.Model) -> dict[str, str]:
    """One model's main figures as a reader sees them."""
    million = model.find("million_usd")
    trained, spent = model.find("train_seconds"), model.find("train_usd")
    return {
        "model": model.label,
        "parameters": parameters(model.find("parameters")[0].value),
        "EM": _points(*model.find("exact_match")),
        "F1": _points(*model.find("f1")),
        "one question": seconds(model.find("question_seconds")[0].value),
        "fine-tuning": seconds(trained[0].value) if trained else "not trained",
        "fine-tuning, USD": usd(spent[0].value, spent[-1].value) if spent else "not trained",
        "a million questions, USD": usd(million[0].value, million[-1].value),
    }


def _points(record: Record) -> str:
    return points(record.value, *record.bounds)


def _anomaly() -> str:
    explained = explanation(own=Path("not here"))
    tables = anomaly.answer(explained), anomaly.variants_table(explained.variants), anomaly.aims_table(explained.aims)
    return "\n\n".join(_markdown(table.cells) for table in tables)


def _aa() -> str:
    return _measured(aa.STORED, aa.table)


def _speed() -> str:
    """The rows in the order in which `make bench` measures them, and where they were measured."""
    compared = (record.STORED / f"{name}.json" for name in ROWS if name not in (GROWTH, ENGINES))
    found = [record.read(path) for path in compared if path.is_file()]
    return f"{record.table(found)}\n\nMeasured on {record.origins(found)}." if found else _NOT_YET


def _engines() -> str:
    """Every model in every engine, and where that was measured: ratios hang on the processor's instructions."""
    if not (stored := record.STORED / f"{ENGINES}.json").is_file():
        return _NOT_YET
    found = record.read(stored)
    software = found.origin.device["software"]
    return f"{engines.table(found.records)}\n\nMeasured on {record.origins([found])} ({software})."


def _measured(stored: Path, table: Callable[[record.Benchmarks], str]) -> str:
    """The table of a result file; a sentence while no run of this version is committed."""
    return table(record.read(stored)) if stored.is_file() else _NOT_YET


def _plan() -> str:
    """What the command above it prints: the study of SQuAD with 20 models and 5 seeds, at the original's rate."""
    return "\n".join(["```", *_forecast(copies=5, seeds=range(5)), "```"])


def _graph() -> str:
    """What the study of SQuAD as it is takes at that rate: its notebooks, its hours and its cost."""
    kept = [line for line in _forecast(copies=1, seeds=range(3)) if line.startswith(("studies", "in all", "one after"))]
    return "\n".join(["```", *kept, "```"])


def _forecast(copies: int, seeds: Sequence[int]) -> list[str]:
    study = config.load(ROOT / "studies" / "squad.yaml").model_copy(update={"price": "gcp-p100"})
    nothing = RunPaths(ROOT / "not here")
    chosen = Selection(Path("studies/squad.yaml"), study, nothing, tuple(study.models), tuple(seeds))
    return plan.lines(chosen, *forecast.forecast(chosen, tflops=5.2), copies)


def _demo() -> str:
    return demo.table(record.read(demo.STORED).records)


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


if __name__ == "__main__":
    write_text(README, filled(README.read_text(encoding="utf-8")))
