"""Linear splines of least norm, in the parts that the verbs of `regimes` are made of: slopes, paths, sectors, certificates.

Nothing here knows a network, a law or a file: arrays in, arrays out.
"""
