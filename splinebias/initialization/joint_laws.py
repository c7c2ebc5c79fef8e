r"""Joint laws of (W, B) that are not independent: any smooth density p(w, b) that can be evaluated and drawn from.

`as_joint` reads scipy.stats' frozen multivariate_normal and multivariate_t as they are; of any other object with `pdf` and
`rvs` it finds mass and second moments by a quadrature in polar coordinates around the mean,

.. math:: E[F(W, B)] = |L| \int_0^{2\pi} \int_0^\infty F(z)\, p(z)\, r\, dr\, d\theta, \qquad
          z = \mu + r L (\cos\theta, \sin\theta),

with :math:`L L^T` about the covariance: exponentially accurate for smooth densities, and refused if it does not give mass 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.numerics.half_line import log_ray

_ANGLES = 256  # and twice as many, with half the radial step, to compare
_DRAWS = 4000
_MASS = 1e-9  # how far the mass of a density may be from 1
_SINGULAR = 1e-13  # ratio of eigenvalues below which a covariance counts as singular


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
    gaussian : bool
        Whether the law is the normal law with mean `centre` and covariance `scatter`.
    """

    law: Any
    centre: Array
    scatter: Array
    second_moments: tuple[float, float]
    gaussian: bool = False

    def pdf(self, w: Array, b: Array) -> Array:
        """p(w, b), of the common shape of `w` and `b`."""
        return np.asarray(self.law.pdf(np.stack(np.broadcast_arrays(w, b), axis=-1)), dtype=float).reshape(
            np.broadcast_shapes(w.shape, b.shape)
        )

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draws (w, b), each of shape (size,)."""
        w, b = np.asarray(self.law.rvs(size=size, random_state=rng), dtype=float).reshape(size, 2).T
        return w, b

    def has_moment(self, order: float) -> bool:
        r"""Whether :math:`E|(W, B)|^{order}` is finite (infinity: an exponential moment), judged by the tails on rays.

        As in `Continuous.has_moment`, with one power of the radius more.
        """
        if self.gaussian:
            return True
        radii = np.array([100.0, 400.0, 1e6, 1e8])
        w, b = _around(self.centre, self.scatter, radii, 2 * np.pi * np.arange(16) / 16)
        with np.errstate(divide="ignore", under="ignore"):
            decay = -np.log(self.pdf(w, b))
        if math.isinf(order):
            return bool((decay[:, 1] / 400 >= 0.9 * decay[:, 0] / 100).all())
        heavy = np.isfinite(decay[:, 3])
        return bool(((decay[heavy, 3] - decay[heavy, 2]) / math.log(100) - 2 >= order * (1 + 1e-9)).all())

    def describe(self) -> str:
        """One line naming the law."""
        kind = type(self.law).__name__.removesuffix("_frozen")
        if kind not in ("multivariate_normal", "multivariate_t"):
            return repr(self.law)
        matrix = "[" + ", ".join("[" + ", ".join(f"{v:g}" for v in row) + "]" for row in self.scatter) + "]"
        mean = ", ".join(f"{v:g}" for v in self.centre)
        return f"{kind}([{mean}], {matrix}" + (")" if self.gaussian else f", df={self.law.df:g})")


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

    if isinstance(law, JointDensity):
        return law
    if isinstance(law, type(stats.multivariate_normal([0.0, 0.0]))):
        centre, covariance = _checked(law.mean, law.cov_object.covariance)
        moments = centre**2 + np.diag(covariance)
        return JointDensity(law, centre, covariance, (float(moments[0]), float(moments[1])), gaussian=True)
    if isinstance(law, type(stats.multivariate_t([0.0, 0.0]))):
        centre, shape = _checked(law.loc, law.shape)
        if not law.df > 2:
            raise DataError(
                f"`law` must have finite second moments, got multivariate_t with df = {law.df:g}; take more than 2 degrees "
                "of freedom"
            )
        ratio = law.df / (law.df - 2) if math.isfinite(law.df) else 1.0
        moments = centre**2 + ratio * np.diag(shape)
        return JointDensity(law, centre, shape, (float(moments[0]), float(moments[1])))
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
    if lowest <= _SINGULAR:
        raise DataError(
            f"the covariance of `law` must be positive definite, got {scatter.tolist()}; where w determines b there is no "
            "density: shift the data for b proportional to w, or use Constant"
        )
    return centre, scatter


def _measured(law: Any) -> JointDensity:
    """A density known by its values and draws only."""
    try:
        draws = np.asarray(law.rvs(size=_DRAWS, random_state=np.random.default_rng(0)), dtype=float).reshape(_DRAWS, 2)
        centre, scatter = _checked(draws.mean(axis=0), np.cov(draws.T))
        joint = JointDensity(law, centre, scatter, (1.0, 1.0))
        moments = [_moments(joint, _ANGLES), _moments(joint, 2 * _ANGLES)]
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"`law` must take `pdf` of points of shape (..., 2) and `rvs(size=, random_state=)`, got {law!r}: {error}"
        ) from None
    if not joint.has_moment(2):
        raise DataError(f"`law` must have finite second moments, got {law!r}; choose lighter tails")
    if not abs(moments[1][0] - 1) <= _MASS:
        rough = not abs(moments[1][0] - moments[0][0]) <= _MASS
        if rough:
            raise CapabilityError(
                f"the density of {law!r} is not smooth enough to be integrated (mass {moments[0][0]:.10g}, then "
                f"{moments[1][0]:.10g}); give a smooth density, or a mixture of independent laws"
            )
        raise DataError(f"the density of `law` must have mass 1, got {moments[1][0]:.10g} for {law!r}; normalize it")
    return JointDensity(law, centre, scatter, (float(moments[1][1]), float(moments[1][2])))


def _moments(joint: JointDensity, angles: int) -> Array:
    """Mass, E[W^2] and E[B^2]."""
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


def gaussian_pair(weight: Any, bias: Any) -> JointDensity | None:
    """Two independent normal laws of scipy.stats, not both centred, as one joint law; None if they are anything else."""
    from scipy import stats

    if not all(getattr(getattr(law, "dist", None), "name", None) == "norm" for law in (weight, bias)):
        return None
    mean = [float(weight.mean()), float(bias.mean())]
    return as_joint(stats.multivariate_normal(mean, np.diag([weight.var(), bias.var()]))) if any(mean) else None


def joint_to_table(law: Any) -> dict[str, Any]:
    """A plain dictionary that `joint_from_table` turns back into the same law.

    Raises
    ------
    CapabilityError
        If the law is no multivariate_normal or multivariate_t of scipy.stats.
    """
    joint = as_joint(law)
    kind = type(joint.law).__name__.removesuffix("_frozen")
    if kind not in ("multivariate_normal", "multivariate_t"):
        raise CapabilityError(
            f"only multivariate_normal and multivariate_t can be written to TOML as joint laws, got {law!r}"
        )
    spread = {"cov": joint.scatter.tolist()} if joint.gaussian else {"shape": joint.scatter.tolist(), "df": float(law.df)}
    return {"name": kind, "mean" if joint.gaussian else "loc": joint.centre.tolist()} | spread


def joint_from_table(table: dict[str, Any]) -> Any:
    """The law written by `joint_to_table`; unknown names and parameters are refused."""
    from scipy import stats

    options = dict(table)
    kind = options.pop("name", None)
    takes = {"multivariate_normal": {"mean", "cov"}, "multivariate_t": {"loc", "shape", "df"}}
    if kind not in takes:
        raise DataError(f"`joint.name` must be mixture or one of {', '.join(takes)}, got {kind!r}")
    if set(options) != takes[kind]:
        raise DataError(f"`joint` of {kind} takes {', '.join(sorted(takes[kind]))}, got {sorted(options)}")
    try:
        return getattr(stats, kind)(**options)
    except (TypeError, ValueError, np.linalg.LinAlgError) as error:
        raise DataError(f"`joint` has parameters that {kind} does not take: {error}") from None
