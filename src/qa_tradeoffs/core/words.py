"""Numbers and lists as text, formatted alike in every table, sentence and chart."""

import math
from collections.abc import Sequence


def points(value: float, low: float, high: float) -> str:
    """'81.2 (80.4–82.0)': points with their interval."""
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def signed(value: float) -> str:
    """'+2.1', '-0.5': a difference in points; one that rounds to zero has no sign."""
    rounded = round(value, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def seconds(value: float) -> str:
    """Seconds in a readable unit; NaN means that nothing was trained."""
    if math.isnan(value):
        return "not trained"
    for unit, size_of_unit, below in (("ms", 1e-3, 1), ("s", 1, 120), ("min", 60, 7200)):
        if value < below:
            return f"{plain(value / size_of_unit)} {unit}"
    return f"{plain(value / 3600)} h"


def usd(low: float, high: float) -> str:
    """USD with three significant digits, as a range if the price is one."""
    if math.isnan(low):
        return "not trained"
    return plain(low) if low == high else f"{plain(low)} to {plain(high)}"


def plain(value: float) -> str:
    """Three significant digits without an exponent: 0.0000264, 4.65, 12,300."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    decimals = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(decimals, 0)}f}"


def percent(share: float) -> str:
    """'39 %' of a share in [0, 1]."""
    return f"{100 * share:.0f} %"


def size(n_bytes: float) -> str:
    """Bytes in KiB or MiB."""
    return f"{n_bytes / 2**20:.1f} MiB" if n_bytes >= 2**20 else f"{n_bytes / 2**10:.0f} KiB"


def parameters(number: float) -> str:
    """A number of parameters, in millions from a hundred thousand up."""
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e6:.2f} M" if number >= 1e5 else f"{number:,.0f}"


def counted(n: int, noun: str) -> str:
    """'1 question', '10,570 questions'."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Sequence[str]) -> str:
    """'A', 'A and B', 'A, B and C'."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
