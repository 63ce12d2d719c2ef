"""Three interleaved sides, A B C A B C, each timed in its own process; ratios are of times of the same round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks import tasks
from benchmarks.tasks import SIDES, Found, Task
from qa_tradeoffs.metrics import timing
from qa_tradeoffs.metrics.records import Interval, Record

OURS, PEERS = SIDES[-1], SIDES[:-1]
Conditions = dict[str, str | int | bool]
_OUTCOMES = {"exact_match": "points", "f1": "points", "first_loss": "nats", "padding": "of tokens"}
Runs = dict[tuple[str, str], list[Found]]  # by side and precision, one per round


@dataclass(frozen=True)
class Row:
    """Work to compare, such as an evaluation of some questions, in one or more precisions."""

    work: str
    questions: int
    precisions: tuple[str, ...] = ("fp32",)
    busy: bool = False

    @property
    def name(self) -> str:
        """The name on the command line."""
        return f"{self.work}-{self.questions}{'-busy' if self.busy else ''}"

    def run(self, like: Task, rounds: int) -> list[Record]:
        """Time every side in every precision, interleaved; ``like`` gives the data, encoder and device."""
        found: Runs = {(side, precision): [] for precision in self.precisions for side in SIDES}
        chosen = replace(like, work=self.work, questions=self.questions, busy=self.busy)
        for _ in range(rounds):
            for (side, precision), runs in found.items():
                runs.append(tasks.run(replace(chosen, side=side, precision=precision)))
        return self.records(found)

    def records(self, found: Runs) -> list[Record]:
        """Seconds and peak memory of each side, ours compared with each peer's, and how many answers are equal."""
        row = {"row": self.name, "work": self.work, "questions": self.questions, "busy": self.busy}
        records = []
        for (side, precision), runs in found.items():
            at = {**row, "side": side, "precision": precision}
            records.append(_of_rounds("benchmark_seconds", [run["seconds"] for run in runs], "s", at))
            records.append(_of_rounds("benchmark_peak_memory", [run["bytes"] for run in runs], "bytes", at))
            records += [
                Record.of(f"benchmark_{name}", runs[-1][name], unit, conditions=at)
                for name, unit in _OUTCOMES.items()
                if name in runs[-1]
            ]
        for precision, (ours_in, theirs_in) in self._pairs().items():
            for peer in PEERS:
                at = {**row, "peer": peer, "precision": precision}
                records += _compared(found[OURS, ours_in], found[peer, theirs_in], at)
        return records

    def _pairs(self) -> Mapping[str, tuple[str, str]]:
        """Name → our precision and the peers' that are compared: equal ones, and both sides' defaults."""
        same = {precision: (precision, precision) for precision in self.precisions}
        return same | ({"defaults": ("bf16", "fp32")} if "bf16" in self.precisions else {})


def _compared(ours: Sequence[Found], theirs: Sequence[Found], at: Conditions) -> list[Record]:
    records = [
        _ratio("benchmark_ratio", [run["seconds"] for run in theirs], [run["seconds"] for run in ours], at),
        _ratio("benchmark_memory_ratio", [run["bytes"] for run in ours], [run["bytes"] for run in theirs], at),
    ]
    if "answers" in ours[-1]:
        equal = sum(text == ours[-1]["answers"][i] for i, text in theirs[-1]["answers"].items())
        records.append(Record.of("benchmark_equal_answers", equal, "questions", conditions=at))
    return records


def _ratio(metric: str, a: Sequence[float], b: Sequence[float], at: Conditions) -> Record:
    """Values ``a`` over values ``b`` of the same rounds."""
    ratio = timing.ratio(a, b)
    interval = Interval(low=ratio.low, high=ratio.high, over="passes")
    return Record.of(metric, ratio.value, "1", len(a), interval=interval, conditions=at)


def _of_rounds(metric: str, values: Sequence[float], unit: str, at: Conditions) -> Record:
    return Record.of(metric, median(values), unit, len(values), conditions=at)
