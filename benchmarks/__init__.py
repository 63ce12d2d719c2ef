"""Ours beside the plain recipe, alternating in one process: python -m benchmarks [PIECE ...]"""
