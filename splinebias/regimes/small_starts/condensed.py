r"""Condensation measured: how many directions the neurons of a network point to, who carries it, how far from predicted.

The mass of a neuron is :math:`|a|\,|(w, b)|`, in deeper networks the norm of its outgoing weights times that of (w, b).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_array, real_number
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.errors import DataError
from splinebias.regimes.condensation import Orientations
from splinebias.regimes.small_starts.point_orientations import PointOrientations


@dataclass(frozen=True, eq=False, repr=False)
class Condensation(Drawn):
    r"""Directions and masses of the neurons of one hidden layer.

    Attributes
    ----------
    weights : Array, shape (n, d + 1)
        (w, b) of each neuron with d inputs.
    signs : Array, shape (n,)
        Sign of its output weight; 0 where it has several.
    masses : Array, shape (n,)
        Its mass, as above.
    predicted : Orientations, PointOrientations or None
        Where neurons are predicted to be.
    """

    weights: Array
    signs: Array
    masses: Array
    predicted: Orientations | PointOrientations | None = None

    def __repr__(self) -> str:
        error = "" if self.predicted is None else f", {self.angle_error:.3g} degrees from what is predicted"
        count, carry = len(self.directions()), f"{self.participation:.1f} carry them"
        return f"{type(self).__name__}({len(self.masses)} neurons at {count} directions, {carry}{error})"

    @property
    def unit(self) -> Array:
        """The directions, shape (n, d + 1): `weights` over their norms, 0 for a neuron without one."""
        length = np.linalg.norm(self.weights, axis=1, keepdims=True)
        return np.asarray(np.divide(self.weights, length, out=np.zeros_like(self.weights), where=length > 0))

    @property
    def cosines(self) -> Array:
        """Cosine similarity of (w, b) for all pairs of neurons, shape (n, n): drawn, the heat map."""
        return np.asarray(np.clip(self.unit @ self.unit.T, -1, 1))

    @property
    def order(self) -> Array:
        """An order of the neurons, shape (n,), in which heat maps have blocks: by the angle in the plane of most mass."""
        root = np.sqrt(self.masses)[:, None] * self.unit
        _, vectors = np.linalg.eigh(root.T @ root)
        one, two = self.unit @ vectors[:, -1], self.unit @ vectors[:, -2]
        return np.asarray(np.argsort(np.arctan2(two, one), kind="stable"))

    @property
    def angles(self) -> Array:
        """Directions of (w, b) in degrees in [0, 360), shape (n,); DataError if there are several inputs."""
        if self.weights.shape[1] != 2:
            raise DataError(f"`angles` are of one input, got {self.weights.shape[1] - 1}; see `unit`")
        return np.asarray(np.degrees(np.arctan2(self.weights[:, 1], self.weights[:, 0])) % 360)

    @property
    def participation(self) -> float:
        r"""How many neurons carry the layer, :math:`(\sum m)^2 / \sum m^2` for the masses m: 1 if the winner took all."""
        m = self.masses / (self.masses.max(initial=0.0) or 1.0)
        return float(m.sum() ** 2 / ((m**2).sum() or 1.0))

    @property
    def angle_errors(self) -> Array:
        """Degrees from each neuron to the nearest predicted orientation of its sign, shape (n,); 180 if none has its sign.

        Raises
        ------
        DataError
            If nothing is predicted.
        """
        if self.predicted is None:
            raise DataError("angle errors need orientations, got none; give `predicted`, from condensed_orientations")
        return np.asarray(np.minimum(self.predicted.away(self.weights, self.signs), 180).min(axis=1, initial=180.0))

    @property
    def angle_error(self) -> float:
        """Mean of `angle_errors`, weighted by mass, in degrees; 180 if no neuron has any."""
        total = float(self.masses.sum())
        return float(self.masses @ self.angle_errors) / total if total > 0 else 180.0

    @property
    def shares(self) -> Array:
        """The share of all mass that is nearest to each predicted orientation of its sign, shape (k,)."""
        if self.predicted is None:
            raise DataError("shares need orientations, got none; give `predicted`, from condensed_orientations")
        nearest = self.predicted.away(self.weights, self.signs).argmin(axis=1)
        return np.asarray(np.bincount(nearest, self.masses, self.predicted.signs.size) / (self.masses.sum() or 1.0))

    def directions(self, within: float = 5.0, share: float = 0.01) -> Array:
        r"""The different directions of the neurons, shape (k, d + 1), heaviest first; k is their number.

        From the heaviest neuron on, a neuron belongs to the first direction at most `within` degrees away, and is a new one
        if there is none. The sign of the output weight does not matter here.

        Parameters
        ----------
        within : float
            Degrees, > 0.
        share : float
            Neurons with less than this share of the mass of the heaviest do not count, 0 <= share < 1.
        """
        bound = np.cos(np.radians(real_number(within, "within", above=0)))
        least = real_number(share, "share", at_least=0) * self.masses.max(initial=0.0)
        found: list[Array] = []
        for k in np.argsort(-self.masses, kind="stable"):
            if self.masses[k] > 0 and self.masses[k] >= least and all(self.unit[k] @ one < bound for one in found):
                found.append(self.unit[k])
        return np.array(found).reshape(-1, self.weights.shape[1])


@known_keywords
def condensation(network: Any, predicted: Orientations | PointOrientations | None = None) -> Condensation:
    r"""Measure condensation in a trained network: cosine similarities, count of directions, participation, angle errors.

    Parameters
    ----------
    network : Network, Training or tuple of array_like
        A network of one hidden layer, anything with such a `network`, or (w, b, a) of shapes (n,) or (n, d), (n,) and (n,).
    predicted : Orientations or PointOrientations, optional
        From `condensed_orientations`: errors are measured to these.

    Raises
    ------
    DataError
        If that is no network, a batch of them, or has parameters that are not finite.

    Notes
    -----
    Networks of `train` have an output bias, which fits the mean of y at once, long before neurons grow: what they condense
    at are the orientations of ``data.with_ordinates(y - mean)``. *Not checked:* that the network has begun to fit, no more.

    Examples
    --------
    >>> import splinebias as sb
    >>> found = sb.condensation(([1, 2, -1, 0.1], [0, 0.02, 0.01, 1], [1, 1, -1, 0.001]))
    >>> len(found.directions()), round(found.participation, 2)
    (2, 2.67)
    """
    if predicted is not None and not hasattr(predicted, "away"):
        raise DataError(f"`predicted` must be what sb.condensed_orientations hands back, got {predicted!r}")
    net = getattr(network, "network", network)
    parts = [getattr(net, name, None) for name in ("w", "b", "a")]
    if isinstance(network, tuple):
        parts = list(network)
    if len(parts) != 3 or any(part is None for part in parts):
        raise DataError(f"`network` must be an sb.Network, a trained one, or a tuple (w, b, a), got {network!r}")
    w, b, a = (real_array(_numbers(part), name) for part, name in zip(parts, ("w", "b", "a"), strict=True))
    w = w[:, None] if w.ndim == 1 else w
    if not (b.ndim == a.ndim == 1 and w.ndim == 2 and len(w) == b.size == a.size and b.size):
        raise DataError(f"`network` must be one with w, b and a of one length, got shapes {w.shape}, {b.shape}, {a.shape}")
    if not all(np.isfinite(part).all() for part in (w, b, a)):
        raise DataError("`network` must have finite parameters, got some that are not")
    rows = np.column_stack([w, b])
    return Condensation(rows, np.sign(a), np.abs(a) * np.linalg.norm(rows, axis=1), predicted)


@known_keywords
def layer_condensation(module: Any) -> tuple[Condensation, ...]:
    """Measure condensation in every hidden layer of a torch network: of its ``nn.Linear`` layers all but the last.

    Parameters
    ----------
    module : torch.nn.Module
        Linear layers in the order in which data pass them, each with as many inputs as the one before has outputs.

    Raises
    ------
    DataError
        If it is no such module.

    Notes
    -----
    Rows are (w, b) of a layer, biases 0 where it has none; in deeper layers w are the weights of the neurons before. Signs
    are those of the output weight in the last hidden layer of networks with one output, and 0 elsewhere.
    """
    from splinebias.networks.hidden_layers import hidden_layers  # torch, which only modules need

    found = []
    for rows, outgoing in hidden_layers(module):
        signs = np.sign(outgoing[0]) if len(outgoing) == 1 else np.zeros(len(rows))
        found.append(Condensation(rows, signs, np.linalg.norm(outgoing, axis=0) * np.linalg.norm(rows, axis=1)))
    return tuple(found)


def _numbers(part: Any) -> Any:
    """A tensor's numbers, on whatever device, or what is none."""
    return part.detach().cpu().double().numpy() if hasattr(part, "detach") else part
