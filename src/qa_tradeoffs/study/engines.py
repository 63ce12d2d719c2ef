"""The engines that a study may name, and what is known of each; the wing ``engines`` runs them."""

from typing import NamedTuple


class Kind(NamedTuple):
    """An engine: its ``label`` for readers, and the ``libraries`` beside torch that its results depend on.

    ``exported``: it runs an exported file, which is the same however torch computes the model.
    """

    label: str
    libraries: tuple[str, ...] = ()
    exported: bool = False


_ONNX = ("onnx", "onnxruntime", "onnxscript")
REFERENCE = "torch"  # the network as it was trained; all other engines are compared with it
KINDS = {
    REFERENCE: Kind("torch"),
    "torch-bf16": Kind("bf16"),
    "onnxruntime": Kind("ONNX Runtime", _ONNX, exported=True),
    "onnxruntime-int8": Kind("int8", _ONNX, exported=True),
}
LABELS = {name: kind.label for name, kind in KINDS.items()}
EXPORTED = frozenset(name for name, kind in KINDS.items() if kind.exported)


def point(slug: str, engine: str) -> str:
    """The name in results of a model run by an engine; the slug alone for torch."""
    return slug if engine == REFERENCE else f"{slug} {engine}"  # slugs have no spaces


def model(point: str) -> str:
    """The slug in ``point``."""
    return point.partition(" ")[0]


def engine(point: str) -> str:
    """The engine in ``point``."""
    return point.partition(" ")[2] or REFERENCE
