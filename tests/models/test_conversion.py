"""A converted network computes otherwise with the same parameters, and knows no more of the old class."""

import torch
from torch.nn import Linear, Sequential

from qa_tradeoffs.models.squeezebert import convert


class Doubled(Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Reversed(Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in reversed(self):
            x = module(x)
        return x


X = torch.tensor([[1.0, -2.0]])


def test_modules_are_replaced_wherever_they_are_by_others_of_the_same_parameters():
    shared = Linear(2, 2)
    network = Sequential(shared, Sequential(torch.nn.Tanh(), shared))
    wanted = 2 * shared(torch.tanh(2 * shared(X)))
    parameters = dict(network.named_parameters())
    state = torch.get_rng_state()
    assert convert(network, {Linear: Doubled}) is network
    assert torch.equal(torch.get_rng_state(), state)  # no weights are drawn
    assert torch.equal(network(X), wanted)
    assert network[0] is network[1][1]  # a module in two places is still one
    assert all(parameters[name] is parameter for name, parameter in network.named_parameters())
    assert type(shared) is Linear  # the old module is as it was


def test_a_replaced_module_inside_a_replaced_one_and_the_network_itself():
    network = Sequential(Linear(2, 2), Sequential(Linear(2, 2), torch.nn.Tanh())).eval()
    first, second = network[0], network[1][0]
    converted = convert(network, {Linear: Doubled, Sequential: Reversed})
    assert [type(module) for module in converted.modules()] == [Reversed, Doubled, Reversed, Doubled, torch.nn.Tanh]
    assert torch.equal(converted(X), 2 * first(2 * second(torch.tanh(X))))
    assert not any(module.training for module in converted.modules())
    assert type(network[0]) is Linear


def test_only_modules_of_exactly_the_class_are_replaced():
    network = Sequential(Doubled(2, 2))
    (module,) = network
    convert(network, {Linear: Reversed})
    assert network[0] is module
