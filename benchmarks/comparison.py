"""Two ways to the same result, timed in turn: seconds of each, and how many times as fast ours is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.profiling.clock import alternate

CPU = torch.device("cpu")


class DisagreementError(Exception):
    """The two sides did not come to the same result, so their times mean nothing."""


@dataclass(frozen=True)
class Comparison:
    """One piece of work done both ways.

    ``plain`` and ``ours``: seconds of each round, (rounds,) float64. ``findings``: in what the results agree, and
    figures of them, each a value with its unit.
    """

    piece: str
    size: str
    plain: NDArray[np.float64]
    ours: NDArray[np.float64]
    findings: dict[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def ratios(self) -> NDArray[np.float64]:
        """How many times as fast ours was in each round; what slows both sides of a round cancels."""
        return self.plain / self.ours

    def __str__(self) -> str:
        plain, ours, ratio = (float(np.median(values)) for values in (self.plain, self.ours, self.ratios))
        spread = f"{self.ratios.min():.2f} to {self.ratios.max():.2f} in {len(self.ratios)} rounds"
        lines = [
            f"{self.piece}: {self.size}",
            f"  plain {plain:.3g} s, ours {ours:.3g} s: {ratio:.2f} times as fast ({spread})",
        ]
        return "\n".join(lines + [f"  {name}: {value:,.6g} {unit}" for name, (value, unit) in self.findings.items()])


def compare(
    piece: str,
    size: str,
    plain: Callable[[], Any],
    ours: Callable[[], Any],
    agreement: Callable[[Any, Any], dict[str, tuple[float, str]]],
    *,
    rounds: int,
    warmup: int,
) -> Comparison:
    """Time both in turn and compare their last results; ``agreement`` raises DisagreementError."""
    last: dict[str, Any] = {}

    def keep(name: str, call: Callable[[], Any]) -> Callable[[], None]:
        def called() -> None:
            last[name] = call()

        return called

    calls = {"plain": keep("plain", plain), "ours": keep("ours", ours)}
    seconds = alternate(calls, CPU, warmup=warmup, rounds=rounds)
    return Comparison(piece, size, seconds["plain"], seconds["ours"], agreement(last["plain"], last["ours"]))


def check(agrees: bool, what: str) -> None:
    """Raise DisagreementError unless ``agrees``."""
    if not agrees:
        raise DisagreementError(what)


def records(compared: Comparison, seed: int = 0) -> list[Record]:
    """Both medians and the median ratio, each with its bootstrap interval over rounds, and the findings."""
    rng = np.random.default_rng(seed)
    at = {"piece": compared.piece, "size": compared.size}
    return [
        Record.median("benchmark_seconds", compared.plain, "s", rng, conditions={**at, "side": "plain"}),
        Record.median("benchmark_seconds", compared.ours, "s", rng, conditions={**at, "side": "ours"}),
        Record.median("benchmark_ratio", compared.ratios, "times as fast", rng, conditions=at),
        *(
            Record.of(name.replace(" ", "_"), value, unit, conditions=at)
            for name, (value, unit) in compared.findings.items()
        ),
    ]
