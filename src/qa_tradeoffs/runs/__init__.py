"""Result files, what makes one stale, running a notebook, the forecast."""
