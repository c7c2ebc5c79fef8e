"""Limits of networks of several inputs: kernels in closed form or by quadrature, and their solve.

Nothing here has an axis of breakpoints.
"""
