"""Model cards, uploads to the Hub, and the committed snapshot of a report."""
