"""Networks away from the lazy limit: the rich end, small starts, early alignment, large bias.

Predicted without training; what is measured beside it is a population of neurons on arrays, networks belong to training/.
"""
