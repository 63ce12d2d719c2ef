"""What a training cost, in units that can be checked by hand."""

import pandas as pd
import pytest

from qa_tradeoffs.training.fitted import Fitted


def fitted_with(n_rows: int) -> Fitted:
    history = [{"step": k, "epoch": k / n_rows, "loss": 1.0 / k, "learning_rate": 1e-3} for k in range(1, n_rows + 1)]
    return Fitted(history, n_rows, 320, 8.0, 3000, 4000, resumed_at=7)


def test_the_summary_is_in_units_that_can_be_checked():
    assert fitted_with(1200).summary() == {
        "updates": "1,200, resumed at 7",
        "seconds": "8.0",
        "windows per second": "40.0",
        "tokens per second": "375",
        "share of padding": "25.0 %",
    }


@pytest.mark.parametrize(("n_rows", "steps"), [(3, [1, 2, 3]), (25, [1, 4, 7, 10, 13, 16, 19, 22, 25])])
def test_the_loss_table_is_short_and_ends_with_the_last_row(n_rows, steps):
    assert fitted_with(n_rows).loss_table()["step"].tolist() == steps


def test_the_history_is_read_back_from_its_file(tmp_path):
    fitted_with(3).write_history(tmp_path / "history.parquet")
    assert pd.read_parquet(tmp_path / "history.parquet").to_dict("records") == fitted_with(3).history
