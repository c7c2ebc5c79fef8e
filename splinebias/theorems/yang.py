r"""Verdicts on Yang et al.: networks whose hidden biases start at a large -B, so that few neurons are active.

Of the paper the abstract was read. What is marked "from memory" was not compared with it, constants included.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from splinebias._array import Array
from splinebias.regimes.large_bias.descent import LargeBias, large_bias
from splinebias.regimes.large_bias.kernel import BiasKernel, bias_generalized_kernel
from splinebias.regimes.large_bias.widths import large_bias_widths
from splinebias.theorems.verdict import DERIVED, Claim, Hypothesis, Status, Verdict, at_least, at_most, equal
from splinebias.theorems.wide_networks import EIGHT, SIGMAS

_ABSTRACT = "Yang et al., abstract"
_MEMORY = "Yang et al., from memory, constants unchecked"
_BIAS, _WIDTH = 1.0, 100_000
_AT = f"B = {_BIAS:g}, m = {_WIDTH}"
_LOSS = 0.02  # equal loss, a fifth to a tenth of that at the start


def spectrum(*, fast: bool, bias: float = _BIAS) -> Verdict:
    """Networks have the kernel's least eigenvalue at their start."""
    kernel, truth = bias_generalized_kernel(EIGHT.x, bias), bias_generalized_kernel(EIGHT.x, _BIAS)
    vector = np.linalg.eigh(truth.matrix)[1][:, 0]
    runs = _runs(_WIDTH, _count(fast=fast))
    means, squares = zip(*(_along(run, vector[np.argsort(-EIGHT.x)]) for run in runs), strict=True)
    variance = float(np.mean(squares)) - float(np.mean(means)) ** 2
    return Verdict(
        "Y spectrum",
        "the kernel of networks at their start has the least eigenvalue of H = (x.x' + 1)(Phi(-B) - 2 T(B, tan(angle/2)))",
        DERIVED,
        _hypotheses(truth, _WIDTH),
        f"least eigenvalue along its predicted direction, mean of {len(runs)} networks, {_AT}",
        *equal(kernel.smallest, float(np.mean(means)), SIGMAS * math.sqrt(variance / (len(runs) * _WIDTH))),
    )


def active(*, fast: bool, bias: float = _BIAS) -> tuple[Verdict, Verdict]:
    r"""A share :math:`\\Phi(-B)` of the neurons is active, before, during and after training."""
    runs, kernel = _runs(_WIDTH, _count(fast=fast)), bias_generalized_kernel(EIGHT.x, bias)
    share = kernel.active_fraction
    noise = SIGMAS * math.sqrt(share / _WIDTH)  # of one network; its points share neurons
    flips = [kernel.flips(run.residuals[0], float(run.times[-1]), _WIDTH).max() for run in runs]
    return (
        Verdict(
            "Y active",
            "on every point a share Phi(-B) of the neurons is active at the start",
            _ABSTRACT + f" for sparsity; the share: {DERIVED}",
            _hypotheses(runs[0].kernel, _WIDTH),
            f"mean share of {len(runs)} networks, {_AT}",
            *equal(share, float(np.mean([run.active[0].mean() for run in runs])), noise / math.sqrt(len(runs))),
        ),
        Verdict(
            "Y sparse",
            "activation stays sparse throughout training: no more than Phi(-B) and the predicted flips",
            _ABSTRACT + f" for sparsity; the bound: {DERIVED}",
            _hypotheses(runs[0].kernel, _WIDTH),
            f"largest share on a point at any time, {len(runs)} networks, {_AT}",
            *at_most(share + float(max(flips)), max(float(run.active.max()) for run in runs), noise),
        ),
    )


def flips(*, fast: bool, width: int = _WIDTH) -> Verdict:
    """How many neurons have another activity after training; predicted for `width`."""
    runs = _runs(_WIDTH, _count(fast=fast))
    each = [run.kernel.flips(run.residuals[0], float(run.times[-1]), width).mean() for run in runs]
    predicted = float(np.mean(each))
    return Verdict(
        "Y flips",
        "a share phi(B) E|dz| m^-1/2 of the neurons changes its activity in training",
        DERIVED,
        _hypotheses(runs[0].kernel, _WIDTH),
        f"mean share of {len(runs)} networks, {_AT}; within a tenth",
        *equal(predicted, float(np.mean([run.flips[-1].mean() for run in runs])), 0.1 * predicted),
    )


def residual(*, fast: bool, bias: float = _BIAS, power: float = -0.5) -> tuple[Verdict, Verdict]:
    """Residuals follow the kernel, the better the wider."""
    count = _count(fast=fast)
    kernel = bias_generalized_kernel(EIGHT.x, bias)
    runs, narrow = _runs(_WIDTH, count), _runs(_WIDTH // 4, count)
    return (
        Verdict(
            "Y residual",
            "training is linear: the residual is e^(-Ht/M) r_0, to a tenth of the first",
            _ABSTRACT + f" for the linear rate; the kernel: {DERIVED}",
            _hypotheses(runs[0].kernel, _WIDTH),
            f"mean of max |r - predicted|/|r_0| of {count} networks, {_AT}",
            *equal(0.0, float(np.mean([_distance(run, kernel) for run in runs])), 0.1),
        ),
        Verdict(
            "Y width",
            "that distance falls with the width at least like m^-1/2",
            DERIVED + ", from experiments",
            _hypotheses(runs[0].kernel, _WIDTH // 4),
            f"distance at m = {_WIDTH} over that at {_WIDTH // 4}, means of {count} networks, B = {_BIAS:g}",
            *at_most(
                4.0**power, float(np.mean([run.distance for run in runs]) / np.mean([run.distance for run in narrow])), 0.0
            ),
        ),
    )


def steps(*, fast: bool, bias: float = _BIAS, ratio: float = 1.0) -> tuple[Verdict, Verdict]:
    """Steps to equal loss, counted before training, and fewer than dense networks need."""
    count = _count(fast=fast)
    kernel, sparse = bias_generalized_kernel(EIGHT.x, bias), _runs(_WIDTH, count)
    dense = [large_bias(EIGHT.x, EIGHT.y, 0.0, width=20_000, seed=seed, loss_tol=_LOSS) for seed in range(count)]
    needed = [int(np.flatnonzero(run.losses <= _LOSS)[0]) for run in sparse]
    predicted = float(np.mean([kernel.steps_to(run.residuals[0], _LOSS) for run in sparse]))
    return (
        Verdict(
            "Y steps",
            "the spectrum says after how many steps M/lambda_max a loss is reached",
            DERIVED,
            _hypotheses(sparse[0].kernel, _WIDTH),
            f"steps to a loss of {_LOSS:g}, mean of {count} networks, {_AT}; within 15 per cent",
            *equal(predicted, float(np.mean(needed)), 0.15 * predicted),
        ),
        Verdict(
            "Y as fast",
            "sparse networks converge as fast as dense ones, each with its own step M/lambda_max",
            _ABSTRACT,
            (
                *_hypotheses(sparse[0].kernel, _WIDTH),
                Hypothesis.tested("both reach the loss", "Outcome", holds=all(run.outcome.ok for run in dense)),
            ),
            f"steps to a loss of {_LOSS:g} at B = {_BIAS:g} over those at B = 0, means of {count} networks each",
            *at_most(ratio, float(np.mean(needed) / np.mean([run.steps for run in dense]))),
        ),
    )


def required_width(*, fast: bool, power: float = 1.0) -> Verdict:
    """Sparsity is no gift: the width that is needed grows with B."""
    found = large_bias_widths(EIGHT.x, EIGHT.y, [0.0, _BIAS], distance=0.2, seeds=range(2 if fast else 8))
    return Verdict(
        "Y required width",
        "the width at which residuals stay within a fifth of e^(-Ht/M) grows with B, at least like e^(B^2)",
        f"{DERIVED}, a heuristic; the abstract says that the sufficient width improves on earlier ones",
        _hypotheses(bias_generalized_kernel(EIGHT.x, _BIAS), int(found.widths[1])),
        f"measured width at B = {_BIAS:g} over that at B = 0, {2 if fast else 8} networks at each width",
        *at_least(math.exp(power * _BIAS**2), float(found.widths[1] / found.widths[0])),
    )


def bounds(*, fast: bool, shrink: float = 1.0, constant: float = 100.0) -> tuple[Verdict, Verdict, Verdict]:
    """The least eigenvalue beside what is said to lie below it: for `shrink` B, with that constant in the worst case."""
    sets = [EIGHT.x] + [np.sort(np.random.default_rng(seed).uniform(-1, 1, 4 + seed)) for seed in range(6 if fast else 24)]
    levels = (0.0, 0.5, 1.0, 2.0, 3.0)
    kernels = [bias_generalized_kernel(x, level) for x in sets for level in levels]
    below = [bias_generalized_kernel(x, shrink * level) for x in sets for level in levels]
    pairs = list(zip(kernels, below, strict=True))
    points = (_apart(*kernels),)
    sharp = [other.data_dependent_bound for kernel, other in pairs if kernel.bias >= 0.5]
    return (
        Verdict(
            "Y exact form",
            "the least eigenvalue is at least Phi(-B) - max P_ij",
            f"{DERIVED}, from experiments: no proof",
            points,
            f"least lambda_min over that, {len(kernels)} kernels, B = 0 to 3",
            *at_least(1.0, min(kernel.smallest / other.exact_bound for kernel, other in pairs)),
        ),
        Verdict(
            "Y worst case",
            "the worst-case bound e^(-B^2/2) delta/(100 M^2) is below the least eigenvalue",
            _MEMORY,
            points,
            f"least lambda_min over that, {len(kernels)} kernels, B = 0 to 3",
            *at_least(1.0, min(kernel.smallest / other.worst_case_bound for kernel, other in pairs) * constant / 100),
        ),
        Verdict(
            "Y data bound",
            "the bound by the separation says nothing on four points or more in [-1, 1] if B >= 0.5: it is negative",
            _MEMORY,
            points,
            f"its largest value, {len(sharp)} kernels, B = 0.5 to 3",
            *at_most(0.0, max(sharp)),
        ),
    )


def generalization(*, fast: bool, factor: float = 1.0, decay: float = 0.0) -> tuple[Verdict, Verdict]:
    """The bound on the error of new points, and what sparsity does to it."""
    x = np.sort(np.random.default_rng(0).uniform(-1, 1, 32))
    y, new = _sine(x), np.linspace(-1, 1, 401)
    kernels = [bias_generalized_kernel(x, level) for level in (0.0, 2.0)]
    dense, sparse = (kernel.generalization_bound(y) for kernel in kernels)
    runs = [large_bias(x, y, 2.0, width=_WIDTH, seed=seed, loss_tol=5e-4) for seed in range(2 if fast else 8)]
    drawn = Hypothesis("points are drawn from one law", Status.CHECKED, "uniform on [-1, 1], seed 0")
    reached = Hypothesis.tested("the loss was reached", "LargeBias.outcome", holds=all(run.outcome.ok for run in runs))
    return (
        Verdict(
            "Y generalization",
            "the error on new points is below sqrt(8 e^(-B^2/2) y.H^-1 y/M), without the term of order M^-1/2",
            _MEMORY,
            (drawn, reached),
            f"mean of min(|f - y|, 1) on 401 points, the largest of {len(runs)} networks, B = 2, m = {_WIDTH}, M = 32",
            *at_most(factor * sparse, max(run.test_error(new, _sine(new)) for run in runs)),
        ),
        Verdict(
            "Y sparsity and bound",
            "sparsity does not lower that bound: H^-1 grows like e^(B^2/2), which cancels its factor",
            f"the bound: {_MEMORY}; the cancellation: {DERIVED}",
            (drawn,),
            "bound at B = 2 over that at B = 0, within 5 per cent",
            *equal(math.exp(-decay * 2.0**2), sparse / dense, 0.05),
        ),
    )


CLAIMS: tuple[Claim, ...] = (spectrum, active, flips, residual, steps, required_width, bounds, generalization)


@cache
def _runs(width: int, count: int) -> tuple[LargeBias, ...]:
    """Trained networks, five e-folds of the slowest mode long."""
    return tuple(large_bias(EIGHT.x, EIGHT.y, _BIAS, width=width, seed=seed) for seed in range(count))


def _count(*, fast: bool) -> int:
    return 3 if fast else 12


def _sine(x: Array) -> Array:
    return np.asarray(0.5 * np.sin(3 * x))


def _distance(run: LargeBias, kernel: BiasKernel) -> float:
    """As `LargeBias.distance`, from another kernel."""
    predicted = kernel.descent(run.residuals[0], run.rate, np.arange(run.steps + 1))
    return float(np.linalg.norm(run.residuals - predicted, axis=1).max() / np.linalg.norm(run.residuals[0]))


def _along(run: LargeBias, vector: Array) -> tuple[float, float]:
    r"""Means over the m neurons of :math:`q = |\sum_i v_i 1_i (x_i, 1)|^2` and of its square: v.H v of the network."""
    lifted = np.c_[run.start.points, np.ones(len(vector))] * vector[:, None]
    q = ((run.start.activity() @ lifted) ** 2).sum(axis=1)
    return float(q.sum()) / run.start.width, float((q**2).sum()) / run.start.width


def _apart(*kernels: BiasKernel) -> Hypothesis:
    holds = all(kernel.separation > 0 for kernel in kernels)
    return Hypothesis.tested("no two inputs have one direction", "separation", holds=holds)


def _hypotheses(kernel: BiasKernel, width: int) -> tuple[Hypothesis, ...]:
    effective = width * kernel.active_fraction
    return (
        _apart(kernel),
        Hypothesis.tested("many neurons are active on a point", f"m Phi(-B) = {effective:.0f} > 500", holds=effective > 500),
    )
