"""Arithmetic on arrays: exact match and F1, no-answer, intervals and tests, calibration, costs, FLOPs."""
