"""From result files to tables and verdicts; needs neither matplotlib nor torch."""
