"""The time from text to score, as in notebook 2, divided into tokenise, forward, post-process and score.

'forward' and 'post-process' make up prediction. 'post-process' is everything but the network: padding, copying to and
from the device, the search for spans.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.splitting import sample
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.profiling import clock
from qa_tradeoffs.profiling.latency import Timing
from qa_tradeoffs.profiling.workloads import Setting, Subject, placed
from qa_tradeoffs.study.config import Study

_PASSES = 3  # over all questions, at least
Passes = Mapping[int, Sequence[Sequence[float]]]  # thread → start and end of each of its forward passes


def measure(subject: Subject, study: Study, examples: list[Example], tokenizer: Any, setting: Setting) -> list[Timing]:
    """Seconds per question of each phase on a sample of the examples; they add up to the time from text to score."""
    chosen, device = sample(examples, study.profile.questions, setting.seed), setting.device
    precision = setting.formats[0]  # the recipe's, as in notebook 2
    reading, language = answers.Reading.of(study), scoring.language(study, chosen)
    of_each: list[Passes] = []  # the forward passes of each prediction
    windows: Any = None
    predicted: Any = None

    def tokenise() -> None:
        nonlocal windows
        windows = reading.windows(chosen, tokenizer)

    def predict() -> None:
        nonlocal predicted
        engine = pytorch.Engine(network, tokenizer.pad_token_id, device, precision)
        with _forward_passes(network, device) as passes:
            predicted = answers.predict(engine, windows, chosen, reading)
        of_each.append(passes)

    def score() -> None:
        threshold = study.evaluation.no_answer_threshold
        scoring.score(predicted, chosen, v2=reading.v2, threshold=threshold, language=language)

    with placed(subject, device) as network:
        repeats = clock.repeat(
            [tokenise, predict, score], device, warmup=1, at_least=_PASSES, for_seconds=study.profile.min_seconds
        )
    tokenised, predicted_in, scored = repeats.seconds.T
    in_turn = device.type != "cpu"
    forward = np.array([forward_seconds(passes, in_turn=in_turn) for passes in of_each[1:]])  # the first is warm-up
    conditions = subject.conditions(setting, precision) | {"questions": len(chosen)}
    parts = {"tokenise": tokenised, "forward": forward, "post-process": predicted_in - forward, "score": scored}
    return [
        Timing("phase", seconds[:, None] / len(chosen), conditions | {"phase": name, "inputs": "validation questions"})
        for name, seconds in parts.items()
    ]


def forward_seconds(passes: Passes, *, in_turn: bool) -> float:
    """The part of the prediction time spent in these forward passes: at most the time in which any of them ran.

    On a CPU several threads answer a batch each and share the cores. So time is divided equally among active threads:
    while two run a forward pass and a third searches spans, two thirds of it go to the network. Adding up overlapping
    passes would exceed the elapsed time. A thread is active from the start of its first pass to the end of its last.

    On a GPU the passes run ``in_turn``, and the other thread's concurrent work costs no extra time: all the time in
    which a pass runs goes to the network.
    """
    runs = np.array([one for of_thread in passes.values() for one in of_thread])  # (passes, 2)
    threads = np.array([(of_thread[0][0], of_thread[-1][1]) for of_thread in passes.values()])  # (threads, 2)
    edges = np.unique(runs)
    middles = (edges[1:] + edges[:-1]) / 2
    running, at_work = (_covering(spans, middles) for spans in (runs, runs if in_turn else threads))
    return float((np.diff(edges) * running / np.maximum(at_work, 1)).sum())


@contextmanager
def _forward_passes(network: Any, device: torch.device) -> Iterator[Passes]:
    """Records the network's forward passes within the block."""
    passes: defaultdict[int, list[list[float]]] = defaultdict(list)

    def begin(*_: Any) -> None:
        passes[threading.get_ident()].append([clock.now(device)])

    def end(*_: Any) -> None:
        passes[threading.get_ident()][-1].append(clock.now(device))

    hooks = [network.register_forward_pre_hook(begin), network.register_forward_hook(end)]
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


def _covering(spans: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of spans (n, 2) that contain each of the moments (m,): (m,)."""
    begins, ends = np.sort(spans, axis=0).T
    return np.searchsorted(begins, moments) - np.searchsorted(ends, moments)
