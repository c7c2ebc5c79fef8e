r"""What a study runs: a grid of problems, potentials, laws, activations, methods, widths and seeds, and nothing else.

Every run is a function of the `StudySpec` alone: not of the number of processes, not of the order of the work.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from splinebias._arguments import entry, known_keywords, real_number, whole_number
from splinebias._files import write_toml
from splinebias.activation import Homogeneous
from splinebias.data import Dataset
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.compare_on_box import Place, checked_place
from splinebias.initialization.initialization import Initialization
from splinebias.initialization.tables.law_tables import canonical
from splinebias.potential import Potential, Scaled
from splinebias.problem import Problem
from splinebias.studies.spec_text import AXES, read_spec, to_tables
from splinebias.training.default import default_method
from splinebias.training.method import TrainingMethod

_MOST = 1_000_000  # widths or seeds of a study
_KINDS: dict[str, Any] = {
    "problems": Problem,
    "potentials": (Potential, Scaled),
    "initializations": Initialization,
    "activations": Homogeneous,
    "methods": TrainingMethod,
}


def run_seed(seed: int, width: int, spec_seed: int = 0) -> int:
    """The seed that `train` is given for replicate `seed` at `width`: 53 bits of a spawned ``SeedSequence``.

    ``SeedSequence(spec_seed, spawn_key=(width, seed))``: adding widths or seeds to a study changes no earlier run,
    networks of different widths are independent, and all potentials start from the same networks.

    Examples
    --------
    >>> from splinebias.studies.spec import run_seed
    >>> run_seed(0, 20) == run_seed(0, 20) != run_seed(0, 60)
    True
    """
    (bits,) = np.random.SeedSequence(spec_seed, spawn_key=(width, seed)).generate_state(1, np.uint64)
    return int(bits) >> 11  # 53 bits survive a trip through JSON


@dataclass(frozen=True, eq=False)
class Case:
    """One problem of a grid with one method: everything but width and seed.

    Attributes
    ----------
    names : dict
        What tells it from the other cases: its name on each axis of the grid that has one.
    problem : Problem
        What is fitted.
    method : TrainingMethod
        How networks are moved.
    interval : tuple of float
        Where networks are compared with the limit; of several inputs a box, a pair for every input.
    """

    names: dict[str, str]
    problem: Problem
    method: TrainingMethod
    interval: Place

    @property
    def label(self) -> str:
        """The names in one line."""
        return " / ".join(self.names.values()) or "the problem"

    @cached_property
    def key(self) -> str:
        """A digest of problem and method, the same in any grid; CapabilityError if they have no TOML text."""
        content = f"{self.canonical.to_toml()}\n{self.method!r}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]  # 64 bits

    @cached_property
    def canonical(self) -> Problem:
        """The problem, laws in the one form that all ways to write them share; itself if its laws have no table."""
        try:
            table = self.problem.initialization.to_table()
        except CapabilityError:
            return self.problem
        same = canonical(table)
        if repr(same) == repr(table):  # unlike ==, which takes -0.0 for 0.0
            return self.problem
        return replace(self.problem, initialization=Initialization.from_table(same))


@known_keywords
@dataclass(frozen=True, eq=False)
class StudySpec:
    """The grid problems x potentials x initializations x activations x methods x widths x seeds.

    Parameters
    ----------
    problems : mapping of str to Problem, or Problem
        The problems and their names.
    widths : sequence of int, or int
        Numbers of units, distinct, >= 1 (even for antisymmetric pairs).
    seeds : sequence of int
        Replicates: distinct, >= 0, below 2^63; one network for each case, width and seed. A list or a range, no number: what
        TOML writes as ``seeds = 5`` is ``range(5)`` here.
    potentials, initializations, activations : mapping of str to object
        What replaces that part of every problem, one after the other; empty: the problem's own.
    methods : mapping of str to TrainingMethod
        How to train; empty: as `train` does unless told.
    seed : int
        Where all randomness comes from, see `run_seed`.
    interval : (float, float), optional
        Where to compare; None: the span of the data of each problem and a quarter of it more on either side. Of several
        inputs a box, one such pair for each.
    loss_tol : float
        Loss to train to, absolute, in the units of y squared.

    Raises
    ------
    DataError
        For an empty grid, values that repeat, and arguments outside these ranges.

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.rademacher(st.uniform(-2, 4)))
    >>> spec = sb.StudySpec(problem, [20, 80], range(5), potentials={"u2": sb.Quadratic(), "u4": sb.Power(4, quadratic=1)})
    >>> len(spec), [case.label for case in spec.cases]
    (20, ['u2', 'u4'])
    """

    problems: Mapping[str, Problem] | Problem
    widths: Sequence[int]  # one number stands for a list of it
    seeds: Sequence[int]
    potentials: Mapping[str, Potential | Scaled] = field(default_factory=dict, kw_only=True)
    initializations: Mapping[str, Initialization] = field(default_factory=dict, kw_only=True)
    activations: Mapping[str, Homogeneous] = field(default_factory=dict, kw_only=True)
    methods: Mapping[str, TrainingMethod] = field(default_factory=dict, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    interval: Place | None = field(default=None, kw_only=True)
    loss_tol: float = field(default=1e-12, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.problems, Problem):
            object.__setattr__(self, "problems", {"": self.problems})
        for axis in AXES:
            object.__setattr__(self, axis, _named(getattr(self, axis), axis))
        if not self.problems:
            raise DataError("`problems` must hold at least one problem, got none: an empty grid has nothing to run")
        object.__setattr__(self, "widths", _distinct(self.widths, "widths", at_least=1))
        object.__setattr__(self, "seeds", _distinct(self.seeds, "seeds", at_least=0))
        whole_number(self.seed, "seed")
        loss_tol = real_number(self.loss_tol, "loss_tol", above=0, fix="rounding keeps the loss above 0; take e.g. 1e-12")
        object.__setattr__(self, "loss_tol", loss_tol)
        if self.interval is not None:
            object.__setattr__(self, "interval", checked_place(self.interval))
        self._check_cases()

    def _check_cases(self) -> None:
        """Refuse widths that a case cannot have, and cases that are one."""
        odd = [width for width in self.widths if width % 2]
        if odd and any(case.problem.initialization.paired for case in self.cases):
            raise DataError(f"`widths` must be even for antisymmetric pairs, got {odd[0]}; use {odd[0] + 1}")
        for number, case in enumerate(self.cases):
            missing = case.problem.without_breakpoints if isinstance(case.problem.data, Dataset) else None
            if missing is not None:  # kept functions are splines
                raise CapabilityError(f"a study cannot take the problem: {missing}")
            _check_place(case)
            before = self.cases[:number]
            same = next((c for c in before if (c.canonical, c.method) == (case.canonical, case.method)), None)
            if same is not None:
                raise DataError(
                    f"cases must be distinct, got {case.label!r} equal to {same.label!r}; leave one problem out: an axis "
                    "replaces that part of all of them"
                )

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """All combinations of problems, their parts, and methods, in the order of the axes."""
        axes = [getattr(self, axis) for axis in AXES]
        found = []
        for chosen in product(*((axis or {"": None}).items() for axis in axes)):
            names = {axis[:-1]: name for axis, (name, _) in zip(AXES, chosen, strict=True) if name}
            problem, *parts, method = (value for _, value in chosen)
            given = {axis[:-1]: part for axis, part in zip(AXES[1:-1], parts, strict=True) if part is not None}
            made = replace(problem, **given)
            found.append(Case(names, made, method or default_method(made), self.interval or made.default_place))
        return tuple(found)

    def __len__(self) -> int:
        """The number of runs of the study."""
        return len(self.cases) * len(self.widths) * len(self.seeds)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StudySpec):
            return False
        tables = [canonical(tomllib.loads(spec.to_toml())) for spec in (self, other)]
        return repr(tables[0]) == repr(tables[1])  # unlike ==, which ignores the order of names

    def __hash__(self) -> int:
        return hash((self.widths, self.seeds, self.seed, self.loss_tol))

    def __repr__(self) -> str:
        return f"StudySpec({len(self.cases)} cases, {len(self.widths)} widths, {len(self.seeds)} seeds: {len(self)} runs)"

    def to_toml(self, path: str | Path | None = None) -> str:
        """The specification as TOML text, written atomically to `path` if one is given; `from_toml` reads it back equal.

        Raises
        ------
        CapabilityError
            If a law, an activation, a potential or a method is not one of the library's own.
        """
        return write_toml(to_tables(self), path)

    @classmethod
    def from_toml(cls, source: str | Path, *, root: str | Path | None = None) -> StudySpec:
        """Read a specification from TOML text or from the path of a TOML file; its form is in docs/run-a-study.md.

        Files that it names must stay in the folder `root`, by default its own: see `Problem.from_toml`.

        Raises
        ------
        DataError
            If the file cannot be read, is no TOML, or does not describe a study: the message names the entry.
        """
        return cls(**read_spec(source, root))


def _check_place(case: Case) -> None:
    """Refuse an interval for several inputs, and a box for another number of them."""
    inputs = case.problem.default_box.shape[0]
    if np.shape(case.interval) != ((2,) if inputs == 1 else (inputs, 2)):
        wanted = "(low, high)" if inputs == 1 else f"a box of {inputs} pairs (low, high)"
        raise DataError(f"`interval` must be {wanted} for {case.problem.data!r}, got {case.interval}; or leave it out")


def _named(values: Any, axis: str) -> Mapping[str, Any]:
    """`values` as a read-only mapping of names to things of the right kind, or a DataError."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise DataError(f'`{axis}` must map names to values, got {values!r}; use e.g. {{"first": ...}}')
    for name, value in values.items():
        if not isinstance(value, _KINDS[axis]):
            hint = "; call it: add ()" if isinstance(value, type) else ""
            raise DataError(f"`{axis}` {name!r} is of the wrong kind, got {value!r}{hint}")
    kept: dict[str, Any] = {}
    for name, value in values.items():
        same = next((other for other, known in kept.items() if known == value), None)
        if same is not None:
            raise DataError(f"`{axis}` must be distinct, got {name!r} equal to {same!r}; the runs would be the same")
        kept[name] = value
    return MappingProxyType(kept)


def _distinct(values: Any, name: str, *, at_least: int) -> tuple[int, ...]:
    """`values` as increasing distinct whole numbers, or a DataError."""
    values = entry(values)
    if isinstance(values, int | float) and name == "widths":
        values = [values]  # one width; one seed may as well be so many
    if isinstance(values, str | bytes) or not np.iterable(values):
        raise DataError(f"`{name}` must be a sequence of whole numbers, got {values!r}; use e.g. [{values!r}] or range(5)")
    fix, numbers = f"use e.g. {'[20, 60, 180]' if at_least else '[0, 1, 2]'}", []
    for index, value in enumerate(values):
        if index == _MOST:
            raise DataError(f"`{name}` must hold at most {_MOST} numbers, got more; study them in parts")
        try:
            numbers.append(whole_number(value, name, at_least=at_least))
        except DataError:
            rule = f"`{name}` must hold whole numbers >= {at_least}"
            raise DataError(f"{rule}, got {value!r} at index {index}; {fix}") from None
    if not numbers:
        raise DataError(f"`{name}` must hold at least one number, got none; {fix}")
    if max(numbers) >= 2**63:
        raise DataError(f"`{name}` must be below 2^63, got {max(numbers)}; tables hold 64-bit integers")
    repeated = [value for value, count in Counter(numbers).items() if count > 1]
    if repeated:
        raise DataError(f"`{name}` must be distinct, got {repeated[0]} more than once; the runs would be the same")
    return tuple(sorted(numbers))
