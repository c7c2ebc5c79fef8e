"""Problem: data x initialization x activation x potential (x affine part), its default interval, what it is called.

At finite width a Problem is sampled and trained; at infinite width it is solved.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, refuse_unknown
from splinebias._array import Array
from splinebias._files import read_toml, write_toml
from splinebias.activation import Activation, Homogeneous, ReLU, TwoSlope
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.initialization.initialization import Initialization
from splinebias.parameterization import NTK, Parameterization, Standard
from splinebias.potential import Potential, Quadratic, Scaled

_QUADRATIC = Quadratic()


@known_keywords
@dataclass(frozen=True)
class Problem:
    r"""What is fitted, from which random start, by which optimizer.

    Parameters
    ----------
    data : Dataset or Points
        The points, of one input or of several, as many as the initialization has.
    initialization : Initialization
        Law of the hidden weights and biases: where curvature is penalized.
    activation : Activation
        Which slope terms appear. A smooth one, such as `Tanh` (any with value and derivative), makes networks to train
        (`train`, `train_ensemble`) and a limit of quadratic problems (`predict`); what needs breakpoints refuses it.
    potential : Potential or Scaled
        How the magnitude of curvature is penalized. A bare potential is the *unscaled* one.
    affine : {"network", "free"}
        "network": slope and intercept are made by the neurons like everything else. "free": a skip
        connection :math:`\alpha x + \beta`, trained infinitely faster, makes them free of charge.
    parameterization : Parameterization
        `Standard()`: wide networks train their output weights only. `NTK()`: they train both layers. `MeanField(richness)`:
        they learn features.

    Raises
    ------
    DataError
        If an argument is of the wrong kind, or `NTK()` comes without a law of output weights other than 0.

    Notes
    -----
    Hypotheses checked here: types; that the unscaled :math:`\phi` has :math:`0 < \phi''(0) < \infty` is
    checked by `predict` and `train`, which need it. Not checked: that a given width is wide enough.
    """

    data: Dataset | Points
    initialization: Initialization
    activation: Activation = ReLU()
    potential: Potential | Scaled = _QUADRATIC
    affine: str = "network"
    parameterization: Parameterization = Standard()

    def __post_init__(self) -> None:
        rules = {
            "data": ((Dataset, Points), "an sb.Dataset, or of several inputs sb.Points"),
            "initialization": (Initialization, "an sb.Initialization"),
            "activation": (Activation, "an activation such as sb.ReLU()"),
            "potential": ((Potential, Scaled), "a potential such as sb.Quadratic() or sb.Scaled(sb.Power(4, quadratic=1))"),
            "parameterization": (Parameterization, "sb.Standard(), sb.NTK() or sb.MeanField(1.0)"),
        }
        for name, (kind, wanted) in rules.items():
            value = getattr(self, name)
            if not isinstance(value, kind):  # type: ignore[arg-type]
                hint = "; call it: add ()" if isinstance(value, type) else ""
                raise DataError(f"`{name}` must be {wanted}, got {value!r}{hint}")
        if not isinstance(self.affine, str) or self.affine not in ("network", "free"):
            raise DataError(f'`affine` must be "network" or "free", got {self.affine!r}')
        inputs = self.data.inputs
        if self.initialization.inputs != inputs:
            raise DataError(
                f"`initialization` must have the {inputs} input{'s' * (inputs > 1)} of the data, got "
                f"{self.initialization!r} with {self.initialization.inputs}; presets take dim={inputs}"
            )
        if isinstance(self.parameterization, NTK) and not self.initialization.output_second_moment > 0:
            raise DataError(
                f"NTK() needs a law of output weights with E[a^2] > 0, got output = {self.initialization.output!r}; give "
                "Initialization(..., output=scipy.stats.norm(0, 1))"
            )

    @property
    def free(self) -> bool:
        """Whether a skip connection makes slope and intercept at no cost."""
        return self.affine == "free"

    @property
    def linear(self) -> bool:
        r"""Whether :math:`\phi''` is constant along training: unscaled output weights stay near zero, or it is constant."""
        return not self.scaled or self.phi.stiffness is not None

    @property
    def beyond_one_input(self) -> str | None:
        """Why there is no axis of breakpoints, in words, or None: what works along that axis asks this."""
        if not isinstance(self.data, Points):
            return None
        return (
            f"it works along the axis of breakpoints, of one input, and the data are {self.data!r}; predict (by "
            "sb.PointsSolver), train, study, error_band and compare take them, and one input goes into sb.Dataset"
        )

    @property
    def without_breakpoints(self) -> str | None:
        """Why there is no axis of breakpoints, in words: several inputs, or smooth neurons; None if there is one."""
        if isinstance(self.activation, Homogeneous):
            return self.beyond_one_input
        return (
            f"it works along the axis of breakpoints, and neurons of {self.activation!r} have none: there is no curvature "
            "density and no spline; train, train_ensemble and predict (quadratic problems) take them, small starts are read "
            "by sb.condensed_orientations(data, activation), and sb.ReLU() or sb.ReLUPower(k) have breakpoints"
        )

    @property
    def homogeneous(self) -> Homogeneous:
        """The activation, for computations along the axis of breakpoints.

        Raises
        ------
        CapabilityError
            If it is smooth: neurons then have no breakpoints.
        """
        if not isinstance(self.activation, Homogeneous):
            raise CapabilityError(f"this cannot take the problem: {self.without_breakpoints}")
        return self.activation

    @property
    def line_data(self) -> Dataset:
        """The data, of one input.

        Raises
        ------
        CapabilityError
            If they are `Points`: what asks for this works on a line.
        """
        if not isinstance(self.data, Dataset):
            raise CapabilityError(f"this cannot take the problem: {self.beyond_one_input}")
        return self.data

    def with_ordinates(self, y: Array) -> Problem:
        """The same problem for other ordinates, shape (M,), in the order of the data here."""
        return replace(self, data=self.data.with_ordinates(y))

    @property
    def default_interval(self) -> tuple[float, float]:
        """Where functions are compared and drawn by default: the span of the data, and a quarter of it more on each side."""
        return self.line_data.default_interval

    @property
    def default_box(self) -> Array:
        """As `default_interval`, of every input: shape (d, 2)."""
        box = self.data.box
        margin = (box[:, 1] - box[:, 0]) / 4
        return np.stack([box[:, 0] - margin, box[:, 1] + margin], axis=1)

    @property
    def default_place(self) -> tuple[float, float] | tuple[tuple[float, float], ...]:
        """`default_interval`, and of several inputs `default_box` as a pair for every input.

        Raises
        ------
        CapabilityError
            For `Points` of one input, which go into a `Dataset`.
        """
        if self.data.inputs > 1:
            return tuple((low, high) for low, high in self.default_box.tolist())
        return self.default_interval

    @property
    def scaled(self) -> bool:
        r"""Whether the potential is scaled, so that the limit depends on :math:`\phi`."""
        return isinstance(self.potential, Scaled)

    @property
    def phi(self) -> Potential:
        r"""The :math:`\phi` of the potential, scaled or not."""
        return self.potential.base if isinstance(self.potential, Scaled) else self.potential

    @property
    def limit_potential(self) -> Potential:
        r"""The :math:`\phi` whose :math:`E[D_\phi(\alpha, 0)]` the infinite-width limit minimizes.

        Unscaled potentials all have the limit of :math:`\phi(u) = u^2/2` (theory section 3).
        """
        return self.phi if self.scaled else _QUADRATIC

    def breakpoint_law(self, power: int = 1) -> BreakpointLaw:
        r"""The breakpoints, with rules for :math:`|w|` that integrate :math:`|\alpha|` to this `power`."""
        return self.initialization.breakpoint_law.steep(power * self.limit_potential.moment_order)

    @property
    def two_slopes(self) -> TwoSlope:
        """The activation, for computations with second derivatives.

        Raises
        ------
        CapabilityError
            If those do not apply: the activation does not have two slopes, or hidden layers are trained too.
        """
        if (activation := self.activation.two_slopes) is None:
            raise CapabilityError(f"this needs a two-slope activation such as sb.ReLU(), got {self.activation}")
        if not isinstance(self.parameterization, Standard):
            raise CapabilityError(f"this needs sb.Standard() networks, got {self.parameterization}")
        return activation

    def replace(self, **changes: Any) -> Problem:
        """This problem with other parts: ``problem.replace(potential=sb.Scaled(sb.Hypentropy(0.1)))``.

        Raises
        ------
        DataError
            For a name that is no part of a problem; otherwise as `Problem`.
        """
        refuse_unknown(changes, [part.name for part in fields(self)], "`Problem.replace`")
        return replace(self, **changes)

    def describe(self) -> str:
        """One line for tables and plots."""
        phi = f"scaled {self.phi}" if self.scaled else str(self.phi)
        tail = ", free affine part" if self.affine == "free" else ""
        tail += "" if isinstance(self.parameterization, Standard) else f", {self.parameterization}"
        return f"{self.data.size} points, {self.initialization.describe()}, {self.activation}, {phi}{tail}"

    def __repr__(self) -> str:
        return f"Problem({self.describe()})"

    def to_tables(self) -> dict[str, Any]:
        """The problem as plain tables, of which TOML is made; `from_tables` reads them back equal.

        Raises
        ------
        CapabilityError
            If a law, an activation, a potential or a parameterization is not one of the library's own.
        """
        from splinebias.problem_tables import problem_tables

        return problem_tables({part.name: getattr(self, part.name) for part in fields(self)})

    @classmethod
    def from_tables(cls, tables: dict[str, Any], folder: Path | None = Path(), *, root: str | Path | None = None) -> Problem:
        """The problem of plain tables in the form that `from_toml` describes.

        Files they name are relative to `folder` and stay in `root`, by default `folder`; None: they may name no file.

        Raises
        ------
        DataError
            If they do not describe a problem: the message names the entry.
        """
        from splinebias.problem_tables import problem_parts

        return cls(**problem_parts(tables, folder, root))

    def to_toml(self, path: str | Path | None = None) -> str:
        """`to_tables` as TOML text, written atomically to `path` if one is given; `from_toml` reads it back equal."""
        return write_toml(self.to_tables(), path)

    @classmethod
    def from_toml(cls, source: str | Path, *, root: str | Path | None = None) -> Problem:
        """Read a problem from TOML text or from the path of a TOML file.

        ``[data]`` holds `x` and `y`, or `csv` (relative to the file) with column names `x` and `y`; with
        ``replicates = true``, points of equal x are averaged and weighted by their number. Other tables:
        ``[initialization]``, and optionally ``[problem]``, ``[activation]``, ``[potential]``, ``[parameterization]``.

        Parameters
        ----------
        source : str or Path
            TOML text (of more than one line), or the path of a file.
        root : str or Path, optional
            The folder that `csv` must stay in: a file from elsewhere cannot have any other file read. Default: the folder of
            the TOML file, for text the working directory.

        Raises
        ------
        DataError
            If the file cannot be read, is no TOML, or does not describe a problem: the message names the entry.
        """
        hint = '; points of a CSV file are named in a problem file, by `csv = "points.csv"` under `[data]`'
        return cls.from_tables(*read_toml(source, "problem", hint=hint), root=root)


def require_problem(problem: Any) -> None:
    """Raise DataError if `problem` is no `Problem`."""
    if not isinstance(problem, Problem):
        raise DataError(f"`problem` must be an sb.Problem, got {problem!r}; build one with sb.Problem(data, initialization)")
