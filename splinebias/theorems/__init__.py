"""Verdicts on theorems: what a paper claims, beside what trained networks do.

No mathematics of its own: predictions and measurements come from the folders below.
"""
