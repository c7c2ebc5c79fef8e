r"""Verdicts on Min, Mallada & Vidal (early alignment): whether neurons of a small balanced start turn to one class each.

Only the abstract was at hand: what is marked "from memory" is the paper's as remembered, constants left out; rates were
derived for this library. The mean loss stands where the paper has a sum. Keyword arguments change what is predicted, or the
networks; tests use them to be refused.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import expi

from splinebias._array import Array
from splinebias.datasets import digits as handwritten
from splinebias.loss import Exponential, Logistic, Loss, Squared
from splinebias.regimes.alignment import AlignmentMargin, alignment_margin
from splinebias.regimes.small_starts.alignment_flow import Alignment, alignment
from splinebias.theorems.verdict import DERIVED, Claim, Hypothesis, Status, Verdict, at_least, at_most, equal
from splinebias.theorems.wide_networks import SIGMAS

_EXPONENT = 0.05  # of the power of log M or mu in a time
_SOURCE = "Min, Mallada & Vidal, from memory"
_LOGISTIC = Logistic()
_SIDE = np.linspace(1.5, 4, 8)
LINE = np.r_[-_SIDE, _SIDE], np.repeat([-1.0, 1.0], 8)
UNEVEN = np.r_[-_SIDE[:3], _SIDE], np.repeat([-1.0, 1.0], (3, 8))
PLANE = np.array([[1, 0.2], [1.0, -0.2], [-0.9, 0.1], [-1, -0.3]]), np.array([1.0, 1, -1, -1])
_SETS = (LINE, UNEVEN, PLANE)


def cones(count: int, spread: float, seed: int) -> tuple[Array, Array]:
    """Unit vectors within `spread` of opposite directions, and labels: mu is cos(2 spread) at any count."""
    angles = np.r_[spread, -spread, np.random.default_rng(seed).uniform(-spread, spread, count - 2)]
    labels = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    return labels[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1), labels


def independence(*, fast: bool, scales: tuple[float, ...] = (1e-4, 1e-8, 1e-16)) -> Verdict:
    """The size of the start does not matter for how long neurons take to align."""
    sets, worst, steps = _SETS[: 2 if fast else 3], 0.0, 0
    for points, labels in sets:
        runs = [alignment(points, labels, width=50, scale=scale, loss_tol=0.5) for scale in scales]
        times = [run.alignment_time for run in runs]
        worst, steps = max(worst, max(times) / min(times) - 1), max(steps, *(run.times.size for run in runs))
    return Verdict(
        "M independence",
        "how long neurons take to align does not depend on the size eps of the start",
        _SOURCE,
        (_positive(*sets), _small(scales), Hypothesis.tested("a run takes < 2000 steps", f"{steps}", holds=steps < 2000)),
        f"largest t(eps)/t(eps') - 1 of {len(sets)} sets, eps = {', '.join(f'{scale:g}' for scale in scales)}",
        *equal(0.0, worst, 1e-3),
    )


def frozen(*, fast: bool, loss: Loss = _LOGISTIC, pull: float | None = None) -> Verdict:
    """When the last neuron aligns is known without training."""
    scale, step = 1e-8, 0.0
    found: list[tuple[float, float]] = []
    for points, labels in _SETS:
        run = alignment(points, labels, width=50 if fast else 200, scale=scale, loss=loss, loss_tol=loss.at_zero / 2)
        found.append((_last_time(run) / (loss.first_pull if pull is None else pull), run.alignment_time))
        step = max(step, float(np.diff(run.times[run.times <= run.alignment_time]).max()))
    worst = max(found, key=lambda pair: abs(pair[0] - pair[1]))
    return Verdict(
        "M time",
        "the last neuron aligns when directions under constant pulls -l'(0) say, in closed form in the plane",
        DERIVED,
        (_positive(*_SETS), _small((scale,))),
        f"time at which the last neuron aligned, {loss!r}, the farther off of {len(_SETS)} sets",
        *equal(*worst, 2 * step),
    )


def halving(*, fast: bool, loss: Loss = _LOGISTIC, pull: float | None = None) -> Verdict:
    """After alignment the loss waits for growth from eps."""
    scales = (1e-6, 1e-12)
    early, late = (alignment(*UNEVEN, width=50 if fast else 200, scale=scale, loss=loss, loss_tol=0.25) for scale in scales)
    force = loss.first_pull if pull is None else pull
    predicted = [late.predicted.halving_time(scale, force) for scale in scales]
    return Verdict(
        "M halving",
        "the time until the loss has halved grows like ln(1/eps)/(gamma |l'(0)|), gamma = |sum over a class of x_i|/M",
        DERIVED,
        (_positive(UNEVEN), _small(scales)),
        f"its growth from eps = 1e-6 to 1e-12, {loss!r}",
        *equal(predicted[1] - predicted[0], late.halved_at - early.halved_at, 0.005 * (predicted[1] - predicted[0])),
    )


def bound(*, fast: bool, powers: tuple[float, float] = (1.0, -0.5)) -> tuple[Verdict, Verdict]:
    r"""The bound on alignment times grows with M and falls with mu; measured times do neither."""
    counts, spreads, seeds = (
        ((8, 32, 128), (0.2, 0.7, 0.78), 2) if fast else ((8, 16, 32, 64, 128, 256), (0.2, 0.5, 0.7, 0.78), 4)
    )
    runs = [
        alignment(*cones(count, spread, seed), width=60, scale=1e-6, loss_tol=0.5, seed=seed)
        for count in counts
        for spread in spreads
        for seed in range(seeds)
    ]
    rows = np.array([(run.predicted.labels.size, run.predicted.margin, run.alignment_time) for run in runs])
    design = np.column_stack([np.ones(len(rows)), np.log(np.log(rows[:, 0])), np.log(rows[:, 1])])
    fit = np.linalg.lstsq(design, np.log(rows[:, 2]), rcond=None)[0]
    share = max(run.alignment_time / run.bound for run in runs)
    claim = f"never tight: measured times are at most {share:.2g} of M log M/sqrt(mu) in time of the mean loss"
    hypotheses = (
        Hypothesis.tested("mu > 0", "AlignmentMargin.holds", holds=all(run.predicted.holds for run in runs)),
        Hypothesis("the constant of the bound", Status.NOT_CHECKED, "the abstract does not say it"),
    )
    source = f"{_SOURCE}; the exponents: measured"
    return (
        Verdict(
            "M bound in M",
            f"alignment takes no longer than O(log M), {claim}",
            source,
            hypotheses,
            f"exponent of log M in the time, {len(runs)} networks, M = {counts[0]} to {counts[-1]}",
            *at_most(powers[0], float(fit[1]), _EXPONENT),
        ),
        Verdict(
            "M bound in mu",
            f"alignment takes no longer than O(mu^-1/2), {claim}",
            source,
            hypotheses,
            f"exponent of mu in the time, {len(runs)} networks, mu = {rows[:, 1].min():.2g} to {rows[:, 1].max():.2g}",
            *at_least(powers[1], float(fit[2]), _EXPONENT),
        ),
    )


def rank(*, fast: bool, most: float = 2.0) -> Verdict:
    """Once aligned, hidden weights are close to two directions."""
    losses, scale = (Exponential(), Logistic(), Squared()), 1e-8
    width = 50 if fast else 200  # to a loss of 1e-2: the squared one is fitted then, and steps in its rest are many
    runs = [alignment(*points, width=width, scale=scale, loss=loss, loss_tol=1e-2) for points in _SETS for loss in losses]
    return Verdict(
        "M rank",
        "once neurons are aligned the stable rank of the hidden weights is at most 2 + o(1)",
        _SOURCE,
        (_positive(*_SETS), _small((scale,))),
        f"largest stable rank after alignment, {len(runs)} networks with three losses",
        *at_most(most, max(run.rank_once_aligned for run in runs)),
    )


def dead(*, fast: bool, share: float | None = None) -> Verdict:
    """Which neurons die is decided by where they point at the start."""
    width = 1000 if fast else 4000
    run = alignment(*LINE, width=width, scale=1e-6, loss_tol=1e-4, seed=1)
    predicted = dead_share(run.predicted) if share is None else share
    return Verdict(
        "M dead",
        "neurons whose directions end, under constant pulls, where no point activates them die: a share that is known "
        "without training",
        DERIVED,
        (_positive(LINE), _small((run.scale,))),
        f"share of dead neurons, {width} uniform directions",
        *equal(predicted, float(run.dead.mean()), SIGMAS * math.sqrt(predicted * (1 - predicted) / width)),
    )


def dead_share(predicted: AlignmentMargin, directions: int = 4096) -> float:
    """The share of uniform directions, with output weights of both signs, that die under constant pulls; to 1/directions."""
    angles = (np.arange(directions) + 0.5) * 2 * math.pi / directions
    return float(np.mean([predicted.frozen(angles, np.full(directions, sign)).dead.mean() for sign in (1.0, -1.0)]))


def late(
    *, fast: bool, points: tuple[Array, Array] = LINE, rate: float | None = None, flat: bool = False
) -> tuple[Verdict, ...]:
    """How fast the loss falls in the end, and that L t is not flat."""
    lowest, first = 1e-39, 1e-5
    run = alignment(*points, width=50 if fast else 200, scale=1e-4, loss_tol=0.1 * lowest, max_time=1e45)
    slope = 1 / (4 * (run.predicted.late_rate if rate is None else rate))
    at = [int(np.flatnonzero(run.losses <= level)[0]) for level in (first, lowest)]
    inverse, product = 1 / run.losses[at], run.losses[at] * run.times[at]
    law = 1.0 if flat else float(np.divide(*(expi(np.log(inverse)) / inverse)[::-1]))
    next_term = [math.log(math.log(1 / level)) / math.log(1 / level) for level in (first, lowest)]
    hypotheses = (
        _positive(points),
        Hypothesis.tested("the loss has an exponential tail", "Exponential()", holds=True),
        Hypothesis("neurons of a class end in one direction, that of its largest margin", Status.NOT_CHECKED, "a heuristic"),
    )
    return (
        Verdict(
            "M late rate",
            "dt/d(1/L) ln(1/L) tends to (1/m_+ + 1/m_-)/2, m the distances of the classes' hulls from 0",
            f"{DERIVED}, a heuristic",
            hypotheses,
            f"median where L <= {lowest:g}; the next term is of relative order ln ln/ln",
            *equal(slope, run.late_slope(lowest), next_term[1] * slope),
        ),
        Verdict(
            "M not flat",
            "L t is not flat, as is often said: it falls like 1/ln(1/L)",
            f"{DERIVED}, a heuristic",
            hypotheses,
            f"L t at L = {lowest:g} over that at {first:g}; by the law, L li(1/L)",
            *equal(law, float(product[1] / product[0]), next_term[0] * law),
        ),
    )


def digits(*, fast: bool, rate: float | None = None, drift: float = 0.0) -> tuple[Verdict, Verdict]:
    """Digits 0 and 1 do not satisfy the hypothesis; a subset does."""
    images, labels = handwritten()
    centred = images - images.mean(axis=0)
    whole = alignment_margin(centred, labels)
    kept = whole.largest_subset()
    part = alignment_margin(centred[kept], labels[kept])
    scales, width = (1e-5, 1e-8), 20 if fast else 100
    every, some = (
        [alignment(x, y, width=width, scale=scale, loss_tol=level) for scale in scales]
        for x, y, level in ((centred, labels, 0.1), (centred[kept], labels[kept], 0.5))
    )
    span = math.log(scales[0] / scales[1])
    predicted = span / min(whole.growth) if rate is None else span * rate
    early = np.mean([run.aligned_before_the_loss_moved for run in every])
    times = [run.alignment_time for run in some]
    pair = (
        f"mu = {whole.margin:.3f} at images {whole.worst_pair[0]} and {whole.worst_pair[1]}, {whole.violated:.1%} of pairs"
    )
    return (
        Verdict(
            "M digits",
            f"on digits 0 and 1, centred, the hypothesis fails: {early:.0%} of the neurons align before the loss moves, and "
            "the last ones only when it does, later the smaller the start",
            DERIVED,
            (Hypothesis.tested("mu > 0", pair, holds=whole.holds), _small(scales)),
            f"growth of the time of the last neuron from eps = {scales[0]:g} to {scales[1]:g}; by ln(1/eps)/gamma",
            *equal(predicted, every[1].alignment_time - every[0].alignment_time, 0.05 * predicted),
        ),
        Verdict(
            "M digits subset",
            f"on the {kept.size} of {labels.size} digits that greedy deletion leaves it holds, and neurons align in a time "
            "that does not depend on eps",
            _SOURCE,
            (Hypothesis.tested("mu > 0", f"mu = {part.margin:.4f}", holds=part.holds), _small(scales)),
            f"t(eps)/t(eps') - 1, eps = {scales[1]:g} and {scales[0]:g}",
            *equal(drift, times[1] / times[0] - 1, 1e-3),
        ),
    )


CLAIMS: tuple[Claim, ...] = (independence, frozen, halving, bound, rank, dead, late, digits)


def _last_time(run: Alignment) -> float:
    """When the last neuron of a network in the plane aligns that does, under constant pulls 1."""
    u = run.start_directions
    times = run.predicted.frozen(np.arctan2(u[:, 1], u[:, 0]), run.signs).aligned_at
    return float(times[np.isfinite(times)].max())


def _positive(*sets: tuple[Array, Array]) -> Hypothesis:
    """That mu > 0 on every data set."""
    margins = [alignment_margin(*one).margin for one in sets]
    return Hypothesis.tested("mu = min y_i y_k cos(x_i, x_k) > 0", f"mu = {min(margins):.3g}", holds=min(margins) > 0)


def _small(scales: tuple[float, ...]) -> Hypothesis:
    """That the start is balanced, and small."""
    return Hypothesis.tested("the start is balanced and small", f"eps <= {max(scales):g}", holds=max(scales) <= 1e-4)
