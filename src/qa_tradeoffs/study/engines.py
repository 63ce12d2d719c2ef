"""The engines that a study may name, and their labels; the wing ``engines`` runs them."""

REFERENCE = "torch"  # the network as it was trained; all other engines are compared with it
LABELS = {
    REFERENCE: "torch",
    "torch-bf16": "bf16",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-int8": "int8",
}
# These run an exported file, which is the same however torch computes the model.
EXPORTED = frozenset({"onnxruntime", "onnxruntime-int8"})


def point(slug: str, engine: str) -> str:
    """The name in results of a model run by an engine; the slug alone for torch."""
    return slug if engine == REFERENCE else f"{slug} {engine}"  # slugs have no spaces


def model(point: str) -> str:
    """The slug in ``point``."""
    return point.partition(" ")[0]


def engine(point: str) -> str:
    """The engine in ``point``."""
    return point.partition(" ")[2] or REFERENCE
