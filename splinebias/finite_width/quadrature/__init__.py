"""Neurons of a limit on a quadrature of the breakpoint axis, and sums over their weights: what influences are made of."""
