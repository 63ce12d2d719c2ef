"""The engines that a study may name, and how a reader knows them; what runs them is in the wing ``engines``."""

REFERENCE = "torch"  # what all others are compared with: the network as it was trained
LABELS = {
    REFERENCE: "torch",
    "torch-bf16": "bf16",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-int8": "int8",
}
# These run a file, which is the same however torch computes the model.
EXPORTED = frozenset({"onnxruntime", "onnxruntime-int8"})


def point(slug: str, engine: str) -> str:
    """What a model run by an engine is called in results: its slug alone where that is torch."""
    return slug if engine == REFERENCE else f"{slug} {engine}"  # no slug holds a blank


def model(point: str) -> str:
    """The slug in ``point``."""
    return point.partition(" ")[0]


def engine(point: str) -> str:
    """The engine in ``point``."""
    return point.partition(" ")[2] or REFERENCE
