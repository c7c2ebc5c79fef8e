"""The dual problem over multipliers, by a globalized Newton method on quadratures that follow it.

Quadratic problems that need no Newton step have solvers of their own beside this folder.
"""
