"""Data sets of the regimes: eight points, with two targets of which one has mean zero."""

import numpy as np

import splinebias as sb

X = np.array([-0.9, -0.65, -0.4, -0.1, 0.15, 0.45, 0.7, 0.95])
C8 = sb.Dataset(X, [0.4, -0.3, 0.2, 0.6, -0.1, -0.5, 0.1, 0.3])
Z8 = sb.Dataset(X, [0.2, 0, -0.5, -0.2, 0, 0.2, 0.6, -0.3])
