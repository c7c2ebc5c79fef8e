"""Mirror descent, full-batch and stochastic."""
