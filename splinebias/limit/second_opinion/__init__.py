"""A spot check of predictions by rules that no solver uses: what is found, on which numbers, from which integrals.

Nothing here solves; solvers import none of it.
"""
