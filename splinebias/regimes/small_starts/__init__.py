"""Populations of neurons from small starts: what they feel first, and how they move; whoever predicts is one folder up.

Networks of a `Problem` are trained in training/.
"""
