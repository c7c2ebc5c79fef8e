"""Gradient flow by exact steps of single neurons, for networks whose features move."""
