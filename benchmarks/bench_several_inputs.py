"""Several inputs: building and evaluating limits beside scipy's RBFInterpolator and scikit-learn's Gaussian process.

Uniform random points on the square. For w on the circle and a free affine part the limit *is* the cubic RBF interpolant,
which the table has to confirm; for Gaussian (w, b) it is the mean of a Gaussian process with the arc-cosine kernel, or if
both layers are trained with the tangent kernel, given to scikit-learn as a fixed kernel. PyTorch's default has no closed
form on half of the square: it is integrated over directions; in more inputs, where hardly any point of the box has one, what
the closed form counts too much is sampled, and the distance is that to a limit with eight times as many samples, at means of
three data points each, relative to max |y| as `residual` is.
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


def points(size, inputs=2):
    """`size` points of a smooth function on the square, or on a box of more inputs."""
    x = np.random.default_rng(0).uniform(-1, 1, (size, inputs))
    return sb.Points(x, np.sin(3 * x[:, 0]) * x[:, 1] + (x[:, -1] if inputs > 2 else 0))


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
    rows += [_sampled(inputs, rounds) for inputs in ((3, 5) if full else (3,))]
    header = ["law", "build", "times RBFInterpolator", "times Gaussian process", "distance to that twin", "residual"]
    return table(header, rows)


def _sampled(inputs, rounds):
    """The row of PyTorch's default in three or more inputs."""
    data = points(100, inputs)
    problem = sb.Problem(data, sb.Initialization.pytorch_default(dim=inputs))
    seconds = paired(rounds, lambda: sb.predict(problem), lambda: RBFInterpolator(data.x, data.y, kernel="cubic", degree=1))
    found, finer = sb.predict(problem), sb.predict(problem, sb.PointsSolver(draws=2**17 if inputs == 3 else 2**19))
    between = data.x[np.random.default_rng(1).integers(0, 100, (200, 3))].mean(axis=1)
    error = np.abs(found.function(between) - finer.function(between)).max() / np.abs(data.y).max()
    build, factor = duration(float(np.median(seconds[:, 0]))), times(1 / ratio(seconds, 1))
    return [f"PyTorch default, {inputs} inputs, M = 100", build, factor, "", f"{error:.0e}", f"{found.residual:.0e}"]
