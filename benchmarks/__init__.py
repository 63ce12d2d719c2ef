"""Our code beside the usual recipes, interleaved, in separate processes: python -m benchmarks [ROW ...]"""
