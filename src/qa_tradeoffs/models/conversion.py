"""Modules replaced by modules of another class that hold the same parameters: another computation, equal weights."""

from collections.abc import Mapping

from torch.nn import Module


def convert(network: Module, classes: Mapping[type[Module], type[Module]]) -> Module:
    """Put a new module in the place of each one of exactly a class among ``classes``, of the class it maps to.

    A new module has the parameters, buffers, submodules and settings of the old one: the classes may differ in how
    they compute, not in what they hold. Returns ``network``, or what replaces it where it is of such a class itself.
    """
    new = {old: _rebuilt(old, classes[type(old)]) for old in network.modules() if type(old) in classes}
    converted = new.get(network, network)
    for path, old in list(network.named_modules(remove_duplicate=False)):  # a module before those inside it
        if path and old in new:
            converted.set_submodule(path, new[old])
    return converted


def _rebuilt(old: Module, kind: type[Module]) -> Module:
    """A module of another class around the same parts; building one from its settings would draw random weights."""
    module = kind.__new__(kind)
    vars(module).update(vars(old) | {"_modules": old._modules.copy()})
    return module
