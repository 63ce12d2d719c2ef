"""How often training synchronises with a GPU, counted on a CPU as reads of values computed on a device.

How long such a wait takes was not measured. Copies to a GPU are pinned and asynchronous (Trainer's data loader).
"""

import traceback
from collections import Counter
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_READS = {"aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::masked_select"}
_ON_THE_HOST = {"dataloader.py", "fast_dropout.py", "packing.py"}  # numbers that are never on a GPU
_MASKS = "masking_utils.py"  # of transformers, which checks once per forward pass whether a mask hides anything


class Reads(TorchDispatchMode):
    """The number of operations whose result the host has to know, by file."""

    def __init__(self) -> None:
        super().__init__()
        self.by_file: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name in _READS:
            files = {frame.filename.split("/")[-1] for frame in traceback.extract_stack()[-8:]}
            known = (name for name in (*_ON_THE_HOST, _MASKS) if name in files)
            self.by_file[next(known, "others")] += 1
        return func(*args, **kwargs or {})


def test_an_update_reads_less_than_one_number_of_the_device_beside_one_for_each_mask(network_of, fit):
    with Reads() as reads:
        fitted = fit(network_of(), epochs=80)
    assert fitted.steps == 240
    # Each of 50 rows of the log reads two numbers, the check of the loss after every tenth update one, and the end of
    # training one per weight.
    assert reads.by_file["others"] < fitted.steps
    assert reads.by_file[_MASKS] <= fitted.steps + 5  # an update is one part here; some forward passes come before
