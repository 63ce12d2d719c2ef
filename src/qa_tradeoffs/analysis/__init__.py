"""Tables and verdicts from result files; needs neither matplotlib nor torch."""
