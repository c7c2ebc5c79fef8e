"""From the law of (w, b) to breakpoints c = -b/w and the curvature densities zeta(c).

What a potential or an activation makes of them belongs to `limit`.
"""
