r"""How many breakpoints training carries to a data point in networks whose hidden layers are trained (`NTK`).

To leading order a hidden unit with output weight a moves by
:math:`\Delta(w, b) = n^{-1/2}\, a \sum_i \lambda_i\, \sigma'(w x_i + b)\, (x_i, 1)`. The tangent kernel of a smooth
activation then changes by O(1/n), because the two units of an antisymmetric pair move against each other. With a kink, a
unit whose breakpoint reaches :math:`x_i` crosses it or stays there, and its part of the kernel changes by as much as it is.
A share :math:`s \propto n^{-1/2}` of all units do that, with signs that cancel in the mean: the variance of :math:`f_n` is
larger than that of the kernel at the start by a relative O(s). That is what the leading order leaves out, and why it is
reached slowly: on data set A with standard normal w, b and a, at infinite time, the excess is about 25 s.
"""

from __future__ import annotations

import numpy as np

from splinebias._array import Array
from splinebias.initialization.laws import as_law
from splinebias.parameterization import NTK
from splinebias.problem import Problem


def crossing_share(problem: Problem, multipliers: Array, width: int, seed: int = 0) -> float:
    r"""The s above, by Monte Carlo over 100,000 units; 0 where hidden layers are not trained or have no kink.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    multipliers : Array, shape (M,)
        Those of the prediction, at whatever training time.
    width : int
        The number n of units.
    seed : int
        Of the units.

    Notes
    -----
    Units are taken to move straight, with the pattern of active data that they start with; of trained networks about twice
    as many touch data. *Not checked:* that s is small; where it is not, it is itself wrong.
    """
    if not isinstance(problem.parameterization, NTK) or problem.activation.two_slopes is None:
        return 0.0
    rng, x, draws = np.random.default_rng(seed), problem.data.x, 100_000
    w, b = problem.initialization.pair_law.sample(draws, rng)
    a = as_law(problem.initialization.output, "output").sample(draws, rng)
    crossed, block = 0, max(1, 2_000_000 // x.size)  # pre-activations in memory
    for start in range(0, draws, block):
        at = slice(start, start + block)
        z = np.multiply.outer(w[at], x) + b[at, None]
        pull = np.asarray(problem.activation.derivative(z)) * multipliers
        moved = (a[at] / np.sqrt(width))[:, None] * np.stack([pull @ x, pull.sum(axis=1)], axis=1)
        after = z + moved[:, :1] * x + moved[:, 1:]
        crossed += int(((z > 0) != (after > 0)).any(axis=1).sum())
    return crossed / draws
