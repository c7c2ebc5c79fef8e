"""The kernel of a problem of several inputs: closed forms where there are, by direction for two inputs, else samples."""

from __future__ import annotations

from typing import Any

from splinebias.activation import TwoSlope
from splinebias.errors import CapabilityError
from splinebias.initialization.densities.scipy_parameters import law_name, shape_loc_scale
from splinebias.initialization.initialization import Initialization
from splinebias.initialization.several_inputs.input_laws import IndependentCoordinates, OnSphere, SeveralInputs
from splinebias.limit.several_inputs.bias_moments import UniformBias, bias_moments
from splinebias.limit.several_inputs.closed_kernels import ArcCosine, InputKernel, PiecewiseKernel, UniformBiasKernel
from splinebias.limit.several_inputs.cubic_means import CubeCubic, CubicMean, SphereCubic
from splinebias.limit.several_inputs.kernel_beyond import KernelBeyond, TangentBeyond
from splinebias.limit.several_inputs.plane_kernel import PlaneKernel
from splinebias.limit.several_inputs.sampled_kernel import SampledKernel
from splinebias.limit.several_inputs.tangent_kernels import (
    TangentArcCosine,
    TangentPlane,
    TangentSampled,
    TangentUniformBias,
)

_KINDS: tuple[Any, ...] = (
    (ArcCosine, UniformBiasKernel, PlaneKernel, KernelBeyond, SampledKernel),
    (TangentArcCosine, TangentUniformBias, TangentPlane, TangentBeyond, TangentSampled),  # both layers trained
)
_DRAWS = 2**14
_MOST_CLOSED = 6  # inputs of a cube: the closed form has 2^d terms


def input_kernel(
    initialization: Initialization, activation: TwoSlope, draws: int | None, seed: int, output_moment: float | None = None
) -> InputKernel:
    """The kernel E[s(w x + b) s(w x' + b)] of a law and an activation s; with an output moment that of both layers.

    Parameters
    ----------
    initialization : Initialization
        Of several inputs.
    activation : TwoSlope
        The s above.
    draws : int or None
        Samples of w where there is no closed form; None: as many as `PointsSolver` says.
    seed : int
        Where their randomness comes from.
    output_moment : float, optional
        E[a^2] of output weights, where hidden weights are trained too (`tangent_kernels`).
    """
    more = () if output_moment is None else (output_moment,)
    arc, closed_form, plane, beyond, samples = _KINDS[output_moment is not None]
    made: InputKernel
    law = initialization.pair_law
    if not isinstance(law, SeveralInputs):
        raise CapabilityError(f"kernels of several inputs need a law of several, got {initialization!r}")
    if (scales := _gaussian(law)) is not None:
        made = arc(activation, *scales, *more)
        return made
    if (found := _uniform_bias(law)) is None:
        made = samples(activation, law, draws or _DRAWS, seed, *more)
        return made
    cubic, half_width = found
    closed = closed_form(activation, cubic, half_width, True, *more)
    if law.inputs == 2:
        side = cubic.half_width if isinstance(cubic, CubeCubic) else None
        return PiecewiseKernel(closed, plane(activation, half_width, side, *more))
    if isinstance(cubic, CubeCubic) and law.inputs > _MOST_CLOSED:
        made = samples(activation, law, draws or _DRAWS, seed, *more)
        return made
    return PiecewiseKernel(closed, beyond(closed, law, draws or _DRAWS * (4 if law.inputs > 3 else 1), seed))


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
