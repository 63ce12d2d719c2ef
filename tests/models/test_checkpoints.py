"""Checkpoints are read back unchanged, and unsafe or broken ones are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import checkpoints
from tests.conftest import SIZES
from tests.models.conftest import built, local, logits, sentence, tiny

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("architecture", SIZES)
def test_a_saved_network_comes_back_with_the_same_logits(checkpoint, architecture):
    folder = checkpoint(architecture)
    checkpoints.check(folder)
    assert torch.equal(logits(checkpoints.load(folder).eval()), logits(built(architecture)))


def test_only_safetensors_are_written(checkpoint):
    names = {path.name for path in checkpoint().iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_saving_replaces_the_old_content_of_the_folder(checkpoint, tmp_path):
    folder = checkpoint()
    (folder / "model-00001-of-00002.safetensors").touch()
    assert "model-00001-of-00002.safetensors" not in {path.name for path in checkpoint().iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_failure_to_save_leaves_the_old_checkpoint(checkpoint):
    class Broken:
        def save_pretrained(self, folder: Path) -> None:
            raise OSError("disk full")

    folder = checkpoint()
    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(built(seed=7), Broken(), folder)
    assert torch.equal(logits(checkpoints.load(folder).eval()), logits(built()))


def for_another_library(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "tf_model.h5")


def rewritten(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (for_another_library, ": has no weights; expected model.safetensors, or pytorch_model.bin"),
        (lambda folder: (folder / "config.json").unlink(), ": is not a checkpoint; expected config.json, "),
        (rewritten("config.json", "{"), "/config.json: is not JSON ("),
        (rewritten("config.json", "[]"), "/config.json: must be a mapping of keys, not list"),
        (rewritten("config.json", '{"auto_map": {}}'), "/config.json: needs custom code (auto_map)"),
        (rewritten("config.json", '{"model_type": "vit"}'), ": cannot be loaded for question answering ("),
        (rewritten("model.safetensors", "none"), ": cannot be loaded for question answering ("),
    ],
)
def test_a_folder_that_is_not_a_safe_checkpoint_is_refused(checkpoint, change, said):
    folder = checkpoint()
    change(folder)
    with pytest.raises(StudyError) as error:
        checkpoints.load(folder)
    assert sentence(error).startswith(f"{folder}{said}")


def test_a_local_model_is_checked_as_it_is_located(checkpoint, tmp_path):
    folder = checkpoint()
    assert checkpoints.locate(local(folder)) == folder
    assert checkpoints.locate(tiny()) is None
    with pytest.raises(StudyError, match="absent: there is no such folder"):
        checkpoints.locate(local(tmp_path / "absent"))


def test_weights_that_do_not_match_the_config_are_refused(checkpoint):
    folder = checkpoint(num_hidden_layers=2)  # a layer has 16 weights and biases
    with pytest.raises(StudyError) as error:
        checkpoints.load(folder)
    assert sentence(error).startswith(
        f"{folder}: its weights lack bert.encoder.layer.1.attention.output.LayerNorm.bias and 15 more; "
    )


def test_only_a_checkpoint_of_the_hub_has_a_revision(tmp_path):
    assert checkpoints.revision(local(tmp_path), tmp_path) is None
    assert checkpoints.revision(tiny(), None) is None
