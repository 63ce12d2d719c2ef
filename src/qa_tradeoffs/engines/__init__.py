"""Engines that run a trained network in service; asking a checkpoint."""
