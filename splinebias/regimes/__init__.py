"""Networks away from the lazy limit: the rich end, where the least norm decides, exactly.

No network is trained here and no law of an initialization is sampled: these are limits.
"""
