r"""One exponential Rosenbrock step of mirror flow, its error, and the trajectory in between.

With B, C, S and :math:`\rho` of `vector_field` at the start of a step of size h, and the functions :math:`\varphi_j` of
`spectrum` (theory section 8):

1. predictor :math:`z_1 = z - B h \varphi_1(-hS) \rho`, exact for the linearized network at any h;
2. what the linearization missed at :math:`z_1` splits into two parts,

   .. math:: N_D = B\,(\rho_{lin} - \rho_1), \quad \rho_{lin} = e^{-hS}\rho, \qquad N_J = B \rho_1 - J_1^T W^{1/2} \rho_1;

   the *wander* :math:`N_D` comes from D, stays in the range of B and grows as :math:`s^2` along the step, the *drift*
   :math:`N_J` comes from moving features and grows as s. Hence the corrector

   .. math:: z^+ = z_1 + 2h\varphi_3(hA) N_D + h\varphi_2(hA) N_J, \qquad A = -BC,

   where :math:`\varphi(hA) B = B \varphi(-hS)` and :math:`h\varphi_2(hA) v = h v/2 - h^2 B \varphi_3(-hS) C v`;
3. the two corrections, seen in function space, are the error estimates.

The order is 2, and 3 if the features do not move. Units that reach a sample and go no further are put there
(`held_breakpoints`) before :math:`N_J` is formed.

References
----------
Hochbruck & Ostermann, Exponential integrators, Acta Numerica 19 (2010), section 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from splinebias.training.flow.spectrum import Modes, phi_functions
from splinebias.training.flow.vector_field import FlowState

Phi = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Attempt:
    """A step that may be taken.

    Attributes
    ----------
    end : FlowState
        Where it ends.
    wander, drift : Tensor, shape (B,)
        Norms of the two corrections in function space.
    jumps : Tensor, shape (B,)
        Whether the field jumped on the way: a breakpoint passed a sample, or landed on it.
    passes : int
        Evaluations of the network with a product with its transposed Jacobian; a product S v counts as one.
    """

    end: FlowState
    wander: Tensor
    drift: Tensor
    jumps: Tensor
    passes: int
    _origin: ExponentialStep
    _h: Tensor
    _middle: Tensor
    _gradient: Tensor
    _modes: tuple[Modes, ...]


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
        phi = phi_functions(-h[:, None] * decay.rates)
        released = self._start.released(self._start.rho + decay.apply(phi[0] - 1))
        if released is self._start:
            return self._attempt(h, tolerance, decay, phi)
        other = ExponentialStep(released)
        decay = other.spectrum.modes(released.rho, h, tolerance)
        attempt = other._attempt(h, tolerance, decay, phi_functions(-h[:, None] * decay.rates))
        return replace(attempt, passes=attempt.passes + 1)

    def _attempt(self, h: Tensor, tolerance: Tensor, decay: Modes, phi_decay: Phi) -> Attempt:
        field, start, spectrum = self._start.field, self._start, self.spectrum
        predictor = decay.apply(h[:, None] * phi_decay[0])
        middle = field.held_at(start.dual - start.pull(predictor), start.held)
        first = start.arrivals(middle, start.rho + decay.apply(phi_decay[0] - 1))
        if first.all.size:
            middle = field.at(middle.put(middle.dual, first), start.held.join(first.held))
        gradient = middle.gradient()
        if first.all.size:  # that their normal motion ended is no drift: they have been put where they belong
            boundary = start.boundary_of(first.all)
            gradient = boundary.with_normal(gradient, boundary.gradient_on_side(middle.force))
        rho = middle.rho
        gap = spectrum.modes(start.rho - spectrum.matvec(predictor) - rho, h, tolerance)
        turn = spectrum.modes(spectrum.matvec(rho) - start.push(gradient), h, tolerance)
        modes = (decay, gap, turn)
        phi = [phi_decay if part.rates is decay.rates else phi_functions(-h[:, None] * part.rates) for part in modes]
        wander = gap.apply(2 * h[:, None] * phi[1][2] * gap.rates)
        drift = turn.apply(h[:, None] * phi[2][1]).norm(dim=-1)
        end = field.held_at(middle.put(self._dual_at(h, h, modes, phi, rho, gradient), first), middle.held)
        second = start.arrivals(end, spectrum.calm(end.rho, h))
        settled, evaluations = end.settled(second)
        products, self._counted = spectrum.products - self._counted, spectrum.products
        return Attempt(
            end=settled,
            wander=wander.norm(dim=-1) + decay.defect(h[:, None] * phi_decay[0]),
            drift=drift,
            jumps=first.jumps | second.jumps,
            passes=2 + (first.all.size > 0) + evaluations + products,
            _origin=self,
            _h=h,
            _middle=rho,
            _gradient=gradient,
            _modes=modes,
        )

    def state_at(self, attempt: Attempt, sigma: Tensor) -> FlowState:
        """The trajectory at sizes `sigma`, shape (B,), 0 <= sigma <= h, to the order of the step."""
        start, modes = attempt._origin._start, attempt._modes
        phi = [phi_functions(-sigma[:, None] * part.rates) for part in modes]
        dual = attempt._origin._dual_at(sigma, attempt._h, modes, phi, attempt._middle, attempt._gradient)
        state = start.field.at(dual, start.held)
        arrivals = start.arrivals(state, attempt._origin.spectrum.calm(state.rho, sigma))
        return start.field.at(state.put(dual, arrivals), start.held) if arrivals.all.size else state

    def _dual_at(
        self, sigma: Tensor, h: Tensor, modes: tuple[Modes, ...], phi: list[Phi], rho: Tensor, gradient: Tensor
    ) -> Tensor:
        """z at `sigma` of a step of size `h`: the formulas above with :math:`N_D (s/h)^2` and :math:`N_J s/h`."""
        sigma, share = sigma[:, None], (sigma / h)[:, None]
        (decay, gap, turn), ((first, _, _), (_, _, third), (_, _, third_turn)) = modes, phi
        u = decay.apply(-sigma * first) + gap.apply(2 * share**2 * sigma * third)
        u = u + share * (sigma / 2 * rho - turn.apply(sigma**2 * third_turn))
        dual: Tensor = self._start.dual + self._start.pull(u) - share * sigma / 2 * gradient
        return dual
