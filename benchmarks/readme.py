"""The tables of README.md and docs/, from the committed result files.

python -m benchmarks.readme              # of every page
python -m benchmarks.readme README.md    # of the pages named
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks import aa, demo, engines, record
from benchmarks.__main__ import ENGINES, GROWTH, ROWS
from qa_tradeoffs.analysis.anomaly import explanation
from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.core.files import ROOT, write_text
from qa_tradeoffs.core.words import parameters, points, seconds, usd
from qa_tradeoffs.publish import snapshot
from qa_tradeoffs.report import anomaly, display
from qa_tradeoffs.runs import forecast, plan
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.selection import Selection
from qa_tradeoffs.study import config
from qa_tradeoffs.study.engines import LABELS, REFERENCE

PUBLISHED = ROOT / "reports" / "published"
# P100: from BERT's training hours in 2021, which is 56 % of its peak in fp32; other GPUs: 56 % of their peaks.
_TFLOPS = {"gcp-p100": 5.2, "gcp-t4": 4.5, "h100-specialist": 37.0}
_NOT_YET = "No run of this version is committed yet."
_EMPTY = "An empty cell: the model was not run in that engine, or differs from an exported one only in its computation."


def filled(text: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """The page with every block, the text between ``<!-- name -->`` and ``<!-- end -->``, made anew."""
    for name, make in blocks.items():
        begin = text.index(f"<!-- {name} -->\n") + len(f"<!-- {name} -->\n")
        text = f"{text[:begin]}{make()}\n{text[text.index('<!-- end -->', begin) :]}"
    return text


def _published() -> str:
    found = {path.parent.name: snapshot.read(path) for path in sorted(PUBLISHED.glob(f"*/{snapshot.SUMMARY}"))}
    return "\n\n".join(_snapshot(*item) for item in found.items()) or "No report is published yet."


def _snapshot(name: str, summary: snapshot.Summary) -> str:
    """The link to the report, its answer and first chart, and each model's score and time in each engine."""
    machine, folder = summary.origin.device, f"reports/published/{name}"
    where = f"{machine['name']}, {machine['threads']} threads; price: {summary.price}"
    link = f"**[{summary.title}]({folder}/index.html)** ({where})"
    chart = f"![F1 against the time of one question; the table below has the figures]({folder}/{snapshot.CHART})"
    seeds = pd.Series([int(f1.conditions["seeds"] or 1) for model in summary.models for f1 in model.find("f1")])
    over = display.covered("questions", seeds)
    how_to_read = f"Each cell: F1 with its 95 % interval over {over}, then the time of one question. {_EMPTY}"
    return "\n\n".join([link, *summary.answer, chart, _markdown(_models(summary.models)), how_to_read])


def _models(models: Sequence[snapshot.Model]) -> pd.DataFrame:
    """A row per model, a column per engine with F1 and the time of one question, and the cheapest and dearest USD."""
    rows = dict[str, dict[str, str]]()
    usds = dict[str, list[float]]()
    for model in models:
        label, engine = _parted(model.label)
        (size,), (f1,), (asked,) = (model.find(name) for name in ("parameters", "f1", "question_seconds"))
        row = rows.setdefault(label, {"model": label, "parameters": parameters(size.value)})
        row[LABELS[engine]] = f"{points(f1.value, *f1.bounds)}<br>{seconds(asked.value)}"
        usds.setdefault(label, []).extend(record.value for record in model.find("million_usd"))
    dollars = pd.Series({label: usd(min(found), max(found)) for label, found in usds.items()})
    table = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    return table.assign(**{"a million questions, USD": dollars})


def _parted(label: str) -> tuple[str, str]:
    """The model and the engine of a label such as 'BERT (int8)'; torch is not named."""
    for engine, name in LABELS.items():
        if label.endswith(f" ({name})"):
            return label.removesuffix(f" ({name})"), engine
    return label, REFERENCE


def _anomaly() -> str:
    explained = explanation(own=Path("not here"))
    tables = anomaly.measured(explained), anomaly.variants_table(explained.variants), anomaly.aims_table(explained.aims)
    return "\n\n".join(_markdown(table.cells) for table in tables)


def _aa() -> str:
    return _measured(aa.STORED, aa.table)


def _speed() -> str:
    """The rows in the order in which `make bench` measures them, and where they were measured."""
    compared = (record.STORED / f"{name}.json" for name in ROWS if name not in (GROWTH, ENGINES))
    found = [record.read(path) for path in compared if path.is_file()]
    return f"{record.table(found)}\n\nMeasured: {record.origins(found)}." if found else _NOT_YET


def _engines() -> str:
    """Every model in every engine, and where that was measured: ratios depend on the processor's instructions."""
    if not (stored := record.STORED / f"{ENGINES}.json").is_file():
        return _NOT_YET
    found = record.read(stored)
    machine = f"{found.origin.device['name']} ({found.origin.device['software']})"
    return f"{engines.table(found.records)}\n\nMeasured on {machine}: {record.origins([found])}."


def _measured(stored: Path, table: Callable[[record.Benchmarks], str]) -> str:
    """The table of a result file; a sentence if no run of this version is committed."""
    return table(record.read(stored)) if stored.is_file() else _NOT_YET


def _plan() -> str:
    """What the command above the block prints: the forecast for SQuAD at the rate of the original's P100."""
    return "\n".join(["```", *_forecast("gcp-p100", _TFLOPS["gcp-p100"]), "```"])


def _gpus() -> str:
    """The device hours and cost of the same study on three GPUs, each named by its row of prices."""
    rows = []
    for price, tflops in _TFLOPS.items():
        (line,) = (line for line in _forecast(price, tflops) if line.startswith("in all"))
        hours, cost = line.split(": ", 1)[1].split(" device hours, ")
        cost = cost.split(" (")[0]
        rows.append({"price": f"`{price}`", "TFLOP/s": f"{tflops:g}", "device hours": hours, "cost": cost})
    return _markdown(pd.DataFrame(rows))


def _forecast(price: str, tflops: float) -> list[str]:
    study = config.load(ROOT / "studies" / "squad.yaml").model_copy(update={"price": price})
    nothing = RunPaths(ROOT / "not here")
    chosen = Selection(Path("studies/squad.yaml"), study, nothing, tuple(study.models), study.seeds)
    return plan.lines(chosen, *forecast.forecast(chosen, tflops), copies=1)


def _demo() -> str:
    return demo.table(record.read(demo.STORED).records)


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


Blocks = dict[str, Callable[[], str]]
PAGES: dict[Path, Blocks] = {
    ROOT / "README.md": {"published": _published},
    ROOT / "docs" / "anomaly.md": {"anomaly": _anomaly},
    ROOT / "docs" / "measuring.md": {"aa": _aa},
    ROOT / "docs" / "speed.md": {"speed": _speed, "engines": _engines, "demo": _demo},
    ROOT / "docs" / "several-machines.md": {"plan": _plan, "gpus": _gpus},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the blocks of every page anew, or of the pages named, by their paths in the repository."""
    known = {str(page.relative_to(ROOT)): page for page in PAGES}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=main.__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(known)}")
    names = parser.parse_args(arguments).pages or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"'{unknown[0]}' has no table; choose from {', '.join(known)}")
    for page, blocks in ((known[name], PAGES[known[name]]) for name in names):
        write_text(page, filled(page.read_text(encoding="utf-8"), blocks))


if __name__ == "__main__":
    exit_cleanly(main)
