"""A trial of a network and its tokenizer on one question, before any expensive work."""

from collections.abc import Sequence
from typing import Any

import torch

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.models import inputs, precisions
from qa_tradeoffs.models.dropout import dropout
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.study.config import Profile, Training

_QUESTION = Example("", "", "Ada.", "Who?", (), ())


@quiet()
def try_out(network: Any, tokenizer: Any, where: str, precision: str = "fp32") -> None:
    """Refuse a network that cannot answer a question from its tokenizer in the precision that will be used.

    ``where`` begins the error message. Raises StudyError with the reason. The network's mode is restored.
    """
    reads = inputs.of(network)
    room = 64 if reads.longest is None else min(64, reads.longest)
    windows = features.build([_QUESTION], tokenizer, room, stride=0)
    types, known = int(windows.token_type_ids.max()) + 1, getattr(network.config, "type_vocab_size", None)
    if "token_type_ids" in reads.names and known is not None and types > known:
        raise StudyError(f"{where}: its tokenizer writes {types} token types, but its network has {known}")
    before = network.training
    network.eval()
    try:
        with torch.inference_mode(), precisions.autocast(network.device, precision):
            batch = reads.batch(windows, windows.example[:1].astype("int64"), tokenizer.pad_token_id)
            output = network(**{name: values.to(network.device) for name, values in batch.items()})
        dropout(network)  # once as in training
        shapes = {tuple(logits.shape) for logits in (output.start_logits, output.end_logits)}
    except Exception as error:  # each network fails in its own way
        half = precision != "fp32"
        how, advice = (f" in {precision}", "; give it `training: {precision: fp32}`") if half else ("", "")
        raise StudyError(
            f"{where}: its {type(network).__name__} cannot answer a question{how} ({one_line(error)}){advice}"
        ) from None
    finally:
        network.train(before)
    if shapes != {tuple(batch["input_ids"].shape)}:
        raise StudyError(f"{where}: its {type(network).__name__} does not give two logits for each token of a row")


def check_windows(network: Any, tokenizer: Any, examples: Sequence[Example], recipe: Training) -> None:
    """Refuse a network that has too few positions for a window of any example, those of evaluation included.

    If no window can be too long, none is built. Raises StudyError.
    """
    reads = inputs.of(network)
    if reads.longest is not None and recipe.max_length > reads.longest:
        windows = features.build(examples, tokenizer, recipe.max_length, recipe.stride, recipe.max_question_tokens)
        reads.check_windows(int(windows.lengths.max()))


def check_grids(network: Any, plan: Profile) -> None:
    """Refuse lengths in the study's grids that the network does not support. Raises StudyError."""
    for key, grids in (("forward", [plan.forward]), ("training_step", [plan.training_step]), ("memory", plan.memory)):
        if key in plan.model_fields_set:
            longest = max((length for grid in grids for length in grid.lengths), default=0)
            inputs.of(network).check(longest, f"profile.{key}.lengths:", "give lengths up to that")
