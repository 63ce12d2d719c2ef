"""Questions from the Hub, from files or generated, and the windows of tokens that they become."""
