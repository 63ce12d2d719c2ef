"""Updates are drawn at random, computed in parts, and their loss and gradient are those of the whole."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.data import features
from qa_tradeoffs.models import inputs
from qa_tradeoffs.models.inputs import Inputs
from qa_tradeoffs.training import collation


def test_the_order_is_a_permutation_that_depends_on_seed_and_epoch_only():
    def order(seed: int, epoch: int) -> list[int]:
        sampler = collation.Shuffled(100, seed)
        sampler.set_epoch(epoch)
        torch.rand(3)  # other random numbers drawn in between
        return list(sampler)

    assert sorted(order(0, 0)) == list(range(100))
    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert len(collation.Shuffled(100, 0)) == 100
    # 34 updates an epoch, the last one of a single row.
    updates = collation.Shuffled(100, 0).updates(batch_size=3, steps=40)
    assert (len(updates), len(updates[33])) == (40, 1)
    assert np.concatenate(updates).tolist() == order(0, 0) + order(0, 1)[:18]


def test_a_small_network_is_given_an_update_in_one_part_and_a_large_one_in_several():
    windows: Any = SimpleNamespace(lengths=np.array([384, 100] * 8))

    def parts(weights: int, device: str) -> int:
        network = SimpleNamespace(
            num_parameters=lambda exclude_embeddings=False: weights,
            forward=lambda input_ids, attention_mask: 0,
            named_modules=list,
        )
        return len(collation.collator_for(network, windows, 0, torch.device(device)).cut(list(range(16)))[1])

    # Padding eight windows from 100 tokens to 384 takes 2,272 tokens, with 6 operations for each weight.
    assert parts(10_000, "cpu") == 1
    assert parts(100_000_000, "cpu") == 2
    assert parts(100_000_000, "cuda") == 1


def test_padding_is_counted_to_the_longest_of_each_part():
    windows: Any = SimpleNamespace(lengths=np.array([5, 9, 3]))

    def count(rows: list[int], **keys: Any) -> int:
        return collation.Collator(windows, 0, Inputs(frozenset()), **keys).computed_tokens(np.array(rows))

    assert count([0, 1], own_cost=100) == 18  # twice 9
    assert count([0, 1], own_cost=100, multiple_of=8) == 32
    assert count([0, 1], own_cost=3) == 14  # a part costs less than the 4 tokens that padding takes: 5 and 9 apart
    assert count([0, 1], own_cost=100, processes=2) == 14
    assert count([2], own_cost=100, processes=2) == 6  # the second process computes what counts for nothing


def test_packed_rows_have_no_padding_and_a_bounded_number_of_tokens():
    windows: Any = SimpleNamespace(lengths=np.array([5, 9, 3, 7]))
    packing = collation.Collator(windows, 0, Inputs(frozenset()), own_cost=1, packed_tokens=24)
    assert [part.tolist() for part in packing.cut([0, 1, 2, 3])[1]] == [[2, 0, 3, 1]]
    assert packing.computed_tokens(np.arange(4)) == 24
    packed, rows = replace(packing, packed_tokens=12).cut([0, 1, 2, 3])
    assert packed and [part.tolist() for part in rows] == [[2, 3], [0, 1]]
    assert packing.cut([1, 1])[0] is False  # nothing to pad


def test_padding_is_not_a_candidate_in_the_loss():
    # Three tokens of equal logits, and padding with the highest one: ln 3 for the start; the end is surely the third.
    start, end = torch.tensor([[0.0, 0, 0, 9]]), torch.tensor([[0.0, 0, 99, 9]])
    output = SimpleNamespace(start_logits=start, end_logits=end)
    mask, label = torch.tensor([[1, 1, 1, 0]]), torch.tensor([2])
    assert collation.span_loss(output, mask, label, label).item() == pytest.approx(math.log(3) / 2)


def test_without_padding_the_loss_is_the_networks_own(network_of, windows, tokenizer):
    network = network_of().eval()
    (part,) = collation.Collator(windows, 0, inputs.of(network), own_cost=1e9)([0, 1, 2])["parts"]
    own = network(**{name: values for name, values in part.items() if name not in ("share", "own_tokens")}).loss
    assert collation.part_loss(network, part).item() == pytest.approx(own.item())


def test_the_parts_of_an_update_give_its_loss_and_gradient(network_of, examples, tokenizer):
    network, rows = network_of().eval(), [0, 1, 2, 3, 4]
    shorter = [
        replace(e, context=f"{e.id} lives in {e.answers[0]}.", answer_starts=(len(e.id) + 10,)) for e in examples
    ]
    windows = features.build([*shorter[:2], *examples[2:]], tokenizer, 64, 16)

    def of(parts: list[dict[str, Any]]) -> tuple[float, torch.Tensor]:
        network.zero_grad()
        loss = torch.stack([collation.part_loss(network, part) for part in parts]).sum()
        loss.backward()
        return loss.item(), torch.cat([weight.grad.flatten() for weight in network.parameters()])

    whole, halves = (
        collation.Collator(windows, tokenizer.pad_token_id, inputs.of(network), own_cost)(rows)["parts"]
        for own_cost in (1000, 10)
    )
    packing = collation.Collator(windows, tokenizer.pad_token_id, inputs.of(network), 10, packed_tokens=1000)
    packed = packing(rows)["parts"]
    assert [part["share"] for part in whole] == [part["share"] for part in packed] == [1]
    assert [part["share"] for part in halves] == [3 / 5, 2 / 5]  # the longer ones first
    loss, gradient = of(whole)
    for summed, added in (of(halves), of(packed)):
        assert loss == pytest.approx(summed, abs=1e-6)
        torch.testing.assert_close(gradient, added, atol=1e-6, rtol=1e-4)
    assert packed[0]["input_ids"].shape == (1, windows.lengths.sum())
    assert packing.computed_tokens(np.array(rows)) == windows.lengths.sum()
