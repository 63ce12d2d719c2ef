"""The kinds of work that a study's models do in turn: questions singly and in batches, a training update, full rows.

The scenarios follow MLPerf inference (Reddi et al. 2020, arXiv 1911.02549, section 3): SingleStream sends each question
after the previous answer, Offline sends all of them at once. MLPerf's own runs last at least a minute with at least
1,024 queries, report the 90th percentile of SingleStream, and use a checked load generator and target accuracy; here a
sample of questions is repeated, and medians are compared. A query is a question with all windows of its passage. Before
the clock starts they are on the device for torch, and in main memory for other engines, which copy them to a GPU.
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
NO_FOLDERS = {STUDY: Path(), FULL_SIZE: Path()}  # for studies with torch only, which writes no files


@dataclass(frozen=True)
class Model:
    """One model of a study: its trained network, and its full-size twin, or the trained network if it has none.

    ``study``: with the model's own recipe. The networks are on the device; ``served``: their engines, by size.
    """

    study: Study
    tokenizer: Any
    trained: Any
    full_size: Any
    served: Mapping[str, Served]

    def network(self, size: str) -> Any:
        """The study's network or the full-size one."""
        return self.trained if size == STUDY else self.full_size

    def engines(self, size: str) -> Mapping[str, Engine]:
        """The engines of that network by name, torch first."""
        return self.served.get(size, self.served[STUDY]).engines

    def weights(self, size: str) -> str:
        """The kind of its weights."""
        return "trained" if self.network(size) is self.trained else "random"


def of(
    study: Study, spec: Any, tokenizer: Any, trained: Any, setting: Setting, folders: Mapping[str, Path] = NO_FOLDERS
) -> Model:
    """The model prepared for comparison; only networks built from a config can have a full-size twin.

    ``folders``: for the files that engines write, by size; they are not needed after this returns.
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
    """The size and memory of all models' engines, and why others could not be used."""
    return [
        record.under({"model": slug, "network": size})
        for slug, model in models.items()
        for size, served in model.served.items()
        for record in served.records
    ]


def works(models: Mapping[str, Model], splits: Splits, setting: Setting) -> list[Work]:
    """All works: first with the study's own networks, then with the full-size ones if any is larger."""
    plan = next(iter(models.values())).study.compare
    twins = any(model.full_size is not model.trained for model in models.values())
    planned = []
    for size in (STUDY, FULL_SIZE) if twins else (STUDY,):
        planned += list(_questions(models, size, plan, splits.validation, setting))
        planned += _training(models, size, plan, splits.train, setting)
    return planned + list(_full_rows(models, FULL_SIZE if twins else STUDY, plan, setting))


def table(planned: Sequence[Work]) -> pd.DataFrame:
    """The works, for a reader."""
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
    """SingleStream, and Offline at each batch size that the windows fill."""
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
    # Every batch size above the number of windows gives the same batch.
    for batch_size in (smallest, *(larger_one for larger_one in larger if larger_one <= fewest)):
        offline = each(partial(_all_at_once, batch_size=batch_size))
        padding = "windows sorted by length, padded to the longest of a batch"
        yield Work("offline", size, at | {"batch_size": batch_size, "padding": padding}, offline, passes)


def _training(
    models: Mapping[str, Model], size: str, plan: Compare, examples: list[Example], setting: Setting
) -> list[Work]:
    """A training update on real windows, a different one in each pass; none if a study has no training data."""
    if not examples:
        return []
    contestants = {}
    passes = plan.passes if size == STUDY else plan.full_size_passes
    for slug, model in models.items():
        recipe = model.study.training
        n = recipe.batch_size if size == STUDY else plan.full_size_update
        chosen = sample(examples, n * passes, setting.seed)  # each has at least one window
        windows = Reading.of(model.study).windows(chosen, model.tokenizer)
        rows = rows_of_updates(len(windows.lengths), n, passes, setting.seed)
        network = model.network(size)
        calls = updates(network, windows, recipe, model.tokenizer.pad_token_id, setting.device, rows)
        contestants[slug] = _contestant(model, size, calls, {"windows": len(rows[0])}, train=True)
    return [Work("training_step", size, {"inputs": "training questions"}, contestants, passes, one_a_pass=True)]


def _full_rows(models: Mapping[str, Model], size: str, plan: Compare, setting: Setting) -> Iterator[Work]:
    """Forward passes over random tokens, also with eager attention, since SqueezeBERT has no fused attention."""
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
    """Calls on one of the model's networks; before them the network gets its mode and attention."""
    network = model.network(size)
    own = network.config._attn_implementation

    def before() -> None:
        network.train(train)
        if network.config._attn_implementation != (attention or own):
            network.set_attn_implementation(attention or own)

    at: Conditions = {"weights": model.weights(size), "attention": networks.attention(network)}
    return Contestant(calls, before, at | {"precision": _precision(model, size, network.device)} | conditions)


def _one_by_one(engine: Engine, windows: Windows) -> list[Call]:
    """One call per question."""
    stops = np.flatnonzero(np.diff(windows.example)) + 1
    return [engine.call(windows, rows) for rows in np.split(np.arange(len(windows.lengths)), stops)]


def _all_at_once(engine: Engine, windows: Windows, batch_size: int) -> list[Call]:
    """One call for all questions, in batches of windows of similar length."""
    order = np.argsort(-windows.lengths, kind="stable")
    batches = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]
    return [together([engine.call(windows, rows) for rows in batches])]


def _precision(model: Model, size: str, device: torch.device) -> str:
    return precisions.chosen(model.study.training.precision, device, model.network(size))


def _length(windows: Windows) -> Conditions:
    lengths = windows.lengths
    return {"windows": len(lengths), "mean_tokens": float(lengths.mean()), "longest_tokens": int(lengths.max())}


def _flops(network: Any, batch_size: int, length: int) -> Conditions:
    """FLOP of a forward pass, or the reason why they cannot be counted."""
    try:
        return {"flops": flops(network, batch_size, length, backward=False)[0]}
    except UncountedError as error:
        return {"flops_missing": str(error)}
