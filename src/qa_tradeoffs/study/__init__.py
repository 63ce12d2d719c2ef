"""The study file as types, its prices, and the figures that others published."""
