"""Networks with large biases, trained: descent at the cost of active neurons, and what it shows of the predicted kernel.

Whoever predicts is one folder up.
"""
