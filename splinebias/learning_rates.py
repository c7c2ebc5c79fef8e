r"""Learning rates of a run, step by step, and the training time that they add up to.

.. math:: t = \kappa_n \frac{1 - \delta}{1 - \beta} \sum_s \eta_s

with the clock :math:`\kappa_n` of the parameterization (n for `Standard`), momentum :math:`\beta`, dampening :math:`\delta`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from splinebias._arguments import entry, known_keywords, real_number, real_vector, true_or_false, whole_number
from splinebias._array import Array
from splinebias.errors import DataError
from splinebias.parameterization import Parameterization, Standard

Rates = float | tuple[float, ...] | Callable[[int], float]
"""A constant learning rate, those of all steps, or a function of the number of the step, 0 for the first."""

_STANDARD = Standard()


@known_keywords
def training_time(
    learning_rate: Any,
    width: int,
    *,
    steps: int | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    mean_squared_error: bool = False,
    parameterization: Parameterization = _STANDARD,
) -> float:
    r"""The training time of a loop that took steps with these learning rates: the `time` of `predict` and `train`.

    .. math:: t = c\, \kappa_n \frac{1 - \delta}{1 - \beta} \sum_s \eta_s,

    :math:`\kappa_n = n` for `Standard`, 1 for `NTK`; c = 1 for the loss of this library,
    :math:`\frac{1}{2\sum m}\sum_i m_i r_i^2`, and c = 2 for the mean of the squares, which is twice that.

    Parameters
    ----------
    learning_rate : float, sequence of float, or callable
        The :math:`\eta_s \ge 0` of the optimizer: one number for all steps, one per step, or ``f(s)`` of the number
        s = 0, 1, 2, ... of the step. What a scheduler changed them to counts, not what it was given.
    width : int
        The number n of hidden units.
    steps : int, optional
        How many steps were taken; to be left out with a sequence.
    momentum, dampening : float
        The :math:`\beta` and :math:`\delta` of ``torch.optim.SGD``, in [0, 1). With ``nesterov=True`` the time is the same.
    mean_squared_error : bool
        Whether the loop minimized ``torch.nn.MSELoss()``, the mean of :math:`(f(x_i) - y_i)^2`, rather than half of it.
    parameterization : Parameterization
        How the network is scaled; an ordinary torch module is `Standard`.

    Returns
    -------
    float
        The t above, dimensionless.

    Raises
    ------
    DataError
        For arguments outside the ranges above; `steps` missing, or given beside a sequence.

    Notes
    -----
    With momentum the function at this time is that of plain flow up to :math:`O(\eta)` (derived here: a gradient moves the
    parameters by :math:`\eta(1 - \delta)(1 + \beta + \beta^2 + \dots)` in the end), so the limit is the same.
    Not covered: weight decay, and optimizers that scale every parameter by its own history, such as Adam: no theorem says
    where they end. Train with them all the same, and measure how far from the limit they end.

    Examples
    --------
    >>> import splinebias as sb
    >>> round(sb.training_time(1e-4, width=1000, steps=5000, momentum=0.9, mean_squared_error=True), 6)
    10000.0
    """
    width = whole_number(width, "width", at_least=1, fix="a network needs a unit")
    rates, counts = distinct_rates(learning_rate, steps)
    true_or_false(mean_squared_error, "mean_squared_error")
    if not isinstance(parameterization, Parameterization):
        raise DataError(f"`parameterization` must be sb.Standard() or sb.NTK(), got {parameterization!r}")
    scale = momentum_scale(momentum, dampening)
    return float((2 if mean_squared_error else 1) * parameterization.clock(width) * scale * (rates * counts).sum())


def momentum_scale(momentum: float, dampening: float = 0.0) -> float:
    r"""How much faster momentum moves, :math:`(1 - \delta)/(1 - \beta)`, or a DataError unless both are in [0, 1)."""
    for name, value in (("momentum", momentum), ("dampening", dampening)):
        if real_number(value, name, at_least=0) >= 1:
            raise DataError(f"`{name}` must be a finite real number >= 0 and < 1, got {value!r}; take 0.9, for instance")
    return (1 - dampening) / (1 - momentum)


def distinct_rates(learning_rate: Any, steps: int | None) -> tuple[Array, Array]:
    """The different learning rates of a run, increasing, and in how many steps each is taken; or a DataError."""
    if isinstance(rates := checked_rates(learning_rate), tuple):
        if steps is not None and steps != len(rates):
            raise DataError(f"`steps` must be left out beside a sequence of {len(rates)} learning rates, got {steps!r}")
        values, counts = np.unique(np.array(rates), return_counts=True)
        return values, counts.astype(float)
    fix = "give the number of steps, or one learning rate for each of them"
    steps = whole_number(steps, "steps", fix=fix)
    if callable(rates):
        return distinct_rates([rate_at(rates, step) for step in range(steps)], None)
    return np.array([rates]), np.array([float(steps)])


def checked_rates(learning_rate: Any, *, fix: str = "or give one for every step, or a function of its number") -> Rates:
    """A learning rate > 0, some that are >= 0 as a tuple, or a callable as it is; or a DataError."""
    if callable(learning_rate):
        rates: Callable[[int], float] = learning_rate
        return rates
    learning_rate = entry(learning_rate)
    if isinstance(learning_rate, str | bytes) or not isinstance(learning_rate, Sequence | np.ndarray):
        return real_number(learning_rate, "learning_rate", above=0, fix=fix)
    values = real_vector(
        learning_rate if isinstance(learning_rate, np.ndarray) else list(learning_rate), "learning_rate", fix="mend it"
    )
    if (values < 0).any():
        raise DataError(f"`learning_rate` must hold numbers >= 0, got {values.min():g}; give the size of every step")
    return tuple(values.tolist())


def rate_at(rates: Rates, step: int) -> float:
    """The learning rate of the step number `step`, 0 for the first, or a DataError."""
    if not callable(rates):
        return rates[step] if isinstance(rates, tuple) else rates
    fix = f"that is what the function says for step {step}"
    return real_number(rates(step), "learning_rate", at_least=0, fix=fix)
