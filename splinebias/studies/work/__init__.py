"""Batches of runs and where they are computed."""
