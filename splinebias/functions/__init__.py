"""Functions on the line that answer f(x, nu=0), and how far two of them are apart.

Where a function comes from is not known here.
"""
