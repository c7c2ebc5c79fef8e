"""What must not change a limit, on random problems: equal functions to 1e-8, whatever the solver.

    python -m benchmarks.invariances                      # 50 problems, some five minutes
    python -m benchmarks.invariances --first 50 --count 200

A referee has a theory to get wrong as well; these laws need none. Each problem is solved again with y in other units,
with x and biases in other units, with w and b in other units, with another datum that lies on the function already, and with
its law as a mixture of twice itself; scaled potentials change their parameters with the units. A line is printed for what
differs, is refused or ends otherwise, and for what takes more than five seconds.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.stats as st

import splinebias as sb

BIASES = (
    st.beta(0.5, 0.5, -2, 4),
    st.beta(2, 0.7, -1.5, 3.5),
    st.vonmises(2),
    st.lognorm(0.5, -1.2),
    st.pareto(6, -2),
    st.gamma(0.7, -1.3),
    st.triang(0.3, -2, 4),
    st.gumbel_r(0.2, 0.5),
    st.skewnorm(3, -0.5),
    st.t(5),
    st.laplace(0.1, 0.7),
    st.weibull_min(1.5, -1),
    st.semicircular(0, 1.7),
    st.truncnorm(-1, 2),
    st.norm(0.2),
    st.logistic(0, 0.5),
    st.expon(-1.5),
)
WEIGHTS = (
    sb.Discrete([-1.0, 1.0], [0.5, 0.5]),
    sb.Discrete([-1.5, 0.5, 1.0], [0.3, 0.3, 0.4]),
    sb.Constant(-1.3),
    st.norm(),
    st.norm(0.7, 0.5),
    st.uniform(-1, 2),
    st.uniform(0.5, 1),
    st.lognorm(0.4),
    st.laplace(),
    st.t(9),
    st.gamma(3),
)
ACTIVATIONS = (sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.2))


class Case(NamedTuple):
    """A random problem in its parts, which can be put together in other units.

    Attributes
    ----------
    weight, bias : law
        Of (w, b).
    potential : callable
        The potential for output weights in units s times as large.
    activation, affine : Any
        As in `sb.Problem`.
    x, y : array
        The data.
    """

    weight: Any
    bias: Any
    potential: Callable[[float], Any]
    activation: Any
    affine: str
    x: Any
    y: Any

    @classmethod
    def of(cls, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        weight, bias = WEIGHTS[rng.integers(len(WEIGHTS))], BIASES[rng.integers(len(BIASES))]
        p, eps, beta = (float(rng.choice(of)) for of in ((1.5, 2.5, 3.0, 4.0), (0.1, 1.0, 5.0), (0.1, 1.0, 10.0)))
        potentials: tuple[Callable[[float], Any], ...] = (
            lambda s: sb.Quadratic(),
            lambda s: sb.Scaled(sb.Power(p)),
            lambda s: sb.Scaled(sb.Power(p, quadratic=eps * s ** (p - 2))),
            lambda s: sb.Scaled(sb.Hypentropy(beta * s)),
        )
        activation, affine = ACTIVATIONS[rng.integers(3)], str(rng.choice(["network", "free"]))
        x = np.sort(rng.uniform(-1.2, 1.2, rng.choice([3, 4, 6, 9, 15])))
        y = np.sin(3 * x) + 0.3 * rng.normal(size=x.size)
        return cls(weight, bias, potentials[rng.integers(4)], activation, affine, x, y)

    def problem(
        self, *, of_w: float = 1.0, of_b: float = 1.0, twice: bool = False, s: float = 1.0, **data: Any
    ) -> sb.Problem:
        """The problem with w and b `of_w` and `of_b` times as large, and output weights in units `s` times as large."""
        law = sb.Initialization(times(self.weight, of_w), times(self.bias, of_b))
        if twice:
            law = sb.Initialization.mixture([0.3, 0.7], [law, law])
        points = sb.Dataset(data.get("x", self.x), data.get("y", self.y))
        return sb.Problem(points, law, self.activation, self.potential(s), affine=self.affine)

    def variants(self, f: sb.Prediction, rng: np.random.Generator) -> Iterator[tuple[str, sb.Problem, float, float]]:
        """Name, problem, and the units of x and y in which it must have the same function."""
        s, r = float(rng.choice([1e-3, 0.1, 7, 1e3])), float(rng.choice([0.01, 0.5, 30]))
        yield f"y times {s:g}", self.problem(y=s * self.y, s=s), 1.0, s
        yield f"x and b times {r:g}", self.problem(x=r * self.x, of_b=r, s=1 / r), r, 1.0
        yield f"w and b times {r:g}", self.problem(of_w=r, of_b=r, s=1 / r), 1.0, 1.0
        more = np.sort(np.append(self.x, rng.uniform(self.x[0] - 0.5, self.x[-1] + 0.5)))
        yield "a datum on the function", self.problem(x=more, y=f(more)), 1.0, 1.0
        yield "a mixture of itself", self.problem(twice=True), 1.0, 1.0


def times(law: Any, factor: float) -> Any:
    """The law of `factor` > 0 times what has this one."""
    if isinstance(law, sb.Discrete):
        return sb.Discrete(tuple(factor * value for value in law.values), law.probabilities)
    if isinstance(law, sb.Constant):
        return sb.Constant(factor * law.value)
    shapes, loc, scale = law.dist._parse_args(*law.args, **law.kwds)
    return law.dist(*shapes, loc=factor * loc, scale=factor * scale)


def solved(problem: sb.Problem, note: Callable[[str], None]) -> sb.Prediction | None:
    """The prediction, or None with a note where it is refused."""
    begin = time.process_time()
    try:
        found = sb.predict(problem)
    except (sb.DataError, sb.CapabilityError, sb.SolveError) as error:
        note(f"{type(error).__name__}: {str(error)[:90]}")
        return None
    if (seconds := time.process_time() - begin) > 5:
        note(f"{seconds:.1f} s, {found.outcome}")
    return found


def tried(seed: int) -> Counter[str]:
    """What became of a problem and its variants, printed where it is not as it should be."""
    case, counts = Case.of(seed), Counter[str]()
    base = case.problem()

    def note(what: str) -> None:
        print(f"{seed} {base.describe()}: {what}", flush=True)

    f = solved(base, note)
    if f is None or not f.outcome.ok:
        if f is not None:
            note(f"{f.outcome}, residual {f.residual:.0e}")
        return Counter({"refused" if f is None else "INACCURATE": 1})
    q = np.append(np.linspace(case.x[0] - 2, case.x[-1] + 2, 41), case.x)
    values = f(q)
    size = max(np.abs(case.y).max(), np.abs(values).max())
    for name, problem, x_unit, y_unit in case.variants(f, np.random.default_rng(seed + 1_000_000)):
        g = solved(problem, lambda what, name=name: note(f"{name}: {what}"))  # type: ignore[misc]
        off = np.abs(g(x_unit * q) / y_unit - values).max() / size if g is not None and g.outcome.ok else np.inf
        if not off <= 1e-8:
            note(f"{name}: {'other outcome' if g is None or not g.outcome.ok else f'off by {off:.0e}'}")
        counts["equal" if off <= 1e-8 else "not equal"] += 1
    return counts + Counter({"CONVERGED": 1})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=50)
    options = parser.parse_args()
    counts = sum((tried(seed) for seed in range(options.first, options.first + options.count)), Counter[str]())
    print(", ".join(f"{number} {what}" for what, number in sorted(counts.items())))


if __name__ == "__main__":
    main()
