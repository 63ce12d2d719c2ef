"""Result files and their staleness, executing notebooks, the forecast."""
