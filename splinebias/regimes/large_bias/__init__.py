"""Networks whose hidden biases start at a large -B: their kernel, and networks trained beside it, by their active neurons.

Nothing here is drawn or trained as elsewhere: signs are fixed, and dead neurons are not kept.
"""
