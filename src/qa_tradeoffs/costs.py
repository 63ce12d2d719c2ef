"""Measured seconds × a dated price: arithmetic only, so that a new price never needs a new measurement."""

SECONDS_PER_HOUR = 3600.0


def usd(seconds: float, usd_per_hour: float) -> float:
    """USD for ``seconds`` of a machine at ``usd_per_hour``."""
    return seconds / SECONDS_PER_HOUR * usd_per_hour


def usd_range(seconds: float, usd_per_hour: tuple[float, float]) -> tuple[float, float]:
    """(lowest, highest) USD for ``seconds`` at a price known as a range."""
    low, high = usd_per_hour
    return usd(seconds, low), usd(seconds, high)


def usd_per_million_questions(seconds_per_question: float, usd_per_hour: float) -> float:
    """USD to answer 10⁶ questions, one after the other, on a machine that does nothing else."""
    return usd(seconds_per_question * 1e6, usd_per_hour)
