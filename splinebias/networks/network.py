r"""The finite network of a Problem: values, exact export.

.. math:: f(x) = \sum_{k=1}^n a_k \sigma(w_k x + b_k) + d + (\text{slope} \cdot x + \text{intercept}),

with the affine bracket only if the problem's affine part is free. Its first-order structure is in `linearization`.

With D inputs, D > 1, x and :math:`w_k` are vectors and the skip part is an affine function. Parameters live in one flat
tensor :math:`\theta = (w, b, a, d)` of shape (..., (D + 2) n + 1), w input by input; the leading dimensions, if
any, are independent networks of one width, and everything here broadcasts over them. Of parameterization `NTK` a and d hold
the products with :math:`n^{-1/2}`, so that the formula is the same; that they move 1/n times as fast is up to `MirrorMap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from splinebias._arguments import known_keywords, true_or_false, whole_number
from splinebias._array import Array
from splinebias.activation import Activation, Homogeneous
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.piecewise import PiecewiseLinear, PiecewisePolynomial
from splinebias.functions.several_inputs import PointFunction, UnitsFunction
from splinebias.functions.smooth_units import SmoothUnits
from splinebias.networks.linearization import Linearization, linearize
from splinebias.networks.precision import tensor_kind
from splinebias.problem import Problem
from splinebias.problem_tables import part_to_table


@known_keywords
@dataclass(frozen=True, eq=False)
class Network:
    r"""One network, or a batch of networks of one width.

    Parameters
    ----------
    theta : Tensor, shape (..., 3n + 1), of D inputs (..., (D + 2) n + 1)
        Parameters (w, b, a, d) of the formula above, each block in the order of the units.
    activation : Activation
        The :math:`\sigma` above.
    skip : Tensor, shape (..., 2), of D inputs (..., D + 1)
        (slope, intercept) above; zeros unless the affine part is free. Its length says how many inputs there are.
    """

    theta: Tensor
    activation: Activation
    skip: Tensor

    @classmethod
    def sample(
        cls,
        problem: Problem,
        width: int,
        seed: int | Sequence[int] = 0,
        *,
        dtype: Any = torch.float64,
        device: Any = "cpu",
    ) -> Network:
        """The random start of `problem` at `width` units, with no skip part.

        Parameters
        ----------
        problem : Problem
            Its initialization is drawn from, in float64, before the result is converted to `dtype`.
        width : int
            The number n of units, >= 1.
        seed : int or sequence of int
            >= 0. The same seed gives the same bits; a sequence gives one network per seed, stacked in a leading dimension.
        dtype : {"float64", "float32"} or torch.dtype
            Precision of the parameters.
        device : str or torch.device
            Where they live.

        Raises
        ------
        DataError
            For a width < 1 (or odd, with antisymmetric pairs), a negative seed, an unknown dtype or device.
        """
        width = whole_number(width, "width", at_least=1, fix="a network needs a unit")
        batch = not isinstance(seed, int | np.integer) and isinstance(seed, Sequence)
        seeds = [whole_number(s, "seed") for s in (seed if batch else [seed])]  # type: ignore[union-attr]
        if not seeds:
            raise DataError("`seed` must hold at least one seed, got an empty sequence")
        kind, place = tensor_kind(dtype, device)
        law, scale, rows = problem.initialization, problem.parameterization.start_scale(width), []
        for rng in (np.random.default_rng(s) for s in seeds):
            w, b, a = law.sample(width, rng)
            rows.append(np.concatenate([w.T.ravel(), b, scale * a, [scale * law.sample_output_bias(rng)]]))
        theta = torch.tensor(np.array(rows), dtype=kind, device=place)
        activation = problem.activation.two_slopes or problem.activation  # ReLUPower(1) is ReLU
        skip = theta.new_zeros(len(seeds), law.inputs + 1)
        return cls(theta, activation, skip) if batch else cls(theta[0], activation, skip[0])

    @classmethod
    def of_units(cls, w: Array, b: Array, a: Array, activation: Activation) -> Network:
        """The network of given units of one input, arrays of shape (n,) each, without output bias and skip part."""
        theta = torch.tensor(np.concatenate([w, b, a, [0.0]]), dtype=torch.float64)
        return cls(theta, activation.two_slopes or activation, theta.new_zeros(2))

    def __repr__(self) -> str:
        batch = "".join(f"{size} x " for size in self.theta.shape[:-1])
        skip = ", with a skip connection" if bool(self.skip.any()) else ""
        return f"Network({batch}width {self.width}, {self.inputs} input{'s' * (self.inputs > 1)}, {self.activation}{skip})"

    @property
    def width(self) -> int:
        """Number n of units."""
        return (self.theta.shape[-1] - 1) // (self.inputs + 2)

    @property
    def inputs(self) -> int:
        """Number D of inputs of the network."""
        return self.skip.shape[-1] - 1

    @property
    def w(self) -> Tensor:
        """Hidden weights, shape (..., n); of D > 1 inputs (..., n, D)."""
        w = self.theta[..., : self.inputs * self.width]
        return w if self.inputs == 1 else w.reshape(*w.shape[:-1], self.inputs, self.width).mT

    @property
    def b(self) -> Tensor:
        """Hidden biases, shape (..., n)."""
        return self.theta[..., self.inputs * self.width : (self.inputs + 1) * self.width]

    @property
    def a(self) -> Tensor:
        """Output weights, shape (..., n)."""
        return self.theta[..., (self.inputs + 1) * self.width : -1]

    @property
    def d(self) -> Tensor:
        """Output bias, shape (...)."""
        return self.theta[..., -1]

    def units(self) -> tuple[Array, Array, Array]:
        """`w`, `b` and `a` as float64 arrays."""
        w, b, a = (part.detach().cpu().double().numpy() for part in (self.w, self.b, self.a))
        return w, b, a

    def _require_one(self, call: str) -> None:
        """Refuse a batch of networks, of which one has to be taken for a `call`."""
        if self.theta.ndim != 1:
            raise DataError(f"this is a batch of {self.theta.shape[0]} networks; take network[j].{call}")

    def __getitem__(self, index: int | slice) -> Network:
        """Network number `index` of a batch, or a part of the batch."""
        if self.theta.ndim == 1:
            raise DataError("this is a single network, not a batch; use it as it is")
        return Network(self.theta[index], self.activation, self.skip[index])

    def __call__(self, x: Any, nu: int = 0) -> Any:
        """f at a tensor `x`, shape (M,), of D > 1 inputs (M, D), to (..., M), by the formula; else `function()(x, nu)`.

        The formula takes O(nM) memory: for many points take arrays, which are exact and need O(n + M). Derivatives are taken
        of arrays; a CapabilityError for those of tensors.
        """
        if not isinstance(x, Tensor):
            return self.function()(x, nu)
        if nu != 0:
            raise CapabilityError(
                f"derivatives are taken of arrays, got a tensor and nu = {nu!r}; take network.function()(x, nu)"
            )
        x = x.unsqueeze(-1) if self.inputs == 1 else x
        w = self.w.unsqueeze(-2) if self.inputs == 1 else self.w.mT
        z = (x * w if self.inputs == 1 else x @ w) + self.b.unsqueeze(-2)  # (..., M, n)
        units: Tensor = (self.activation.value(z) @ self.a.unsqueeze(-1)).squeeze(-1)
        return units + self.d.unsqueeze(-1) + (self.skip[..., None, :-1] * x).sum(-1) + self.skip[..., -1:]

    def linearize(self, x: Tensor) -> Linearization:
        """Value and Jacobian (of the part without skip) at increasing `x`, shape (M,), of D > 1 inputs (M, D)."""
        rows = x.reshape(x.shape[0], -1).mT
        return linearize(self.theta, torch.cat([rows, torch.ones_like(rows[:1])]), self.activation)

    def function(self) -> PiecewisePolynomial | UnitsFunction | SmoothUnits:
        """The function of the network, exact, in float64: a `PiecewiseLinear` if the activation has two slopes.

        Of several inputs a `UnitsFunction`, which sums over the units; `SmoothUnits` if they are smooth.

        Raises
        ------
        DataError
            If this is a batch; take ``network[j].function()``.
        """
        self._require_one("function()")
        w, b, a = self.units()
        *slopes, intercept = self.skip.detach().cpu().double().tolist()
        if self.inputs > 1:
            return UnitsFunction(w, b, a, float(self.d), self.activation, np.array(slopes), intercept)
        two_slopes, skip = self.activation.two_slopes, (slopes[0], intercept)
        if not isinstance(self.activation, Homogeneous):
            return SmoothUnits(w, b, a, float(self.d), self.activation, skip)
        if two_slopes is not None:
            return PiecewiseLinear.from_units(w, b, a, float(self.d), two_slopes, skip=skip)
        return PiecewisePolynomial.from_power_units(w, b, a, float(self.d), self.activation.degree, skip=skip)

    def linearized(
        self,
        data: Dataset | Points | Problem,
        time: float | None = None,
        *,
        learning_rate: Any = None,
        steps: int | None = None,
        hidden: bool = True,
    ) -> PiecewisePolynomial | PointFunction:
        r"""What this network, frozen to first order at its own parameters, would be after training, in closed form.

        .. math:: f_t = f_0 + K(\cdot, X) K^{-1} (1 - e^{-\tau K W}) (y - f_0(X)), \qquad W = \mathrm{diag}(\omega),

        with the tangent kernel :math:`K = J D J^T` of the actual parameters and :math:`\tau = \sum \eta`, the sum of
        learning rates (t/n for `Standard`). With all parameters and gradient descent, for two slopes,

        .. math:: K(x, x') = \sum_k \sigma_k(x) \sigma_k(x') + \sum_k a_k^2 \sigma_k'(x) \sigma_k'(x') (x x' + 1) + 1.

        Modes that K does not reach are left as they are. In steps, :math:`\prod_s (1 - \eta_s K W)` is the exponential.

        Parameters
        ----------
        data : Dataset, Points or Problem
            What is fitted, of as many inputs as the network has. A problem also says the potential, the parameterization and
            whether the affine part is free; its law of weights plays no role. Data alone: gradient descent with `Standard`.
        time : float, optional
            Training time t >= 0. None: infinity, or what the learning rates add up to.
        learning_rate : float, sequence of float or callable, optional
            The :math:`\eta` of gradient descent on :math:`\frac12\sum_i \omega_i r_i^2`, for all steps or each; None: flow.
        steps : int, optional
            The number of steps, where `learning_rate` does not say it.
        hidden : bool
            Whether hidden weights and biases are trained too; the output weights and the output bias are always.

        Returns
        -------
        PiecewisePolynomial or PointFunction
            f_t, exact, in float64; of several inputs a function of points (..., d) with a `gradient`. Of one input and two
            slopes the pieces are linear, with kinks at the breakpoints. If `hidden`, there are jumps too: the derivative of
            a unit by its bias is a step. At a jump the value is the limit from the right, and a unit with its breakpoint
            at a datum counts as on the right of it.

        Raises
        ------
        DataError
            If this is a batch or has parameters that are not finite; for a time that is no number >= 0, or contradicts the
            learning rates; for steps that diverge; if it has a skip connection that `data` do not leave free.
        CapabilityError
            For a scaled potential other than the quadratic one, whose flow is not linear, and for smooth activations.

        Notes
        -----
        O(n log n + M^3) time, O(n + M^2) memory; of several inputs O(n M^2) and O(n M). Of unscaled potentials the metric
        at the start is frozen too. *Hypotheses:* none. A trained network differs from it because features move: by O(n^-2)
        if all parameters are trained here, by O(n^-1) if only the output layer is.
        References: Jacot, Gabriel & Hongler, NeurIPS 2018; the linear flow of Jin & Montufar (2023) for the output layer.
        """
        from splinebias.networks.linearized import Progress, Setting, linearized

        self._require_one("linearized(...)")
        theta, skip = (part.detach().cpu().double().numpy() for part in (self.theta, self.skip))
        if not np.isfinite(theta).all() or not np.isfinite(skip).all():
            raise DataError(f"a network must have finite parameters, got {int((~np.isfinite(theta)).sum())} that are not")
        hidden = true_or_false(hidden, "hidden")
        setting = Setting.of(data, self.activation, skip)
        clock = setting.parameterization.clock(self.width)
        progress = Progress.of(time, learning_rate, steps, clock)
        if self.inputs == 1:
            return linearized(theta, skip, setting, progress, hidden=hidden)
        from splinebias.networks.linearized_points import linearized_points

        return linearized_points(theta, skip, setting, progress, hidden=hidden)

    def arrays(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """The parameters and the skip part as arrays, called `name`_theta and `name`_skip, in their precision."""
        parts = {"theta": self.theta, "skip": self.skip}
        return {f"{name}_{part}": value.detach().cpu().numpy() for part, value in parts.items()}

    def save(self, path: str | Path) -> None:
        """Write the network to a file that ``sb.load`` reads back bit for bit, atomically, without pickle.

        Raises
        ------
        DataError
            If this is a batch, or the file cannot be written.
        CapabilityError
            If the activation is not one of the library's own.
        """
        from splinebias.networks.archive import write_archive

        self._require_one("save(path)")
        tables = {"activation": part_to_table("activation", self.activation)}
        write_archive(path, "network", tables, self.arrays("network"))

    def to_torch(self) -> nn.Module:
        """The network as a torch module with copies of its parameters, in their precision, on their device.

        ``nn.Sequential(nn.Linear(1, n), activation, nn.Linear(n, 1))``, in a module that adds an ``nn.Linear(1, 1)`` if
        there is a skip part; of D inputs ``nn.Linear(D, n)`` and ``nn.Linear(D, 1)``; ``sb.from_torch`` reads it back.

        Raises
        ------
        DataError
            If this is a batch.
        CapabilityError
            If the activation has no torch module: one that is not the library's own, and some smooth ones.
        """
        from splinebias.networks.torch_layers import activation_layer, as_module

        self._require_one("to_torch()")
        if (layer := activation_layer(self.activation)) is None:
            raise CapabilityError(f"only activations of the library and of torch have a module, got {self.activation!r}")
        return as_module(self.theta.detach(), self.skip.detach(), layer)


def difference(network: Network, other: Network) -> PiecewisePolynomial | UnitsFunction | SmoothUnits:
    """f - g of two networks of one activation, exact: the function of the units of both."""
    one, two = (net.theta.detach().cpu().double() for net in (network, other))
    rows = [theta[:-1].reshape(network.inputs + 2, -1) for theta in (one, two)]  # w of each input, b, a
    rows[1] = torch.cat([rows[1][:-1], -rows[1][-1:]])
    skip = network.skip.detach().cpu().double() - other.skip.detach().cpu().double()
    theta = torch.cat([torch.cat(rows, dim=-1).flatten(), one[-1:] - two[-1:]])
    return Network(theta, network.activation, skip).function()
