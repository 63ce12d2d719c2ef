"""Which attempts at a pass count, and which comparisons are refused."""

import pytest
from pydantic import ValidationError

from qa_tradeoffs.metrics.passes import Pass, SideBySide, Surroundings, counting


def attempt(number: int, attempt: int = 0, taken: float = 0.0, contended: bool = False, **seconds: float) -> Pass:
    around = Surroundings(steal=0, foreign=taken, rate=1e11)
    why = ("other programs",) if contended else ()
    return Pass(number=number, attempt=attempt, seconds=seconds or {"A": 1.0}, surroundings=around, contended=why)


@pytest.mark.parametrize(
    ("attempts", "counts"),
    [
        ([attempt(0), attempt(1)], [(0, 0), (1, 0)]),
        ([attempt(0, contended=True), attempt(1), attempt(0, 1)], [(0, 1), (1, 0)]),  # the quiet one
        ([attempt(0), attempt(0, 1)], [(0, 0)]),  # the first of the quiet ones
        ([attempt(0, 0, 0.5, True), attempt(0, 1, 0.2, True), attempt(0, 2, 0.3, True)], [(0, 1)]),  # least taken
    ],
)
def test_the_first_quiet_attempt_counts_or_the_least_disturbed_one(attempts, counts):
    assert [(one.number, one.attempt) for one in counting(attempts)] == counts


def side_by_side(*attempts: Pass, models: str = "A") -> SideBySide:
    return SideBySide(
        work="offline", network="study", conditions={}, models={name: {} for name in models}, calls=1, attempts=attempts
    )


def test_seconds_are_of_the_attempts_that_count():
    attempts = attempt(0, A=1.0, B=2.0), attempt(1, contended=True, A=9.0, B=9.0), attempt(1, 1, A=3.0, B=4.0)
    found = side_by_side(*attempts, models="AB")
    assert (found.seconds("A").tolist(), found.seconds("B").tolist()) == ([1, 3], [2, 4])
    assert found.contended == 0
    assert side_by_side(attempt(0, contended=True)).contended == 1


@pytest.mark.parametrize(
    ("attempts", "sentence"),
    [
        ([attempt(0, B=1.0)], "pass 0 of offline times B; expected A"),
        ([attempt(0), attempt(2)], "must be numbered 0, 1, 2"),
    ],
)
def test_passes_that_do_not_belong_together_are_refused(attempts, sentence):
    with pytest.raises(ValidationError, match=sentence):
        side_by_side(*attempts)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_times_are_positive_numbers(seconds):
    with pytest.raises(ValidationError, match=r"seconds\.A"):
        attempt(0, A=seconds)
