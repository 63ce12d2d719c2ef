"""Durations as a reader sees them."""

import pandas as pd

from qa_tradeoffs.report import provenance

COLUMNS = ["notebook", "model", "seed", "started", "seconds"]
DURATIONS = pd.DataFrame(
    [
        ("1-train", "BERT", "1", "2026-01-02T13:04:05.6+01:00", 90.0),
        ("3-profile", "BERT", "", "2026-01-02T11:00:00+00:00", 30.5),
        ("3-profile", "DistilBERT", "", None, None),  # run by hand
    ],
    columns=COLUMNS,
)


def test_durations_are_in_utc_and_what_is_not_known_says_so():
    table = provenance.durations_table(DURATIONS).cells
    assert table["started, UTC"].tolist() == ["2026-01-02 12:04", "2026-01-02 11:00", "not recorded"]
    assert table["took"].tolist() == ["90.0 s", "30.5 s", "not recorded"]


def test_the_total_is_over_what_is_known():
    assert list(provenance.total(DURATIONS).values()) == ["2026-01-02 11:00", "2.01 min"]
    assert list(provenance.total(DURATIONS.tail(1)).values()) == ["not recorded", "not recorded"]
