"""Weights in torch's pickle format are read, converted once, and refused if they contain anything else."""

import hashlib
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import checkpoints, unpickling, weights
from tests.models.conftest import built, logits, sentence

pytestmark = pytest.mark.usefixtures("one_thread")
TWO = {"a.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.tensor([0.5], dtype=torch.float16)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "CACHE", tmp_path / "converted")
    return tmp_path / "converted"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pytorch_model.bin"


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process, to save the start of another one where it does not matter."""
    monkeypatch.setattr(weights, "_unpickle", lambda path, target: save_file(unpickling.read(path), target))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_pickle(folder: Path, dtype: torch.dtype | None = None, names: Callable[[str], bool] = bool) -> Path:
    """The folder with its safetensors replaced by pytorch_model.bin; floating-point tensors in ``dtype``."""
    tensors = load_file(folder / "model.safetensors")
    kept = {n: t.to(dtype) if dtype and t.is_floating_point() else t for n, t in tensors.items() if names(n)}
    torch.save(kept, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


class Mark:
    """Creates the folder if it is unpickled without restrictions."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class TestReading:
    @pytest.mark.parametrize("archive", [True, False])  # as torch writes it since 1.6, and as before
    def test_tensors_come_back_by_name_in_their_own_dtypes(self, file, archive):
        torch.save(TWO, file, _use_new_zipfile_serialization=archive)
        found = unpickling.read(file)
        assert found.keys() == TWO.keys()
        assert all(torch.equal(found[name], TWO[name]) and found[name].dtype == TWO[name].dtype for name in TWO)

    def test_tied_and_transposed_weights_become_separate_copies(self, file):
        matrix = torch.arange(6.0).reshape(2, 3)
        torch.save({"embeddings": matrix, "decoder": matrix, "transposed": torch.nn.Parameter(matrix.T)}, file)
        found = unpickling.read(file)
        assert torch.equal(found["decoder"], matrix) and torch.equal(found["transposed"], matrix.T)
        assert len({tensor.untyped_storage().data_ptr() for tensor in found.values()}) == 3
        assert all(type(tensor) is torch.Tensor and tensor.is_contiguous() for tensor in found.values())

    @pytest.mark.parametrize("archive", [True, False])
    def test_code_is_named_and_never_executed(self, file, tmp_path, archive):
        mark = tmp_path / "mark"
        torch.save(TWO | {"c": Mark(mark)}, file, _use_new_zipfile_serialization=archive)
        with pytest.raises(StudyError) as error:
            unpickling.read(file)
        assert sentence(error).startswith(f"{file}: refers to posix.mkdir; ")
        assert not mark.exists()

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ([torch.zeros(2)], "holds a value of type list; expected named tensors"),
            (torch.zeros(2), "holds a value of type Tensor; expected named tensors"),
            ({"model": TWO}, "holds a value of type dict under model; expected tensors only"),
            ({"a": torch.zeros(2), "epoch": 3}, "holds a value of type int under epoch; expected tensors only"),
            ({1: torch.zeros(2)}, "has the key 1, "),
            ({"__metadata__": torch.zeros(2)}, "has the key '__metadata__', "),
            ({"a": torch.zeros(2, 2).to_sparse()}, "a is float32, sparse_coo, cpu; expected a dense tensor"),
            ({"a": torch.zeros(2, device="meta")}, "a is float32, strided, meta; expected a dense tensor"),
            ({"a": torch.zeros(2, dtype=torch.complex64)}, "a is complex64, strided, cpu; expected a dense tensor"),
            (
                {"a": torch.zeros(1).expand(10**12)},
                "its tensors would take 4,000,000,000,000 bytes, though it has only",
            ),
            (torch.nn.Linear(2, 2), "refers to torch.nn.modules.linear.Linear; "),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_anything_but_named_tensors_is_refused(self, file, content, reason):
        torch.save(content, file)
        with pytest.raises(StudyError) as error:
            unpickling.read(file)
        assert sentence(error).startswith(f"{file}: {reason}")

    @pytest.mark.parametrize("archive", [True, False])
    @pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.99])
    def test_a_file_that_is_cut_short_is_refused(self, file, archive, part):
        torch.save(TWO, file, _use_new_zipfile_serialization=archive)
        written = file.read_bytes()
        file.write_bytes(written[: int(part * len(written))])
        with pytest.raises(StudyError) as error:
            unpickling.read(file)
        assert sentence(error).startswith(f"{file}: ")

    @pytest.mark.parametrize(
        "content",
        [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", b"<html>", pickle.dumps([*TWO])],
        ids=["pointer", "page", "pickle"],
    )
    def test_what_torch_did_not_write_is_refused_unopened(self, file, content, monkeypatch):
        monkeypatch.setattr(torch, "load", None)
        file.write_bytes(content)
        with pytest.raises(StudyError, match=r"is not a file written by torch\.save"):
            unpickling.read(file)

    def test_a_compressed_archive_is_refused_unopened(self, file, tmp_path, monkeypatch):
        torch.save({"a": torch.zeros(1000, 1000)}, tmp_path / "plain.bin")
        with (
            zipfile.ZipFile(tmp_path / "plain.bin") as plain,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
        ):
            for name in plain.namelist():
                packed.writestr(name, plain.read(name))
        monkeypatch.setattr(torch, "load", None)
        with pytest.raises(StudyError) as error:
            unpickling.read(file)
        unpacked = sum(entry.file_size for entry in zipfile.ZipFile(file).infolist())
        assert sentence(error).startswith(
            f"{file}: holds {unpacked:,} bytes in {file.stat().st_size:,}, so it is compressed"
        )

    @pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
    def test_a_program_of_torchscript_is_refused(self, file):
        torch.jit.script(torch.nn.Linear(2, 2)).save(file)
        with pytest.raises(StudyError, match="is a TorchScript program"):
            unpickling.read(file)


class TestConversion:
    def test_a_file_is_converted_once_and_both_digests_are_known(self, file, cache, monkeypatch):
        torch.save(TWO, file)
        (made,) = weights.conversions(file.parent)
        assert (made.file, made.sha256) == ("pytorch_model.bin", sha256(file))
        assert made.path == cache / sha256(file) / f"{sha256(made.path)}.safetensors"
        assert all(torch.equal(tensor, TWO[name]) for name, tensor in load_file(made.path).items())
        assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]
        monkeypatch.setattr(weights, "_unpickle", None)
        assert weights.conversions(file.parent) == [made]

    def test_a_conversion_that_was_damaged_since_is_made_again(self, file, in_this_process):
        torch.save(TWO, file)
        (made,) = weights.conversions(file.parent)
        written = made.path.read_bytes()
        made.path.write_bytes(b"damaged")
        assert weights.conversions(file.parent) == [made]
        assert made.path.read_bytes() == written

    def test_excessive_memory_is_refused_and_leaves_nothing(self, file, cache):
        torch.save({"a": torch.zeros(7, dtype=torch.uint8)}, file, _use_new_zipfile_serialization=False)
        # Before the archives, a storage's size stood in the pickle: here 7, as a byte (K), and then 2³², as five bytes.
        more = b"\x8a\x05" + (2**32).to_bytes(5, "little")
        content, found = re.subn(
            rb"(cpuq.)K\x07N", lambda old: old[1] + more + b"N", file.read_bytes(), flags=re.DOTALL
        )
        assert found == 1
        file.write_bytes(content)
        with pytest.raises(StudyError) as error:
            weights.conversions(file.parent)
        assert sentence(error).startswith(f"{file}: asks for more memory than ")
        assert [*cache.iterdir()] == []

    def test_code_is_refused_from_the_other_process_too(self, file, tmp_path):
        torch.save({"a": Mark(tmp_path / "mark")}, file)
        with pytest.raises(StudyError) as error:
            weights.conversions(file.parent)
        assert sentence(error).startswith(f"{file}: refers to posix.mkdir; ")
        assert not (tmp_path / "mark").exists()

    def test_a_file_that_takes_too_long_to_read_is_refused_and_says_so(self, file, monkeypatch):
        # A key of pairs of pairs ..., each of one pair twice: its hash takes 2⁶⁰ steps, though it is written in 60.
        pairs = b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(60))  # get n twice, pair them, put n + 1
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02)q\x00" + pairs + b"}h\x3cNs.")  # {pair 60: None}
            archive.writestr("archive/version", b"3\n")
        monkeypatch.setattr(weights, "_SECONDS", 1)
        with pytest.raises(StudyError) as error:
            weights.conversions(file.parent)
        assert sentence(error).startswith(f"{file}: took more than 1 s ")

    @pytest.mark.parametrize(
        ("end", "reason"),
        [
            ("kill -KILL $$", "the process that read it was killed, most likely because the machine ran out of "),
            ("kill -ABRT $$", "crashed the process that read it (Aborted); it is damaged or asks for too much"),
            ("echo 'a: b' >&2; exit 3", "the process that read it ended with code 3 (a: b)"),
        ],
    )  # fmt: skip
    def test_a_process_that_fails_leaves_a_reason_and_nothing_else(
        self, file, tmp_path, cache, monkeypatch, end, reason
    ):
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{end}\n")
        program.chmod(0o700)
        torch.save(TWO, file)
        monkeypatch.setattr(weights.sys, "executable", str(program))
        with pytest.raises(StudyError) as error:
            weights.conversions(file.parent)
        assert sentence(error).startswith(f"{file}: {reason}")
        assert [*cache.iterdir()] == []


@pytest.mark.usefixtures("in_this_process")
class TestFolders:
    def test_half_precision_weights_come_back_in_fp32_from_the_pickle_alone(self, checkpoint):
        folder = as_pickle(checkpoint("squeezebert"), torch.float16)
        network = checkpoints.load(folder).eval()
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        assert torch.equal(logits(network), logits(built("squeezebert").half().float()))
        assert not any(folder.glob("*.safetensors"))

    def test_weights_in_several_pickles_are_put_together(self, checkpoint, tmp_path):
        folder = checkpoint()
        tensors = load_file(folder / "model.safetensors")
        index = {
            name: f"pytorch_model-0000{1 + number % 2}-of-00002.bin" for number, name in enumerate(sorted(tensors))
        }
        for shard in set(index.values()):
            torch.save({name: tensors[name] for name in index if index[name] == shard}, folder / shard)
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
        (folder / "model.safetensors").unlink()
        assert torch.equal(logits(checkpoints.load(folder).eval()), logits(built()))
        (folder / shard).unlink()
        with pytest.raises(StudyError, match=f"{shard}: is missing, though pytorch_model.bin.index.json names it"):
            checkpoints.check(folder)

    @pytest.mark.parametrize("name", ["../pytorch_model-00001-of-00001.bin", "other.bin", 1, None])
    def test_an_index_names_shards_of_its_folder_only(self, tmp_path, name):
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(StudyError, match=r"index\.json: names .*; expected a file like pytorch_model-00001"):
            weights.pickles(tmp_path)

    @pytest.mark.parametrize("content", [[], {}, {"weight_map": {}}, {"weight_map": ["a"]}])
    def test_an_index_maps_tensors_to_shards(self, tmp_path, content):
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(content))
        with pytest.raises(StudyError, match="must have a weight_map"):
            weights.pickles(tmp_path)

    def test_a_pickle_is_ignored_if_there_are_safetensors(self, checkpoint, cache):
        folder = checkpoint()
        (folder / "pytorch_model.bin").write_bytes(b"whatever")
        assert torch.equal(logits(checkpoints.load(folder).eval()), logits(built()))
        assert weights.conversions(folder) == [] and not cache.exists()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (
                lambda tensor: tensor[:-1],
                r"word_embeddings\.weight is \(59, 16\) in its weights, but \(60, 16\) by its",
            ),
            (lambda tensor: tensor.to(torch.uint8), r"word_embeddings\.weight is U8 in its weights; expected one of"),
        ],
        ids=["shape", "dtype"],
    )
    def test_weights_of_another_shape_or_dtype_are_refused_by_name(self, checkpoint, change, reason):
        folder = as_pickle(checkpoint())
        tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
        name = "bert.embeddings.word_embeddings.weight"
        torch.save(tensors | {name: change(tensors[name])}, folder / "pytorch_model.bin")
        with pytest.raises(StudyError, match=reason) as error:
            checkpoints.load(folder)
        assert sentence(error).startswith(f"{folder}: ")

    def test_weights_that_lack_a_layer_are_refused(self, checkpoint):
        folder = as_pickle(checkpoint(), names=lambda name: "layer.0." not in name)
        with pytest.raises(StudyError, match=r"its weights lack bert\.encoder\.layer\.0\..* and 15 more"):
            checkpoints.load(folder)

    def test_two_folders_with_the_same_weights_share_one_conversion(self, checkpoint, tmp_path, cache):
        folder = as_pickle(checkpoint())
        copy = shutil.copytree(folder, tmp_path / "copy")
        assert weights.conversions(folder) == weights.conversions(copy)
        assert len([*cache.glob("*/*.safetensors")]) == 1
