"""Training of finite networks: a method, a loss, a mirror map, and why a run ends.

What the infinite-width limit is, is not known here.
"""
