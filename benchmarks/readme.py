"""The README's tables, from the committed result files: python -m benchmarks.readme"""

from pathlib import Path

import pandas as pd

from benchmarks import record
from qa_tradeoffs import anomaly_findings
from qa_tradeoffs.paths import ANOMALY, ROOT, write_text

README, RESULTS = ROOT / "README.md", ROOT / "benchmarks" / "results"


def filled(text: str) -> str:
    """The README with what stands between ``<!-- name -->`` and ``<!-- end -->`` made anew."""
    for name, made in (("anomaly", _anomaly()), ("speed", _speed())):
        begin = text.index(f"<!-- {name} -->\n") + len(f"<!-- {name} -->\n")
        text = f"{text[:begin]}{made}\n{text[text.index('<!-- end -->', begin) :]}"
    return text


def _anomaly() -> str:
    found = anomaly_findings.load(own=Path("not here"), stored=ANOMALY)
    sentences = [found.measured, *anomaly_findings.where(found), *anomaly_findings.fix(found)]
    return "\n\n".join([*sentences, _markdown(anomaly_findings.shown_aims(found))])


def _speed() -> str:
    return record.table(record.read(RESULTS / "speed.json"))


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


if __name__ == "__main__":
    write_text(README, filled(README.read_text(encoding="utf-8")))
