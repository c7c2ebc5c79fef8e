"""Infinitely wide networks that learn features: particles that stand for the neurons, and the path that they take.

Nothing here knows of finite widths: what these add is in finite_width/mean_field.
"""
