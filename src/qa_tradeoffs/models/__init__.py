"""Checkpoints, tokenizers, devices; SqueezeBERT as matrix products; fast dropout."""
