"""From tables and verdicts to charts, sentences and HTML pages."""
