r"""Joint laws of (W, B) that are not independent: any smooth density p(w, b) that can be evaluated and drawn from.

`as_joint` reads scipy.stats' frozen multivariate_normal and multivariate_t as they are; of any other object with `pdf` and
`rvs` it finds mass and second moments by a quadrature in polar coordinates around the mean,

.. math:: E[F(W, B)] = |L| \int_0^{2\pi} \int_0^\infty F(z)\, p(z)\, r\, dr\, d\theta, \qquad
          z = \mu + r L (\cos\theta, \sin\theta),

with :math:`L L^T` about the covariance: exponentially accurate for smooth densities, and refused if it does not give mass 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.densities.singularities import TAIL_SCALES, tails_have_moment
from splinebias.initialization.zeta import Profile, ScaleFamily
from splinebias.numerics.half_line import log_ray

_PARAMETERS = {"multivariate_normal": ("mean", "cov"), "multivariate_t": ("loc", "shape", "df")}


class Ray(NamedTuple):
    r"""Where a ray (w, b) = v d, v > 0, d = (s, -sc) passes the mean of a joint law; each of the shape of the breakpoints c.

    With the mean :math:`\mu` and the covariance (or shape) matrix :math:`\Sigma` it is nearest to the mean at
    :math:`v_0 = d^T\Sigma^{-1}\mu / d^T\Sigma^{-1}d`, on the scale :math:`\tau = (d^T\Sigma^{-1}d)^{-1/2}`:

    .. math:: |v d - \mu|^2_{\Sigma^{-1}} = q_0 + (v - v_0)^2/\tau^2 .

    Attributes
    ----------
    nearest, width, distance : Array
        The v_0, tau and q_0 above.
    """

    nearest: Array
    width: Array
    distance: Array


@dataclass(frozen=True, eq=False)
class JointDensity:
    r"""A density p(w, b) with its centre and spread.

    Attributes
    ----------
    law : law
        `pdf` of points (..., 2) and `rvs`.
    centre : Array, shape (2,)
        The mean :math:`\mu`.
    scatter : Array, shape (2, 2)
        Positive definite: the covariance, or for Student laws the shape matrix.
    second_moments : tuple of float
        E[W^2] and E[B^2].
    name : str
        scipy's name of a law of its own, empty for others.
    length : JointLength or None
        A length of (w, b) that the density depends on, if the law has a `radius`.
    """

    law: Any
    centre: Array
    scatter: Array
    second_moments: tuple[float, float]
    name: str = ""
    length: JointLength | None = None

    def pdf(self, w: Array, b: Array) -> Array:
        """p(w, b), of the common shape of `w` and `b`."""
        if self.name:
            return np.exp(self.logpdf(w, b))
        return np.asarray(self.law.pdf(np.stack(np.broadcast_arrays(w, b), axis=-1)), dtype=float).reshape(
            np.broadcast_shapes(w.shape, b.shape)
        )

    def logpdf(self, w: Array, b: Array) -> Array:
        """log p(w, b), also where p underflows if the law has a `logpdf`; else -inf there.

        Of scipy's two laws by their formulas: its machinery takes four times as long.
        """
        if self.name:
            return self._elliptical(w, b)
        if not hasattr(self.law, "logpdf"):
            with np.errstate(divide="ignore"):
                return np.log(self.pdf(w, b))
        points = np.stack(np.broadcast_arrays(w, b), axis=-1)
        return np.asarray(self.law.logpdf(points), dtype=float).reshape(points.shape[:-1])

    def _elliptical(self, w: Array, b: Array) -> Array:
        r"""log p of a normal law, :math:`-q/2`, or a Student law, :math:`-(\nu/2 + 1) \log(1 + q/\nu)`, and a constant."""
        (scale, _), (slant, rest) = np.linalg.cholesky(self.scatter)
        away = np.asarray((w - self.centre[0]) / scale)
        q = (b - self.centre[1] - slant * away) / rest  # and so the second one of two independent deviations
        q = q * q + away * away
        top, df = -math.log(2 * math.pi * scale * rest), math.inf if self.gaussian else float(self.law.df)
        # Gamma(df/2 + 1)/(Gamma(df/2) df/2) = 1
        return np.asarray(top - (q / 2 if math.isinf(df) else (df / 2 + 1) * np.log1p(q / df)))

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draws (w, b), each of shape (size,)."""
        w, b = np.asarray(self.law.rvs(size=size, random_state=rng), dtype=float).reshape(size, 2).T
        return w, b

    def ray(self, c: Array, side: int) -> Ray:
        """The ray of the units with breakpoint `c` whose weights have the sign `side`."""
        precision = np.linalg.inv(self.scatter)
        (p_ww, p_wb), (_, p_bb) = precision
        tilt = precision @ self.centre
        length = p_ww - 2 * p_wb * c + p_bb * c**2
        along = side * (tilt[0] - c * tilt[1])
        # q_0 = (cross product of d and the mean)^2 det(P) / length: without cancellation
        offset = self.centre[1] + c * self.centre[0]
        return Ray(along / length, 1 / np.sqrt(length), offset**2 * np.linalg.det(precision) / length)

    def has_moment(self, order: float) -> bool:
        r"""Whether :math:`E|(W, B)|^{order}` is finite (infinity: an exponential moment), judged by the tails on rays."""
        w, b = _around(self.centre, self.scatter, TAIL_SCALES, 2 * np.pi * np.arange(16) / 16)
        return self.gaussian or tails_have_moment(self.pdf(w, b), order, 2)

    @property
    def gaussian(self) -> bool:
        """Whether the law is the normal law with mean `centre` and covariance `scatter`."""
        return self.name == "multivariate_normal"

    def describe(self) -> str:
        """One line naming the law."""
        if self.name not in _PARAMETERS:
            return repr(self.law)
        matrix = "[" + ", ".join("[" + ", ".join(f"{v:g}" for v in row) + "]" for row in self.scatter) + "]"
        mean = ", ".join(f"{v:g}" for v in self.centre)
        return f"{self.name}([{mean}], {matrix}" + (")" if self.gaussian else f", df={self.law.df:g})")


@dataclass(frozen=True, eq=False)
class RadiusOfDensity(Profile):
    r"""The law of the length of (w, b) along a ray: :math:`f(u) \propto u\, p(u d)`, d of length 1.

    Attributes
    ----------
    joint : JointDensity
        Gives p.
    direction : Array, shape (2,)
        The d above.
    tail, strip : float
        As of any profile.
    """

    joint: JointDensity
    direction: Array
    tail: float
    strip: float

    def density(self, u: Array) -> Array:
        return np.asarray(u * self.joint.pdf(u * self.direction[0], u * self.direction[1]) / self._mass)

    def moment(self, order: float) -> float:
        return self._integral(order) / self._mass if order < self.tail else math.inf

    @cached_property
    def _mass(self) -> float:
        return self._integral(0.0)

    def _integral(self, order: float) -> float:
        """Of u^(k + 1) p(u d), by even steps in log u."""
        t = np.arange(-60.0, 700.0 / (order + 4), 0.02)
        u = np.exp(t)
        with np.errstate(all="ignore"):
            terms = u**2 * self.joint.pdf(u * self.direction[0], u * self.direction[1])
            return float(0.02 * np.where(terms > 0, terms * u**order, 0.0).sum())


_RAYS = 24  # along which what a law says of itself is checked


class JointLength(NamedTuple):
    """A length of (w, b) and what the density makes of it along rays from 0.

    Attributes
    ----------
    radius : function
        The length of points (..., 2), homogeneous of degree 1.
    profile : RadiusOfDensity
        Its law along every ray.
    typical : float
        A length that occurs.
    """

    radius: Any
    profile: RadiusOfDensity
    typical: float

    def family(self, side: int) -> ScaleFamily:
        """The units with weights of a sign."""
        joint, u = self.profile.joint, self.typical
        constant = float(self.profile.density(np.array(u)))

        def at(c: Array) -> tuple[Array, Array]:
            w = np.full(np.shape(c), float(side))
            v = np.asarray(1 / np.asarray(self.radius(np.stack([w, -side * c], axis=-1)), dtype=float))
            return v, np.asarray(v**2 * u * joint.pdf(side * v * u, -side * v * u * c) / constant)

        return ScaleFamily(self.profile, at)


def _length(joint: JointDensity) -> JointLength | None:
    """The length that a law of one's own says its density depends on, checked along some rays; None if it says nothing."""
    radius = getattr(joint.law, "radius", None)
    if radius is None:
        return None
    turns = 2 * np.pi * np.sqrt(5) / 2 * np.arange(_RAYS)  # no symmetry has them all alike
    w, b = np.linalg.cholesky(joint.scatter) @ np.stack([np.cos(turns), np.sin(turns)])
    points = np.stack([w, b], axis=-1)
    factors = np.array([1.0, 0.07, 2.3, 31.0])  # no powers of one number
    try:
        sizes, *others = (np.asarray(radius(factor * points), dtype=float).reshape(_RAYS) for factor in factors)
    except (TypeError, ValueError, IndexError) as error:
        raise DataError(f"`radius` of {joint.law!r} must take points of shape (..., 2): {error}") from None
    off = np.array(others) / (factors[1:, None] * np.where(sizes > 0, sizes, 1.0)) - 1
    if not ((sizes > 0) & np.isfinite(sizes)).all() or not (np.abs(off) <= 1e-9).all():
        at = np.unravel_index(int(np.argmax(np.where(np.isnan(off), math.inf, np.abs(off)))), off.shape)
        raise DataError(
            f"`radius` of {joint.law!r} must be positive and grow in proportion to (w, b), got {others[at[0]][at[1]]:g} at "
            f"{factors[1 + at[0]]:g} times a point where it is {sizes[at[1]]:g}; give a norm of (w, b), or leave it out"
        )
    typical = float(np.median(sizes))
    u = np.logspace(-4, 4, 321)[:, None]  # by equal steps of the logarithm, so that u^2 p is the mass of a step
    with np.errstate(all="ignore"):
        values = joint.pdf(u * typical / sizes * w, u * typical / sizes * b)
        mass = (u**2 * values).sum(axis=0)
        (taken,) = (mass != 0).nonzero()  # where there are no units, nothing is claimed
        first = int(np.nanargmax(mass))
        shape = values[:, taken] / mass[taken]
        of_first = values[:, [first]] / mass[first]
        apart = [(u**k * np.abs(shape - of_first)).sum(axis=0) / (u**k * of_first).sum() for k in (2, 4)]
        uneven = np.max(apart, axis=0)
    if not (uneven <= 1e-9).all():
        worst = int(np.argmax(np.where(np.isnan(uneven), math.inf, uneven)))
        k = taken[worst]
        raise DataError(
            f"along every ray from 0 the density of {joint.law!r} must be one function of its `radius` times a number, and "
            f"on the rays through ({w[first]:.3g}, {b[first]:.3g}) and ({w[k]:.3g}, {b[k]:.3g}) masses or second moments at "
            f"one radius differ by {uneven[worst]:.1e} of all; correct `radius`, or leave it out"
        )
    tails = [order for order in (2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0, 64.0) if joint.has_moment(order)]
    tail = math.inf if tails[-1] == 64.0 else tails[-1]
    direction = points[first] / sizes[first]
    return JointLength(radius, RadiusOfDensity(joint, direction, tail, math.pi / 8), typical)


def as_joint(law: Any) -> JointDensity:
    """`law` as a JointDensity with finite second moments.

    Raises
    ------
    DataError
        If `law` is no law of pairs, its covariance is singular or not finite, its second moments are infinite, or its
        density is negative or has mass other than 1.
    CapabilityError
        If its density is not smooth enough to be integrated to 1e-9.
    """
    from scipy import stats

    if isinstance(law, type(stats.multivariate_normal([0.0, 0.0]))):
        centre, covariance = _checked(law.mean, law.cov_object.covariance)
        moments = centre**2 + np.diag(covariance)
        return JointDensity(law, centre, covariance, (float(moments[0]), float(moments[1])), "multivariate_normal")
    if isinstance(law, type(stats.multivariate_t([0.0, 0.0]))):
        centre, shape = _checked(law.loc, law.shape)
        if not law.df > 2:
            raise DataError(
                f"`law` must have finite second moments, got multivariate_t with df = {law.df:g}; take more than 2 degrees "
                "of freedom"
            )
        ratio = law.df / (law.df - 2) if math.isfinite(law.df) else 1.0
        moments = centre**2 + ratio * np.diag(shape)
        return JointDensity(law, centre, shape, (float(moments[0]), float(moments[1])), "multivariate_t")
    unfrozen = isinstance(law, type | type(stats.multivariate_normal) | type(stats.multivariate_t))
    if unfrozen or not (hasattr(law, "pdf") and hasattr(law, "rvs")) or hasattr(law, "support"):
        raise DataError(
            "`law` must be a frozen law of the pair (w, b), such as scipy.stats.multivariate_normal(mean, cov), or have "
            f"`pdf(points)` and `rvs(size=, random_state=)`, got {law!r}"
        )
    return _measured(law)


def _checked(centre: Any, scatter: Any) -> tuple[Array, Array]:
    """Mean and covariance of a pair, finite and positive definite."""
    centre, scatter = np.array(centre, dtype=float), np.array(scatter, dtype=float)
    if centre.shape != (2,) or scatter.shape != (2, 2):
        raise DataError(
            f"`law` must be a law of pairs (w, b), got a mean of shape {centre.shape} and a covariance of shape "
            f"{scatter.shape}; give two means and a 2 x 2 matrix"
        )
    if not (np.isfinite(centre).all() and np.isfinite(scatter).all()):
        raise DataError(f"`law` must have a finite mean and covariance, got {centre.tolist()} and {scatter.tolist()}")
    # scale-free: W and B may be measured in any units
    scale = np.sqrt(np.diag(scatter))
    lowest = 1 - abs(scatter[0, 1]) / float(scale.prod()) if (scale > 0).all() else 0.0
    if lowest <= 1e-13:
        raise DataError(
            f"the covariance of `law` must be positive definite, got {scatter.tolist()}; where w determines b there is no "
            "density: shift the data for b proportional to w, or use Constant"
        )
    return centre, scatter


def _measured(law: Any) -> JointDensity:
    """A density known by its values and draws only."""
    try:
        draws = np.asarray(law.rvs(size=4000, random_state=np.random.default_rng(0)), dtype=float).reshape(4000, 2)
        centre, scatter = _checked(draws.mean(axis=0), np.cov(draws.T))
        joint = JointDensity(law, centre, scatter, (1.0, 1.0))
        coarse, (mass, *moments) = _moments(joint, 256)[0], _moments(joint, 512).tolist()
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"`law` must take `pdf` of points of shape (..., 2) and `rvs(size=, random_state=)`, got {law!r}: {error}"
        ) from None
    if not joint.has_moment(2):
        raise DataError(f"`law` must have finite second moments, got {law!r}; choose lighter tails")
    if not abs(mass - 1) <= 1e-9:
        if abs(mass - coarse) <= 1e-9:
            raise DataError(f"the density of `law` must have mass 1, got {mass:.10g} for {law!r}; normalize it")
        raise CapabilityError(
            f"the density of {law!r} is not smooth enough to be integrated (mass {coarse:.10g}, then {mass:.10g}); give a "
            "smooth density, or a mixture of independent laws"
        )
    return replace(joint, second_moments=tuple(moments), length=_length(joint))


def _moments(joint: JointDensity, angles: int) -> Array:
    """Mass, E[W^2] and E[B^2] from rays at so many angles, with steps to match."""
    r, dr = log_ray(0.1 * 512 / angles)
    w, b = _around(joint.centre, joint.scatter, r, 2 * np.pi * np.arange(angles) / angles)
    with np.errstate(all="ignore"):
        density = joint.pdf(w, b) * (r * dr)
        density = np.where(np.isfinite(density), density, 0.0)
        total = [np.where(density != 0, density * factor, 0.0).sum() for factor in (np.ones_like(w), w**2, b**2)]
    return np.array(total) * math.sqrt(np.linalg.det(joint.scatter)) * 2 * np.pi / angles


def _around(centre: Array, scatter: Array, radii: Array, angles: Array) -> tuple[Array, Array]:
    """(w, b) at radii and angles around the centre, each of shape (angles, radii)."""
    circle = np.linalg.cholesky(scatter) @ np.stack([np.cos(angles), np.sin(angles)])
    w, b = (centre[i] + circle[i][:, None] * radii for i in (0, 1))
    return w, b


def normal_pair(mean: Array, deviation: Array) -> JointDensity:
    """Independent normal W and B with these means and standard deviations, each of shape (2,)."""
    from scipy import stats

    return as_joint(stats.multivariate_normal(mean, np.diag(deviation**2)))


def joint_to_table(joint: JointDensity) -> dict[str, Any]:
    """A plain dictionary that `joint_from_table` turns back into the same law.

    Raises
    ------
    CapabilityError
        If the law is no multivariate_normal or multivariate_t of scipy.stats.
    """
    if joint.name not in _PARAMETERS:
        raise CapabilityError(
            f"only multivariate_normal and multivariate_t can be written to TOML as joint laws, got {joint.law!r}"
        )
    values = {"mean": joint.centre, "loc": joint.centre, "cov": joint.scatter, "shape": joint.scatter}
    table = {key: values[key].tolist() if key in values else float(joint.law.df) for key in _PARAMETERS[joint.name]}
    return {"name": joint.name} | table


def joint_from_table(table: dict[str, Any]) -> Any:
    """The law written by `joint_to_table`; unknown names and parameters are refused."""
    from scipy import stats

    options = dict(table)
    kind = options.pop("name", None)
    if not isinstance(kind, str) or kind not in _PARAMETERS:
        raise DataError(f"`joint.name` must be mixture or one of {', '.join(_PARAMETERS)}, got {kind!r}")
    if set(options) != set(_PARAMETERS[kind]):
        raise DataError(f"`joint` of {kind} takes {', '.join(sorted(_PARAMETERS[kind]))}, got {sorted(options)}")
    try:
        return getattr(stats, kind)(**options)
    except (TypeError, ValueError, np.linalg.LinAlgError) as error:
        raise DataError(f"`joint` has parameters that {kind} does not take: {error}") from None
