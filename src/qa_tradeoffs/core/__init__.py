"""Errors, files, reading YAML and JSON, locks, progress, the Hub: what every wing stands on."""
