"""What `precision: auto` resolves to, and that a CPU is identified by its instructions and not by its name."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from qa_tradeoffs.models import precisions

CPU = torch.device("cpu")
NATIVE = precisions.native_bf16.__wrapped__  # without its cache, and as it is outside tests


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx2": True, "avx512_f": False}, ("avx2",)),
        ({"avx2": True, "avx_vnni": True}, ("avx2", "vnni")),
        (
            {"avx2": True, "avx512_f": True, "avx512_vnni": True, "avx512_bf16": True},
            ("avx2", "avx512", "vnni", "bf16"),
        ),
        ({"neon": True, "bf16": True, "sve": True}, ("bf16", "neon", "sve")),
        ({}, ()),
    ],
)
def test_instruction_sets_have_short_names_on_x86_and_on_arm(flags, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    assert precisions.instruction_sets() == expected


@pytest.mark.parametrize(
    ("sets", "speedup", "expected"),
    [
        (("avx512", "bf16"), 2.1, True),
        (("avx512", "bf16"), 0.4, False),
        (("avx512",), 2.1, False),
        (("amx",), 3.0, True),
    ],
)
def test_bf16_is_native_if_there_are_instructions_and_the_library_uses_them(sets, speedup, expected, monkeypatch):
    monkeypatch.setattr(precisions, "instruction_sets", lambda: sets)
    monkeypatch.setattr(precisions, "bf16_speedup", lambda: speedup)
    assert NATIVE("cpu") is expected


@pytest.mark.parametrize(
    ("requested", "native", "expected"),
    [("auto", True, "bf16"), ("auto", False, "fp32"), ("fp32", True, "fp32"), ("bf16", False, "bf16")],
)
def test_auto_is_bf16_if_it_is_native_and_a_request_is_kept(requested, native, expected, monkeypatch):
    monkeypatch.setattr(precisions, "native_bf16", lambda device_type: native)
    assert precisions.chosen(requested, CPU) == expected
    slower = requested == "bf16" and not native
    assert ("slower" in precisions.in_words(requested, CPU)) is slower


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the variable is for x86")
def test_a_processor_that_only_emulates_bf16_gets_fp32():
    older = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    code = "from qa_tradeoffs.models import precisions as p, devices as d; print(p.chosen('auto', d.choose('cpu')))"
    run = subprocess.run([sys.executable, "-c", code], env=older, capture_output=True, text=True, check=True)
    assert run.stdout == "fp32\n"
