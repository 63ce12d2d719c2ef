"""Questions from the Hub, from files or generated, and their windows of tokens."""
