"""Errors, files, YAML and JSON, locks, progress and the Hub: the base of every wing."""
