"""Mirror flow by exponential steps."""
