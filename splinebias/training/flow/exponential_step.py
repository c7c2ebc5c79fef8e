r"""One exponential Rosenbrock step of mirror flow, its error, and the trajectory in between.

With B, C, S and :math:`\rho` of `vector_field` at the start of a step of size h, and the functions :math:`\varphi_j` of
`spectrum` (theory section 8), the linearized network moves by :math:`z - B p(s)` with
:math:`p(s) = s \varphi_1(-sS) \rho`, exact at any s. What it misses is
:math:`N = N_D + N_J`, :math:`N_D = B (\rho - Cv - \rho(z))` for :math:`z` at :math:`-v` from the start, which comes from D
and from products of moves, stays in the range of B and begins as :math:`s^2`; and :math:`N_J = (B - J(z)^T W^{1/2}) \rho`,
which comes from moving features and begins as s. As in Kutta's method of order three there are two stages:

1. the middle, where the linearized network is at h/2. It gives :math:`G = J_1^T W^{1/2} p(h)` and with that
   :math:`T = B p(h) - G`, the integral of :math:`N_J` by the midpoint rule;
2. the far end, where 2 T is added, so that the errors of second order of the two stages cancel in the end. It gives
   :math:`J_2^T W^{1/2} q`, :math:`q = \tfrac12 (p(h) - p(h/2)) - \tfrac16 p(h/2)`, and with that
   :math:`E = \tfrac13 (G - B p(h)) + B q - J_2^T W^{1/2} q`.

The integral of :math:`N_J` is :math:`T + E`. It multiplies moves of features by *integrals* of the residual and is right in
two cases: where both change little, to order three; and where residuals decay within the step, however long it is, as then
:math:`J_1 = J_2` and :math:`p(h/2) = p(h)`, and :math:`T + E = \tfrac12 (B - J_1^T W^{1/2}) p(h)` is exact for features that
move with the decay. Values of the residual at a few times would not see it: hidden weights would hardly move.

With :math:`A = -BC`, shares :math:`\theta = s/h`, and :math:`N_D` a polynomial :math:`d_2 \theta^2 + d_3 \theta^3` through
its two stages, the trajectory is

.. math:: z(s) = z - B p + s (2 \theta^2 \varphi_3 d_2 + 6 \theta^3 \varphi_4 d_3)
          + 2 \theta^2 \varphi_2(sA) (T - 3E) + 24 \theta^3 \varphi_3(sA) E,

where :math:`\varphi(sA) B = B \varphi(-sS)`, :math:`2 \varphi_2(sA) v = v - 2s B \varphi_3(-sS) C v` and
:math:`24 \varphi_3(sA) v = 4 v - 24 s B \varphi_4(-sS) C v`.

Errors are what the third order changes: the *wander* in :math:`N_D`, as it is seen in f at the end; and the *drift*, a tenth
of :math:`\lVert C E \rVert`: E is the error of the midpoint rule, and that of the step is far less. The drift is measured as
if nothing answered to it: later the output weights will hide it at the data, not between them.

Units that reach a sample and go no further are put there (`held_breakpoints`) at every stage; that their normal motion ended
counts from then on, like the jumps of those that go on (`crossings`): as parts of T and E with the right mean time. A step
along slow modes whose loss grew is freed of residuals that fast modes would remove at once (`_relaxed`).

References
----------
Hochbruck & Ostermann, Exponential integrators, Acta Numerica 19 (2010), section 2.4. Derived here: integrals of residuals in
the place of values, and the two stages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from splinebias.training.flow.crossings import Crossings, together
from splinebias.training.flow.held_breakpoints import Arrivals, Units
from splinebias.training.flow.spectrum import Modes, phi_functions
from splinebias.training.flow.vector_field import FlowState

_STIFF = 30.0  # decays within a step after which a residual at its end is an error

Phi = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Attempt:
    """A step that may be taken.

    Attributes
    ----------
    end : FlowState
        Where it ends.
    wander, drift : Tensor, shape (B,)
        The errors above, norms in function space.
    jumps : Tensor, shape (B,)
        Whether the field jumped on the way: a breakpoint passed a sample, or landed on it.
    landing : Tensor, shape (B,)
        Share of the way at which the first of them does, about; infinite without any.
    passes : int
        Evaluations of the network with a product with its transposed Jacobian; a product S v counts as one.
    """

    end: FlowState
    wander: Tensor
    drift: Tensor
    jumps: Tensor
    landing: Tensor
    passes: int
    _origin: ExponentialStep
    _path: _Path


class _Path(NamedTuple):
    """What the trajectory within a step is made of: the modes of its vectors, and what adds to T and E (`_along`)."""

    h: Tensor
    decay: Modes
    early: Modes
    late: Modes
    turn: Modes
    rest: Modes
    shares: tuple[Tensor, Tensor]
    forces: tuple[Tensor, Tensor]


class ExponentialStep:
    """Steps from one state; the spectrum there is computed once, whatever the number of attempts.

    Parameters
    ----------
    start : FlowState
        The state.

    Attributes
    ----------
    spectrum : Spectrum
        S at the start.
    """

    def __init__(self, start: FlowState) -> None:
        self._start, self._counted = start, 0
        self.spectrum = start.spectrum()

    def attempt(self, h: Tensor, tolerance: Tensor) -> Attempt:
        """A step of sizes `h`, shape (B,), with approximations of phi(S) v to about `tolerance`, shape (B,).

        Units that the mean residual on the way drives off their samples are let go first.
        """
        decay = self.spectrum.modes(self._start.rho, h, tolerance)
        mean = self._start.rho + decay.apply(_phi(h, decay)[0] - 1)
        released = self._start.released(mean)
        if released is self._start:
            return self._attempt(h, tolerance, decay, mean)
        other = ExponentialStep(released)
        attempt = other._attempt(h, tolerance, other.spectrum.modes(released.rho, h, tolerance), mean)
        return replace(attempt, passes=attempt.passes + 1)

    def _attempt(self, h: Tensor, tolerance: Tensor, decay: Modes, mean: Tensor) -> Attempt:
        start, spectrum, product = self._start, self.spectrum, self.spectrum.matvec
        modes = partial(spectrum.modes, h=h, tolerance=tolerance)
        # what the kernel of now cannot reach does not decay, but moving features may reach it
        whole, half = (s[:, None] * (start.rho + decay.apply(_phi(s, decay)[0] - 1)) for s in (h, h / 2))
        middle, first, force, _ = self._stage(start.dual - start.pull(half), whole, mean)
        if first.passed.size:
            force = force - Crossings(start, first.passed).jumped(middle, whole)
        pushed = start.push(force)
        early, turn = modes(start.rho - product(half) - middle.rho), modes(product(whole) - pushed)

        size = h[:, None]
        u = whole - 4 * size * turn.apply(_phi(h, turn)[2]) + 8 * size * early.apply(_phi(h, early)[2])
        dual, expected = start.dual - 2 * force, start.rho - 2 * pushed
        begun = torch.zeros_like(start.dual)
        if first.passed.size:
            begun = Crossings(start, first.passed).begun(middle, h, decay)
            shift = start.push(begun)
            dual, expected, answer = dual + begun, expected + shift, modes(shift)
            u = u - 2 * size * answer.apply(_phi(h, answer)[2])
        weight = (whole - half) / 2 - half / 6
        far, second, other, landed = self._stage(dual + start.pull(u), weight, mean)
        if second.passed.size:
            other = other - Crossings(start, second.passed).jumped(far, weight)
        late = modes(expected + product(u) - far.rho)
        defect = product(weight - whole / 3) + pushed / 3 - start.push(other)
        drift, forces = defect.norm(dim=-1), (force, other - force / 3)
        held = start.held.join(second.held)
        if first.passed.size or second.all.size or second.passed.size:
            pairs = together(first.passed, second.passed, start.dual.shape[-1] // 3, whole.shape[-1])
            turned = start.pull(whole) - force
            jump = Crossings(start, pairs).jump(middle, far, turned, begun, h, decay)
            arrived = start.boundary_of(second.held)  # at the far end, which is further than the end by `turned`
            landed = landed + arrived.with_normal(torch.zeros_like(turned), arrived.normal(turned))
            held = held.join(jump.back)
            sudden, drift = jump.all + landed, drift + start.push(jump.doubt).norm(dim=-1)
            delayed = jump.late + second.late(landed)
            forces = forces[0] - sudden + delayed, forces[1] - delayed
            turn = modes(product(whole) - pushed + start.push(sudden - delayed))
            defect = defect + start.push(delayed)
        rest = modes(defect)

        bend = weight - whole / 3
        path = _Path(h, decay, early, late, turn, rest, (whole, bend), forces)
        end = start.field.held_at(self._along(path, h), held)
        third = start.arrivals(end, spectrum.calm(end.rho, h))
        settled, evaluations = end.settled(third)
        if bool((rises := settled.loss > start.loss).any()):
            settled, more = _relaxed(settled, h, tolerance, rises)
            evaluations += more
        change = [
            part.apply(part.rates * size * (6 * phi[3] - 2 * phi[2])) for part in (early, late) for phi in [_phi(h, part)]
        ]
        jumps = first.jumps | second.jumps | third.jumps
        products, self._counted = spectrum.products - self._counted, spectrum.products
        return Attempt(
            end=settled,
            wander=(2 * change[1] - 8 * change[0]).norm(dim=-1) + decay.defect(size * _phi(h, decay)[0]),
            drift=0.1 * drift,
            jumps=jumps,
            landing=(first.first / 2).minimum(second.first).minimum(third.first),
            passes=3 + (first.all.size > 0) + (second.all.size > 0) + evaluations + products,
            _origin=self,
            _path=path,
        )

    def _stage(self, dual: Tensor, weight: Tensor, mean: Tensor) -> tuple[FlowState, Arrivals, Tensor, Tensor]:
        r"""The state near `dual` with its units sorted, what arrived, :math:`J^T W^{1/2}` `weight`, how far it was put."""
        start = self._start
        state = start.field.held_at(dual, start.held)
        arrivals = start.arrivals(state, mean)
        if not arrivals.all.size:
            return state, arrivals, state.pull(weight), torch.zeros_like(dual)
        landed = (
            state.put(state.dual, arrivals._replace(stopped=Units.none(dual.device))) - state.dual
        )  # stopped ones end there
        state = start.field.at(state.put(state.dual, arrivals), start.held.join(arrivals.held))
        boundary = start.boundary_of(arrivals.all)  # their normal motion goes on to the end, where `landed` takes it back
        return state, arrivals, boundary.with_normal(state.pull(weight), start.normal_pull(boundary, weight)), landed

    def state_at(self, attempt: Attempt, sigma: Tensor) -> FlowState:
        """The trajectory at sizes `sigma`, shape (B,), 0 <= sigma <= h, to the order of the step."""
        origin = attempt._origin
        start = origin._start
        state = start.field.held_at(origin._along(attempt._path, sigma), start.held)
        arrivals = start.arrivals(state, origin.spectrum.calm(state.rho, sigma))
        return start.field.at(state.put(state.dual, arrivals), start.held) if arrivals.all.size else state

    def _along(self, path: _Path, sigma: Tensor) -> Tensor:
        """z at `sigma` of the step, shape (B, P): the formulas above with s/h for the share of the way."""
        size, way = sigma[:, None], (sigma / path.h)[:, None]
        square, cube = way**2, way**3
        (_, _, early, early_end), (_, _, late, late_end) = _phi(sigma, path.early), _phi(sigma, path.late)
        (_, _, turn, _), (_, _, rest, rest_end) = _phi(sigma, path.turn), _phi(sigma, path.rest)
        u = path.early.apply(size * (16 * square * early - 48 * cube * early_end)) - path.decay.apply(
            size * _phi(sigma, path.decay)[0]
        )
        u = u + path.late.apply(size * (12 * cube * late_end - 2 * square * late))
        u = u - path.turn.apply(2 * square * size * turn)
        u = u + path.rest.apply(size * (6 * square * rest - 24 * cube * rest_end))
        steady, bent = square, 4 * cube - 3 * square
        u = u + steady * path.shares[0] + bent * path.shares[1]
        dual: Tensor = self._start.dual + self._start.pull(u) - steady * path.forces[0] - bent * path.forces[1]
        return dual


def _relaxed(end: FlowState, h: Tensor, tolerance: Tensor, some: Tensor) -> tuple[FlowState, int]:
    """The state `end` where `some` holds without residuals that decay much faster than the step was long, if that helps.

    They are the error of a step along slow modes, in which features move far though f hardly does. Also its evaluations.
    """
    spectrum = end.spectrum()
    modes = spectrum.modes(end.rho, h / _STIFF, tolerance)
    share = -torch.expm1(-((h[:, None] * modes.rates / _STIFF) ** 2)) / modes.rates.clamp(min=1e-300)
    u = modes.apply(torch.where(modes.rates > 0, share, 0.0))
    other = end.field.held_at(end.dual - end.pull(u), end.held)
    return end.moved((some & (other.loss < end.loss)).tolist(), other), 1 + spectrum.products


def _phi(h: Tensor, modes: Modes) -> Phi:
    r"""The :math:`\varphi` functions of :math:`-h \Theta`, each (B, m), for sizes `h`, shape (B,)."""
    return phi_functions(-h[:, None] * modes.rates)
