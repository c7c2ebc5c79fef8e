"""The kernel of a problem of several inputs: closed forms where there are, by direction for two inputs, else by samples."""

from __future__ import annotations

from splinebias.activation import TwoSlope
from splinebias.errors import CapabilityError
from splinebias.initialization.densities import law_name, shape_loc_scale
from splinebias.initialization.initialization import Initialization
from splinebias.initialization.several_inputs.input_laws import IndependentCoordinates, OnSphere, SeveralInputs
from splinebias.limit.several_inputs.bias_moments import UniformBias, bias_moments
from splinebias.limit.several_inputs.closed_kernels import ArcCosine, InputKernel, PiecewiseKernel, UniformBiasKernel
from splinebias.limit.several_inputs.cubic_means import CubeCubic, CubicMean, SphereCubic
from splinebias.limit.several_inputs.plane_kernel import PlaneKernel
from splinebias.limit.several_inputs.sampled_kernel import SampledKernel

_MOST_CLOSED = 6  # inputs of a cube: the closed form has 2^d terms


def input_kernel(initialization: Initialization, activation: TwoSlope, draws: int, seed: int) -> InputKernel:
    """The kernel E[s(w x + b) s(w x' + b)] of a law and an activation s.

    Parameters
    ----------
    initialization : Initialization
        Of several inputs.
    activation : TwoSlope
        The s above.
    draws, seed : int
        Samples of w where there is no closed form, and where their randomness comes from.
    """
    law = initialization.pair_law
    if not isinstance(law, SeveralInputs):
        raise CapabilityError(f"kernels of several inputs need a law of several, got {initialization!r}")
    if (scales := _gaussian(law)) is not None:
        return ArcCosine(activation, *scales)
    if (found := _uniform_bias(law)) is None:
        return SampledKernel(activation, law, draws, seed)
    cubic, half_width = found
    closed = UniformBiasKernel(activation, cubic, half_width)
    if law.inputs == 2:
        side = cubic.half_width if isinstance(cubic, CubeCubic) else None
        return PiecewiseKernel(closed, PlaneKernel(activation, half_width, side))
    sampled = SampledKernel(activation, law, draws, seed)
    return sampled if isinstance(cubic, CubeCubic) and law.inputs > _MOST_CLOSED else PiecewiseKernel(closed, sampled)


def _gaussian(law: SeveralInputs) -> tuple[float, float] | None:
    """The deviations of centred normal weights and biases, None for other laws."""
    if not isinstance(law, IndependentCoordinates) or {law_name(given) for given in law.given} != {"norm"}:
        return None
    (_, at_w, s_w), (_, at_b, s_b) = (shape_loc_scale(given) for given in law.given)
    return (s_w, s_b) if at_w == at_b == 0 else None


def _uniform_bias(law: SeveralInputs) -> tuple[CubicMean, float] | None:
    """The law of w, symmetric, and the B of biases uniform on (-B, B), None for other laws."""
    if isinstance(law, OnSphere):
        bias, cubic = bias_moments(law.given), SphereCubic(law.inputs)
        half_width = bias.half_width if isinstance(bias, UniformBias) else None
        return None if half_width is None else (cubic, half_width)
    if not isinstance(law, IndependentCoordinates):
        return None
    weight, bias = bias_moments(law.given[0]), bias_moments(law.given[1])  # a weight has the same kind of law
    if not isinstance(weight, UniformBias) or not isinstance(bias, UniformBias):
        return None
    if (a := weight.half_width) is None or (b := bias.half_width) is None:
        return None
    return CubeCubic(law.inputs, a), b
