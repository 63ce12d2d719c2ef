"""What the models of a study do in turn: real questions one by one and all at once, an update of training, full rows.

Questions are asked in the manner of MLPerf inference (Reddi et al. 2020, arXiv 1911.02549, section 3): SingleStream
sends the next one when the last is answered, Offline has all of them at once. MLPerf's own runs last a minute or
longer, have 1,024 queries and more, report the 90th percentile of SingleStream, and their load generator and target
accuracy are checked; here a sample of questions is asked again and again, and its median is compared. A query is a
question with all windows of its passage, on the device before the clock starts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.data.sources import Splits
from qa_tradeoffs.data.splitting import sample
from qa_tradeoffs.engines.protocol import Engine
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import inputs, networks, precisions, squeezebert
from qa_tradeoffs.models.counting import UncountedError, flops
from qa_tradeoffs.profiling import workloads
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.served import Served, serve
from qa_tradeoffs.profiling.side_by_side import Contestant, Work
from qa_tradeoffs.profiling.workloads import Conditions, Setting, forward_pass, together
from qa_tradeoffs.study.config import Compare, Study
from qa_tradeoffs.study.engines import point
from qa_tradeoffs.training.step import rows_of_updates, updates

STUDY, FULL_SIZE = "study", "full size"
NO_FOLDERS = {STUDY: Path(), FULL_SIZE: Path()}  # of a study whose only engine is torch, which makes no files


@dataclass(frozen=True)
class Model:
    """One model of a study: its trained network and that of published size, which is the same where it has no twin.

    ``study``: with the model's own recipe. The networks are on the device; ``served``: each by size, in its engines.
    """

    study: Study
    tokenizer: Any
    trained: Any
    full_size: Any
    served: Mapping[str, Served]

    def network(self, size: str) -> Any:
        """That of the study or the one of full size."""
        return self.trained if size == STUDY else self.full_size

    def engines(self, size: str) -> Mapping[str, Engine]:
        """What runs that network, by name, torch first."""
        return self.served.get(size, self.served[STUDY]).engines

    def weights(self, size: str) -> str:
        """What its weights are."""
        return "trained" if self.network(size) is self.trained else "random"


def of(
    study: Study, spec: Any, tokenizer: Any, trained: Any, setting: Setting, folders: Mapping[str, Path] = NO_FOLDERS
) -> Model:
    """The model as it is compared; only what a study builds itself may be a small network of its kind.

    ``folders``: by size, of the files that engines make of a network; when this returns they are needed no more.
    """
    twin = workloads.full_size(trained, setting.seed) if spec.from_scratch else None
    networks = {STUDY: trained} if twin is None else {STUDY: trained, FULL_SIZE: twin}
    served = {
        size: serve(study, network.to(setting.device), tokenizer.pad_token_id, setting, folders[size],
                    measured=len(networks) == 1 or size == FULL_SIZE)
        for size, network in networks.items()
    }  # fmt: skip
    return Model(study, tokenizer, trained, networks.get(FULL_SIZE, trained), served)


def records(models: Mapping[str, Model]) -> list[Record]:
    """What the engines of all models take of disk and memory, and which could not be used, and why."""
    return [
        record.under({"model": slug, "network": size})
        for slug, model in models.items()
        for size, served in model.served.items()
        for record in served.records
    ]


def works(models: Mapping[str, Model], splits: Splits, setting: Setting) -> list[Work]:
    """All that the models do in turn: first the study's own networks, then those of full size where some are larger."""
    plan = next(iter(models.values())).study.compare
    twins = any(model.full_size is not model.trained for model in models.values())
    planned = []
    for size in (STUDY, FULL_SIZE) if twins else (STUDY,):
        planned += list(_questions(models, size, plan, splits.validation, setting))
        planned += _training(models, size, plan, splits.train, setting)
    return planned + list(_full_rows(models, FULL_SIZE if twins else STUDY, plan, setting))


def table(planned: Sequence[Work]) -> pd.DataFrame:
    """What is done in turn, for a reader."""
    return pd.DataFrame(
        {
            "work": work.work.replace("_", " "),
            "network": work.network,
            "batch": work.conditions.get("batch_size", ""),
            "inputs": work.conditions["inputs"],
            "calls in a pass": max((len(work.calls(name, 0)) for name in work.contestants), default=0),
            "passes": work.passes,
        }
        for work in planned
    )


def _questions(
    models: Mapping[str, Model], size: str, plan: Compare, examples: list[Example], setting: Setting
) -> Iterator[Work]:
    """SingleStream, and Offline in each batch size that the windows fill."""
    n, passes = (plan.questions, plan.passes) if size == STUDY else (plan.full_size_questions, plan.full_size_passes)
    chosen = sample(examples, n, setting.seed)
    windows = {slug: Reading.of(model.study).windows(chosen, model.tokenizer) for slug, model in models.items()}
    at: Conditions = {"inputs": "validation questions", "questions": len(chosen)}

    def each(calls: Callable[[Engine, Windows], Sequence[Call]]) -> dict[str, Contestant]:
        """Every model in every engine."""
        found = {}
        for slug, model in models.items():
            for name, engine in model.engines(size).items():
                conditions: Conditions = _length(windows[slug]) | {"engine": name, **engine.conditions}
                conditions |= {"attention": "as exported"} if engine.file else {}
                found[point(slug, name)] = _contestant(model, size, calls(engine, windows[slug]), conditions)
        return found

    single = each(_one_by_one)
    yield Work("single_stream", size, at | {"padding": "none: each question alone"}, single, passes)
    smallest, *larger = sorted(plan.offline_batch_sizes)
    fewest = min(len(of_model.lengths) for of_model in windows.values())
    # In a batch that the windows do not fill they would all be together just the same.
    for batch_size in (smallest, *(larger_one for larger_one in larger if larger_one <= fewest)):
        offline = each(partial(_all_at_once, batch_size=batch_size))
        padding = "windows sorted by length, padded to the longest of a batch"
        yield Work("offline", size, at | {"batch_size": batch_size, "padding": padding}, offline, passes)


def _training(
    models: Mapping[str, Model], size: str, plan: Compare, examples: list[Example], setting: Setting
) -> list[Work]:
    """An update of training on real windows, another one in each pass; none where a study has nothing to train on."""
    if not examples:
        return []
    contestants = {}
    passes = plan.passes if size == STUDY else plan.full_size_passes
    for slug, model in models.items():
        recipe = model.study.training
        n = recipe.batch_size if size == STUDY else plan.full_size_update
        chosen = sample(examples, n * passes, setting.seed)  # each has a window or more
        windows = Reading.of(model.study).windows(chosen, model.tokenizer)
        rows = rows_of_updates(len(windows.lengths), n, passes, setting.seed)
        network = model.network(size)
        calls = updates(network, windows, recipe, model.tokenizer.pad_token_id, setting.device, rows)
        contestants[slug] = _contestant(model, size, calls, {"windows": len(rows[0])}, train=True)
    return [Work("training_step", size, {"inputs": "training questions"}, contestants, passes, one_a_pass=True)]


def _full_rows(models: Mapping[str, Model], size: str, plan: Compare, setting: Setting) -> Iterator[Work]:
    """Forward passes over rows of random tokens, also without fused attention, which SqueezeBERT does not have."""
    for batch_size, length in product(plan.forward.batch_sizes, plan.forward.lengths):
        contestants = {}
        for slug, model in models.items():
            network, longest = model.network(size), inputs.of(model.network(size)).longest
            if longest is not None and longest < length:
                continue
            batch = workloads.random_batch(network, batch_size, length, setting)
            call = forward_pass(network, batch, _precision(model, size, setting.device))
            counted = {"model": slug} | _flops(network, batch_size, length)
            contestants[slug] = _contestant(model, size, [call], counted)
            if networks.attention(network) != "eager" and not squeezebert.is_matmul(network):
                control = counted | {"eager_control": True, "attention": "eager"}
                contestants[f"{slug} eager"] = _contestant(model, size, [call], control, attention="eager")
        at: Conditions = {"batch_size": batch_size, "length": length, "inputs": "random tokens, no padding"}
        if contestants:
            passes = plan.full_size_passes if size == FULL_SIZE else plan.passes
            yield Work("forward", size, at, contestants, passes)


def _contestant(
    model: Model, size: str, calls: Sequence[Call], conditions: Conditions, attention: str = "", train: bool = False
) -> Contestant:
    """Calls on one of the model's networks, which is in the right mode, with the right attention, when they begin."""
    network = model.network(size)
    own = network.config._attn_implementation

    def before() -> None:
        network.train(train)
        if network.config._attn_implementation != (attention or own):
            network.set_attn_implementation(attention or own)

    at: Conditions = {"weights": model.weights(size), "attention": networks.attention(network)}
    return Contestant(calls, before, at | {"precision": _precision(model, size, network.device)} | conditions)


def _one_by_one(engine: Engine, windows: Windows) -> list[Call]:
    """A call for each question; of a token's id only its length matters."""
    stops = np.flatnonzero(np.diff(windows.example)) + 1
    return [engine.call(windows, rows) for rows in np.split(np.arange(len(windows.lengths)), stops)]


def _all_at_once(engine: Engine, windows: Windows, batch_size: int) -> list[Call]:
    """One call for all questions, in batches of windows of like length."""
    order = np.argsort(-windows.lengths, kind="stable")
    batches = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]
    return [together([engine.call(windows, rows) for rows in batches])]


def _precision(model: Model, size: str, device: torch.device) -> str:
    return precisions.chosen(model.study.training.precision, device, model.network(size))


def _length(windows: Windows) -> Conditions:
    lengths = windows.lengths
    return {"windows": len(lengths), "mean_tokens": float(lengths.mean()), "longest_tokens": int(lengths.max())}


def _flops(network: Any, batch_size: int, length: int) -> Conditions:
    """FLOP of a forward pass, or why they are not known."""
    try:
        return {"flops": flops(network, batch_size, length, backward=False)[0]}
    except UncountedError as error:
        return {"flops_missing": str(error)}
