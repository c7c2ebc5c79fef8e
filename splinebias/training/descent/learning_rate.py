"""How large the next step of a descent is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splinebias.learning_rates import Rates, rate_at
from splinebias.training.losses import SquaredLoss


def sharpness(loss: SquaredLoss, kernel: Tensor, batch_size: int | None) -> Tensor:
    r"""Number whose inverse is a safe learning rate, from the tangent kernel at the data, shape (..., M, M) to (...).

    For full batches the fastest decay rate :math:`\lambda_{\max}`; for mini-batches of B of the M points
    :math:`\min(\lambda_{\max} M/B,\; M \max_i \omega_i K_{ii})`, which bounds the curvature of every batch.
    """
    fastest = loss.decay_range(kernel)[1]
    if batch_size is None:
        return fastest
    size = loss.y.shape[-1]
    single = size * (loss.weights * kernel.diagonal(dim1=-2, dim2=-1)).amax(-1)
    return torch.minimum(fastest * size / batch_size, single)


class LearningRate:
    """The learning rate along a run: fixed, or 1 / sharpness.

    The sharpness is measured again after 1, 2, 4, ... up to 1024 steps. The wait falls back to 1 whenever it has changed by
    over 1 %, and it is over at once when a step raises the loss. A step that would raise it by over 10 % is taken
    back and the rate halved, which recovers by 10 % per good step.

    Smaller increases are accepted on purpose. Where a breakpoint sits at a sample the gradient jumps, and the flow may slide
    along that discontinuity: no rate, however small, lowers the loss there at every single step.

    Parameters
    ----------
    fixed : float, tuple of float, callable or None
        The constant rate, or that of every step; None: automatic.
    noisy : bool
        Whether the loss may rise by chance (mini-batches): then every step is taken and nothing is concluded from it.
    """

    def __init__(self, fixed: Rates | None, *, noisy: bool = False) -> None:
        self._fixed, self._noisy, self._sharpness = fixed, noisy, math.nan
        self._steps, self._next, self._last = 0, math.nan, 0.0
        self._safety, self._wait, self._left = 1.0, 1, 0

    @property
    def value(self) -> float:
        """The rate of the next step; 0 if no step is safe."""
        if isinstance(self._fixed, float):
            return self._fixed
        if self._fixed is not None:
            if math.isnan(self._next):  # a function is asked once a step
                self._next = rate_at(self._fixed, self._steps)
            return self._next
        return self._safety / self._sharpness if self._sharpness > 0 else 0.0

    @property
    def latest(self) -> float:
        """The rate of the last step that was taken, of the next one if it is automatic; 0 if there was none."""
        return self.value if self._fixed is None or isinstance(self._fixed, float) else self._last

    @property
    def due(self) -> bool:
        """Whether `update` must be called before the next step."""
        return self._fixed is None and self._left == 0

    def update(self, sharpness: float) -> None:
        """Take note of the present sharpness."""
        settled = abs(sharpness - self._sharpness) <= 0.01 * self._sharpness  # False the first time: nan
        self._wait = min(2 * self._wait, 1024) if settled else 1
        self._sharpness, self._left = sharpness, self._wait

    def judge(self, before: float, after: float) -> bool:
        """Whether to take a step that changes the loss from `before` to `after` (possibly not a number)."""
        if self._fixed is not None:
            self._last, self._steps, self._next = self.value, self._steps + 1, math.nan
            return True
        if not (self._noisy or after <= 1.1 * before):
            self._left, self._safety = 0, self._safety / 2
            return False
        self._left = 0 if after > before and not self._noisy else self._left - 1
        self._safety = min(1.0, 1.1 * self._safety)
        return True
