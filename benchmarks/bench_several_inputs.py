"""Several inputs: building and evaluating limits beside scipy's RBFInterpolator and scikit-learn's Gaussian process.

Uniform random points on the square. For w on the circle and a free affine part the limit *is* the cubic RBF interpolant,
which the table has to confirm; for Gaussian (w, b) it is the mean of a Gaussian process with the arc-cosine kernel, or if
both layers are trained with the tangent kernel, given to scikit-learn as a fixed kernel. PyTorch's default has no closed
form on half of the square: it is integrated over directions.
"""

from __future__ import annotations

import numpy as np
import scipy.stats as st
from scipy.interpolate import RBFInterpolator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times
from splinebias.limit.several_inputs.closed_kernels import ArcCosine
from splinebias.limit.several_inputs.tangent_kernels import TangentArcCosine

SPHERE = sb.Initialization.sphere(st.uniform(-1.5, 3), dim=2)
GAUSSIAN = sb.Initialization.gaussian(dim=2)
BOTH_LAYERS = sb.Initialization(pair=GAUSSIAN.pair, output=st.norm())
TORCH = sb.Initialization.pytorch_default(dim=2)


class ArcCosineKernel(Kernel):
    """The kernel of standard normal (w, b), of the output layer or of both, as scikit-learn asks for one."""

    def __init__(self, both=False):
        self.both = both

    def __call__(self, X, Y=None, eval_gradient=False):
        """K at all pairs, and an empty gradient."""
        kernel = TangentArcCosine(sb.ReLU(), 1.0, 1.0, 1.0) if self.both else ArcCosine(sb.ReLU(), 1.0, 1.0)
        matrix = kernel.matrix(X, X if Y is None else Y)
        return (matrix, np.empty((*matrix.shape, 0))) if eval_gradient else matrix

    def diag(self, X):
        """K at the points themselves."""
        return ((X**2).sum(axis=1) + 1) * (1 + self.both) / 2

    def is_stationary(self):
        """Whether K depends on differences only: it does not."""
        return False


def points(size):
    """`size` points of a smooth function on the square."""
    x = np.random.default_rng(0).uniform(-1, 1, (size, 2))
    return sb.Points(x, np.sin(3 * x[:, 0]) * x[:, 1])


def process(data, both=False):
    """scikit-learn's Gaussian process with the same kernel, hardly any noise, and nothing to optimize."""
    found = GaussianProcessRegressor(ArcCosineKernel(both), alpha=1e-13, optimizer=None)
    return found.fit(data.x, data.y)


def bench_sphere(benchmark):
    found = benchmark.pedantic(sb.predict, (sb.Problem(points(1000), SPHERE, affine="free"),), rounds=3, warmup_rounds=1)
    assert found.outcome is sb.Outcome.CONVERGED


def bench_gaussian(benchmark):
    benchmark.pedantic(sb.predict, (sb.Problem(points(1000), GAUSSIAN),), rounds=3, warmup_rounds=1)


def tabulate(*, full: bool) -> str:
    """Seconds to build, ratios to scipy, and to scikit-learn where the kernel is the same."""
    rows, rounds = [], 3 if full else 1
    at = np.random.default_rng(1).uniform(-1, 1, (1000, 2))
    for size in (100, 1000) if full else (100,):
        data = points(size)

        def scipys(data=data):
            return RBFInterpolator(data.x, data.y, kernel="cubic", degree=1)

        cases = {
            "sphere, free affine part": (sb.Problem(data, SPHERE, affine="free"), scipys),
            "sphere": (sb.Problem(data, SPHERE), scipys),
            "Gaussian": (sb.Problem(data, GAUSSIAN), lambda data=data: process(data)),
            "Gaussian, both layers": (
                sb.Problem(data, BOTH_LAYERS, parameterization=sb.NTK()),
                lambda data=data: process(data, True),
            ),
            "PyTorch default": (sb.Problem(data, TORCH), scipys),
        }
        for name, (problem, other) in cases.items():
            if name == "PyTorch default" and size > 100:
                continue
            seconds = paired(rounds, lambda problem=problem: sb.predict(problem), other, scipys)
            found, twin = sb.predict(problem), other()
            gaussian = name.startswith("Gaussian")
            same = name.startswith("sphere, free") or gaussian
            value = twin.predict(at) if gaussian else twin(at)
            rows.append(
                [
                    f"{name}, M = {size}",
                    duration(float(np.median(seconds[:, 0]))),
                    times(1 / ratio(seconds, 2)),
                    times(1 / ratio(seconds, 1)) if gaussian else "",
                    f"{np.abs(found.function(at) - value).max():.0e}" if same else "",
                    f"{found.residual:.0e}",
                ]
            )
    header = ["law", "build", "times RBFInterpolator", "times Gaussian process", "distance to that twin", "residual"]
    return table(header, rows)
