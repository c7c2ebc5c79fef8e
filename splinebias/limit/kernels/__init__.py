"""Kernels of features and tangents, and the solvers that write a limit as their combination."""
