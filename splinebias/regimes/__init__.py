"""Networks away from the lazy limit: small starts, early alignment, large bias, predicted without training.

What is measured beside a prediction is a population of neurons on arrays; networks of a `Problem` belong to training/.
"""
