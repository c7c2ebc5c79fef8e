"""Numbers and linear algebra that know no network: quadrature rules, cells, banded systems, roots, collocation.

Nothing here may import a noun of the theory.
"""
