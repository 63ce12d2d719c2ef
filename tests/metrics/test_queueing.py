"""The simulated queue against recursion step by step, against theory, and against a real run of arrivals."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from qa_tradeoffs.metrics.queueing import Worker, times_in_system


def exponential(mean: float) -> Worker:
    """A worker with exponential service times, so that with Poisson arrivals it is M/M/1."""
    rng = np.random.default_rng(1)
    return Worker(service=rng.exponential(mean, 200_000), gaps=rng.standard_exponential(200_000))


def waits_at_most(t: float, rate: float) -> float:
    """Chance of a wait of at most ``t`` services in M/D/1 with a service of 1 (Erlang, 1909)."""
    terms = [(rate * (k - t)) ** k / math.factorial(k) * math.exp(rate * (t - k)) for k in range(math.floor(t) + 1)]
    return (1 - rate) * sum(terms)


def test_three_questions_by_hand():
    # The second comes 1 s after the first, which takes 2 s; the third long after both.
    assert times_in_system(np.array([2.0, 2, 2]), np.array([7.0, 1, 5])).tolist() == [2, 3, 2]


def test_the_recursion_step_by_step():
    rng = np.random.default_rng(0)
    service, gaps = rng.uniform(0, 2, 500), rng.exponential(1.1, 500)
    expected, wait = [], 0.0
    for i in range(500):
        wait = max(0.0, wait + service[i - 1] - gaps[i]) if i else 0.0
        expected.append(wait + service[i])
    assert times_in_system(service, gaps) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.8])
def test_the_mean_wait_of_equal_services_is_pollaczek_s(rate):
    worker = Worker.of([1.0])
    wait = times_in_system(worker.service, worker.gaps / rate).mean() - 1
    assert wait == pytest.approx(rate / (2 * (1 - rate)), rel=0.06)


@pytest.mark.parametrize(("rate", "within"), [(3.0, 0.03), (5.0, 0.04), (8.0, 0.12)])
def test_p99_of_exponential_services_agrees_with_theory(rate, within):
    worker, p99 = exponential(0.1), math.log(100) / (10 - rate)
    assert worker.p99(rate) == pytest.approx(p99, rel=within)
    assert worker.rate(p99) == pytest.approx(rate, rel=0.03)


@pytest.mark.parametrize("limit", [2.0, 4.0, 8.0])
def test_at_the_highest_rate_99_of_100_equal_services_are_in_time(limit):
    assert waits_at_most(limit - 1, Worker.of([1.0]).rate(limit)) == pytest.approx(0.99, abs=0.001)


def test_no_rate_suffices_if_service_alone_is_too_slow_and_none_exceeds_saturation():
    worker = Worker.of([0.1])
    assert worker.rate(0.099) == 0
    assert worker.rate(0.1) < 1
    assert 9.9 < worker.rate(1e6) <= worker.saturation == pytest.approx(10)


def test_p99_without_waits_is_the_services_and_never_falls_with_the_rate():
    worker = Worker.of([0.1] * 97 + [0.2] * 3)
    p99 = [worker.p99(rate) for rate in (0, 1, 3, 5, 7, 9)]
    assert p99[0] == 0.2
    assert p99 == sorted(p99)


def test_draws_are_the_same_for_workers_of_equally_many_measurements():
    one, other = Worker.of([1.0, 2, 3]), Worker.of([2.0, 4, 6])
    assert (other.service == 2 * one.service).all()
    assert (other.gaps == one.gaps).all()
    assert other.rate(6) == pytest.approx(one.rate(3) / 2)


@pytest.mark.slow
def test_a_real_run_of_arrivals_takes_as_long_as_simulated(network_of, capsys):
    """One thread answers questions of 50 lengths by a small network for half a minute, busy for 70 % of the time."""
    import torch

    rng, clock = np.random.default_rng(0), time.perf_counter
    size = {"hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 512, "max_position_embeddings": 256}
    network = network_of("bert", **size).eval()
    questions = [torch.randint(50, (1, int(length))) for length in rng.integers(16, 256, 50)]

    def answer(number: int) -> tuple[float, float]:
        began = clock()
        with torch.inference_mode():
            network(questions[number])
        return began, clock()

    alone = np.array([answer(number) for _ in range(12) for number in range(50)])[50:]
    measured = alone[:, 1] - alone[:, 0]
    rate = 0.7 * Worker.of(measured).saturation
    n = int(25 * rate)
    gaps, asked = rng.exponential(1 / rate, n), rng.integers(50, size=n)

    with ThreadPoolExecutor(max_workers=1) as worker:
        arrivals, answers = clock() + np.cumsum(gaps), []
        for arrival, number in zip(arrivals, asked, strict=True):
            time.sleep(max(0.0, arrival - clock()))
            answers.append(worker.submit(answer, int(number)))
        began, ended = np.array([one.result() for one in answers]).T

    real = float(np.percentile(ended - arrivals, 99))
    simulated = [
        np.percentile(times_in_system(rng.choice(measured, n), rng.exponential(1 / rate, n)), 99) for _ in range(400)
    ]
    low, typical, high = np.percentile(simulated, [0.5, 50, 99.5])
    replayed = float(np.percentile(times_in_system(ended - began, gaps), 99))
    with capsys.disabled():
        print(
            f"\n{n} arrivals, p99: real {1e3 * real:.2f} ms, simulated {1e3 * typical:.2f} ms ({1e3 * low:.2f} to "
            f"{1e3 * high:.2f} in runs as long), {real / typical - 1:+.1%}; from its own service times "
            f"{1e3 * replayed:.2f} ms"
        )
    assert replayed == pytest.approx(real, rel=0.05, abs=0.001)
    assert low / 1.25 < real < high * 1.25  # the machine may be busier than a minute before
