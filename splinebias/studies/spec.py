r"""What a study runs: a grid of problems, potentials, laws, activations, methods, widths and seeds, and nothing else.

Every run is a function of the `StudySpec` alone: not of the number of processes, not of the order of the work.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from splinebias._arguments import interval as check_interval
from splinebias._arguments import real_number, whole_number
from splinebias.activation import Activation
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.initialization import Initialization
from splinebias.initialization.law_files import canonical
from splinebias.potential import Potential, Scaled
from splinebias.problem import Problem
from splinebias.studies.spec_difference import canonical_text
from splinebias.studies.spec_text import AXES, read_spec, write_spec

if TYPE_CHECKING:
    from splinebias.training.method import TrainingMethod

_LARGEST = 2**63 - 1
_KEY = 16  # hexadecimal digits: 64 bits


def run_seed(seed: int, width: int, spec_seed: int = 0) -> int:
    """The seed that `train` is given for replicate `seed` at `width`: 53 bits of a spawned ``SeedSequence``.

    ``SeedSequence(spec_seed, spawn_key=(width, seed))``: adding widths or seeds to a study changes no earlier run,
    networks of different widths are independent, and all potentials start from the same networks.

    Examples
    --------
    >>> from splinebias.study import run_seed
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
        Where networks are compared with the limit.
    """

    names: dict[str, str]
    problem: Problem
    method: TrainingMethod
    interval: tuple[float, float]

    @property
    def label(self) -> str:
        """The names in one line."""
        return " / ".join(self.names.values()) or "the problem"

    @cached_property
    def key(self) -> str:
        """A digest of problem and method, the same in any grid; CapabilityError if they have no TOML text."""
        return self.key_of(self.canonical)

    @property
    def written_key(self) -> str:
        """`key` with laws as they are written, as stores once had it."""
        return self.key_of(self.problem)

    def key_of(self, problem: Problem) -> str:
        """The digest of a problem with the method of this case."""
        return hashlib.sha256(f"{problem.to_toml()}\n{self.method!r}".encode()).hexdigest()[:_KEY]

    @cached_property
    def canonical(self) -> Problem:
        """The problem, laws in the one form that all ways to write them share; itself if its laws have no table."""
        try:
            table = self.problem.initialization.to_table()
        except CapabilityError:
            return self.problem
        if repr(same := canonical(table)) == repr(table):  # unlike ==, which takes -0.0 for 0.0
            return self.problem
        return replace(self.problem, initialization=Initialization.from_table(same))


@dataclass(frozen=True, eq=False)
class StudySpec:
    """The grid problems x potentials x initializations x activations x methods x widths x seeds.

    Parameters
    ----------
    problems : mapping of str to Problem, or Problem
        The problems and their names.
    widths : sequence of int
        Numbers of units, distinct, >= 1 (even for antisymmetric pairs).
    seeds : sequence of int
        Replicates: distinct, >= 0, below 2^63; one network for each case, width and seed. A list or a range, no number: what
        TOML writes as ``seeds = 5`` is ``range(5)`` here.
    potentials, initializations, activations : mapping of str to object
        What replaces that part of every problem, one after the other; empty: the problem's own.
    methods : mapping of str to TrainingMethod
        How to train; empty: ``MirrorFlow()``.
    seed : int
        Where all randomness comes from, see `run_seed`.
    interval : (float, float), optional
        Where to compare; None: the span of the data of each problem and a quarter of it more on either side.
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
    widths: Sequence[int]
    seeds: Sequence[int]
    potentials: Mapping[str, Potential | Scaled] = field(default_factory=dict, kw_only=True)
    initializations: Mapping[str, Initialization] = field(default_factory=dict, kw_only=True)
    activations: Mapping[str, Activation] = field(default_factory=dict, kw_only=True)
    methods: Mapping[str, TrainingMethod] = field(default_factory=dict, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    interval: tuple[float, float] | None = field(default=None, kw_only=True)
    loss_tol: float = field(default=1e-12, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.problems, Problem):
            object.__setattr__(self, "problems", {"": self.problems})
        for axis in AXES:
            object.__setattr__(self, axis, _named(getattr(self, axis), axis))
        if not self.problems:
            raise DataError("`problems` must hold at least one problem, got none: an empty grid has nothing to run")
        object.__setattr__(self, "widths", distinct(self.widths, "widths", at_least=1))
        object.__setattr__(self, "seeds", distinct(self.seeds, "seeds", at_least=0))
        whole_number(self.seed, "seed")
        real_number(self.loss_tol, "loss_tol", above=0, fix="rounding keeps the loss above 0; take e.g. 1e-12")
        if self.interval is not None:
            object.__setattr__(self, "interval", check_interval(self.interval))
        self._check_cases()

    def _check_cases(self) -> None:
        """Refuse widths that a case cannot have, and cases that are one."""
        odd = [width for width in self.widths if width % 2]
        if odd and any(case.problem.initialization.output is not None for case in self.cases):
            raise DataError(f"`widths` must be even for antisymmetric pairs, got {odd[0]}; use {odd[0] + 1}")
        for number, case in enumerate(self.cases):
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
        from splinebias.training.flow.flow import MirrorFlow

        problems, empty = cast(Mapping[str, Problem], self.problems), {"": None}
        axes = [getattr(self, axis) or empty for axis in AXES[1:-1]]
        methods = self.methods or {"": MirrorFlow()}
        return tuple(
            self._case(names, problem, parts, method)
            for names, problem, parts, method in _combinations(problems, axes, methods)
        )

    def _case(self, names: tuple[str, ...], problem: Problem, parts: tuple[Any, ...], method: TrainingMethod) -> Case:
        fields = {axis[:-1]: part for axis, part in zip(AXES[1:-1], parts, strict=True) if part is not None}
        made = replace(problem, **fields)
        named = {axis[:-1]: name for axis, name in zip(AXES, names, strict=True) if name}
        return Case(named, made, method, self.interval or made.default_interval)

    def __len__(self) -> int:
        """Number of runs."""
        return len(self.cases) * len(self.widths) * len(self.seeds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StudySpec) and canonical_text(self.to_toml()) == canonical_text(other.to_toml())

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
        return write_spec(self, path)

    @classmethod
    def from_toml(cls, source: str | Path) -> StudySpec:
        """Read a specification from TOML text or from the path of a TOML file; its form is in docs/run-a-study.md.

        Raises
        ------
        DataError
            If the file cannot be read, is no TOML, or does not describe a study: the message names the entry.
        """
        return cls(**read_spec(source))


def _combinations(
    problems: Mapping[str, Problem], axes: Sequence[Mapping[str, Any]], methods: Mapping[str, TrainingMethod]
) -> Iterator[tuple[tuple[str, ...], Problem, tuple[Any, ...], TrainingMethod]]:
    """Names, problem, parts and method of every combination."""
    for chosen in product(problems.items(), *(axis.items() for axis in axes), methods.items()):
        names, values = zip(*chosen, strict=True)
        yield names, values[0], values[1:-1], values[-1]


def _named(values: Any, axis: str) -> Mapping[str, Any]:
    """`values` as a read-only mapping of names to things of the right kind, or a DataError."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise DataError(f'`{axis}` must map names to values, got {values!r}; use e.g. {{"first": ...}}')
    kinds: dict[str, Any] = {
        "problems": Problem,
        "potentials": (Potential, Scaled),
        "initializations": Initialization,
        "activations": Activation,
    }
    if axis == "methods" and values:
        from splinebias.training.method import TrainingMethod

        kinds[axis] = TrainingMethod
    for name, value in values.items():
        if not isinstance(value, kinds[axis]):
            hint = "; call it: add ()" if isinstance(value, type) else ""
            raise DataError(f"`{axis}` {name!r} is of the wrong kind, got {value!r}{hint}")
    kept = list(values.items())
    for number, (name, value) in enumerate(kept):
        same = next((other for other, known in kept[:number] if known == value), None)
        if same is not None:
            raise DataError(f"`{axis}` must be distinct, got {name!r} equal to {same!r}; the runs would be the same")
    return MappingProxyType(dict(kept))


def distinct(values: Sequence[int], name: str, *, at_least: int) -> tuple[int, ...]:
    """`values` as increasing distinct whole numbers, or a DataError."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise DataError(f"`{name}` must be a sequence of whole numbers, got {values!r}; use e.g. [{values!r}] or range(5)")
    fix, numbers = f"use e.g. {'[20, 60, 180]' if at_least else '[0, 1, 2]'}", []
    for index, value in enumerate(values):
        try:
            numbers.append(whole_number(value, name, at_least=at_least))
        except DataError:
            rule = f"`{name}` must hold whole numbers >= {at_least}"
            raise DataError(f"{rule}, got {value!r} at index {index}; {fix}") from None
    if not numbers:
        raise DataError(f"`{name}` must hold at least one number, got none; {fix}")
    if max(numbers) > _LARGEST:
        raise DataError(f"`{name}` must be below 2^63, got {max(numbers)}; tables hold 64-bit integers")
    repeated = [value for value, count in Counter(numbers).items() if count > 1]
    if repeated:
        raise DataError(f"`{name}` must be distinct, got {repeated[0]} more than once; the runs would be the same")
    return tuple(sorted(numbers))
