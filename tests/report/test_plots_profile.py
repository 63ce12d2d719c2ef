"""What notebook 3 shows: times with intervals over passes at their lengths, and memory as bars."""

from typing import Any

import numpy as np
import pytest

from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.profiling.latency import Timing
from qa_tradeoffs.report import plots_profile


def timing(work: str, batch: int, length: int, *passes: float, precision: str = "fp32") -> Timing:
    seconds = np.array(passes)[:, None] if passes else np.empty((0, 0))
    return Timing(work, seconds, {"batch_size": batch, "length": length, "precision": precision})


def test_times_stand_at_their_lengths_with_their_intervals_a_line_per_batch_and_a_panel_per_work():
    shown = plots_profile.latency(
        [
            timing("forward", 1, 32, 0.009, 0.010, 0.01 / 0.9), timing("forward", 1, 64, 0.02, 0.02),
            timing("forward", 8, 64, 0.2, 0.2), timing("forward", 1, 32, 0.5, 0.5, precision="bf16"),
            timing("training_step", 8, 32, 0.6, 0.6), timing("training_forward", 8, 32, 0.1, 0.1),
            timing("training_step", 8, 64),  # the memory did not suffice
        ]
    )  # fmt: skip
    forward, step = shown.figure.axes
    assert [axes.get_title() for axes in (forward, step)] == ["forward pass", "training step"]
    lines = [container[0].get_xydata() for container in forward.containers]
    assert [line.tolist() for line in lines] == [
        [pytest.approx([32, 10]), pytest.approx([64, 20])], [pytest.approx([64, 200])]
    ]  # fmt: skip
    (bar, _) = forward.containers[0][2][0].get_segments()
    half = 4.302653 * np.log(1 / 0.9) / np.sqrt(3)  # Student's t at 2 degrees of freedom
    assert bar[:, 1] == pytest.approx([10 * np.exp(-half), 10 * np.exp(half)])
    assert forward.get_yscale() == "log"  # over a decade
    assert step.containers[0][0].get_xydata().tolist() == [pytest.approx([32, 600])]
    assert step.get_yscale() == "linear"
    assert [text.get_text() for text in forward.texts] == ["batch 1", "batch 8"]
    assert "forward pass 200 ms at 8 × 64 tokens" in shown.alt


def test_a_grid_that_was_too_large_has_no_chart():
    assert "None:" in plots_profile.latency([timing("forward", 1, 32)]).markup


def peak(network: str, batch: int, **settings: Any) -> list[Record]:
    at = {"network": network, "precision": "fp32", "batch_size": batch, "length": 64}
    if not settings:
        return [Record.of("out_of_memory", 1, "1", conditions=at)]
    return [
        Record.of("peak_memory_bytes", mib * 2**20, "bytes", conditions=at | {"measure": measure})
        for measure, mib in settings.items()
    ]


def test_memory_is_bars_a_panel_per_network_with_the_part_inside_the_whole():
    study = peak("study", 1, resident_above_baseline=30, resident_above_network=10) + peak("study", 8)
    shown = plots_profile.memory(study + peak("full size", 1, resident_above_baseline=500, resident_above_network=90))
    small, large = shown.figure.axes
    assert [bar.get_width() for bar in small.patches] == [30, 0, 10, 0]
    assert [bar.get_width() for bar in large.patches] == [500, 90]
    assert [label.get_text() for label in small.get_yticklabels()] == ["1 × 64", "8 × 64"]
    assert [text.get_text() for text in small.texts] == ["30 MiB", "out of memory"]
    assert small.get_xlim()[0] == large.get_xlim()[0] == 0
    assert "full size network, 1 × 64: 500 MiB" in shown.alt


def test_on_a_gpu_reserved_memory_is_drawn_around_allocated_memory():
    axes = plots_profile.memory(peak("study", 1, allocated=20, reserved=30)).figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [30, 20]


def test_a_system_that_does_not_count_memory_has_no_chart():
    assert "None:" in plots_profile.memory([]).markup
