"""A data set of the Hub in a local folder: loading the config and splits that the study names."""

from pathlib import Path
from typing import Any

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.study.config import HubData

_KINDS = ("*.parquet", "*.json", "*.jsonl", "*.csv", "*.json.gz", "*.jsonl.gz", "*.csv.gz")
# File types that load_dataset reads without running code, after the card, which may assign files to splits.
FILES = ["README.md", *_KINDS]


def load(folder: Path, data: HubData) -> Any:
    """The splits by name, including those that the study names. Raises StudyError."""
    import datasets

    datasets.disable_progress_bars()
    at = f"{data.name} at {data.revision}"
    try:
        configs = datasets.get_dataset_config_names(str(folder))
        chosen = _config(configs, folder, data)
        splits = datasets.load_dataset(str(folder), **chosen)
    except StudyError:
        raise
    except Exception as error:  # the library raises some ten types for files it cannot read
        reason, kinds = one_line(error.__cause__ or error), ", ".join(_KINDS)
        raise StudyError(
            f"data: {at} cannot be loaded as a data set ({reason}); expected files with SQuAD's columns, named "
            f"after their splits, as {kinds}"
        ) from None
    named = {"split": data.split} if data.split else {}
    named = named or {"train_split": data.train_split, "validation_split": data.validation_split}
    for key, split in named.items():
        if split not in splits:
            raise StudyError(
                f"data: {data.name} has no split '{split}', only {', '.join(splits)}; name one of these as "
                f"`data.{key}`, or as `data.split` to have it split by article"
            )
    return splits


def _config(configs: list[str], folder: Path, data: HubData) -> dict[str, str]:
    """Arguments of load_dataset; without a card, each folder is a config, as in the Hub's own parquet conversions."""
    if data.config is None:
        if len(configs) > 1 and "default" not in configs:
            raise StudyError(f"data: {data.name} has the configs {', '.join(configs)}; name one as `data.config`")
        return {}
    if data.config in configs:
        return {"name": data.config}
    if (folder / data.config).resolve().parent == folder.resolve() and (folder / data.config).is_dir():
        return {"data_dir": data.config}
    asked = one_line(data.config, 40)
    raise StudyError(f"data.config: {data.name} has no config '{asked}'; it has {', '.join(configs)}")
