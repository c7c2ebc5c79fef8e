"""The function of infinitely wide networks, at the end of training and on the way.

Nothing here draws or trains a network.
"""
