"""Whatever a file holds, it is read or refused in our words: valid files of every format, mutated at random."""

import contextlib
import copy
import json
import random
import sqlite3
import tomllib
import warnings

import numpy as np
import pytest
import scipy.stats as st
import tomli_w

import splinebias as sb
from splinebias.studies.store.reading import read_cases, status
from splinebias.studies.store.schema import ADD_CASE, ADD_RUN, TABLES
from splinebias.studies.store.store import Store

OURS = sb.DataError, sb.CapabilityError, sb.SolveError, sb.StudyStopped
WORDS = [
    "",
    "x",
    "y",
    "csv",
    "file",
    "../x",
    "/etc/passwd",
    "\0",
    "norm",
    "t",
    "mixture",
    "unit_circle",
    "ntk",
    "ä\n",
    "name",
]
VALUES = [
    *(None, True, False, 0, 1, -1, 2, -5, 10**400, 2**63, -(2**63), 0.5, -0.0, 1e-320, 1e300, -1e300, 1e308, 1e16),
    *(float("nan"), float("inf"), -float("inf"), [], {}, [[]], [{}], [1], ["x"], [1, "x"], {"name": 1}, {"name": "norm"}),
    *({"name": "t", "args": [2.5]}, {"name": "rademacher"}, {"name": "binom", "args": [3, 0.5]}, [[1.0, 2.0], [3.0]]),
]


def places(tree):
    """Every (container, key) in a tree of dictionaries and lists."""
    found, level = [], [tree]
    while level:
        part = level.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
        found += [(part, key) for key in keys]
        level += [part[key] for key in keys]
    return found


def mutate(tree, rng):
    """Change a tree in one to three places: values, names and lengths."""
    for _ in range(rng.randint(1, 3)):
        spots = places(tree)
        if not spots:
            return
        part, key = rng.choice(spots)
        kind = rng.randrange(8)
        if kind == 0:
            part.pop(key)
        elif kind == 1 and isinstance(part, dict):
            part[rng.choice(WORDS)] = part.pop(key)
        elif kind == 2:
            part[key] = rng.choice(WORDS)
        elif kind == 3:
            part[key] = [part[key]] * rng.randint(0, 3)
        elif kind == 4:
            other, name = rng.choice(spots)
            part[key] = json.loads(json.dumps(other[name]))
        elif kind == 5 and isinstance(part, list):
            part.insert(rng.randint(0, len(part)), copy.deepcopy(rng.choice(VALUES)))
        elif kind == 6:
            for _ in range(rng.choice([3, 150])):
                part[key] = rng.choice([list, lambda value: {"joint": value}])([part[key]])
        else:
            part[key] = copy.deepcopy(rng.choice(VALUES))


def scramble(text, rng):
    """Change single characters and stretches of a text."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randint(0, len(text)) for _ in range(2))
        piece = rng.choice(
            ["", "[" * 900, "9" * 5000, "\0", '"', "nan", "1e999", "=", "{", "]", "\n", text[at:end], "\u2028"]
        )
        text = text[:at] + piece + text[min(end, at + rng.choice([0, 1, 5])) :]
    return text


def mutated(tree, write, rng):
    """The text of a mutated tree; sometimes of characters that were changed afterwards."""
    tree = json.loads(json.dumps(tree))
    if rng.random() < 0.8:
        mutate(tree, rng)
    try:
        text = write(tree)
    except (TypeError, ValueError, RecursionError):  # what the format cannot hold
        text = write({})
    return scramble(text, rng) if rng.random() < 0.3 else text


DATA = sb.Dataset([-1.0, 0.0, 0.6, 1.0], [0.0, 1.0, 0.2, 0.0])
LAWS = [
    sb.Initialization.rademacher(st.uniform(-2, 4)),
    sb.Initialization.gaussian(1.0, 2.0),
    sb.Initialization(st.t(3.5), sb.Discrete([-1.0, 2.0], [0.5, 0.5]), output=st.norm(0, 1)),
    sb.Initialization.joint(st.multivariate_normal([0.5, 0.0], [[1.0, 0.2], [0.2, 1.0]])),
    sb.Initialization.mixture([0.5, 0.5], [sb.Initialization.unit_circle(), sb.Initialization.uniform(1.0, 2.0)]),
]
PROBLEMS = [
    sb.Problem(DATA, LAWS[0], sb.LeakyReLU(0.1), sb.Scaled(sb.Power(4, quadratic=1))),
    sb.Problem(DATA, LAWS[1], sb.ReLUPower(2), affine="free"),
    sb.Problem(DATA, LAWS[2], sb.Abs(), sb.Hypentropy(1.0), parameterization=sb.NTK()),
    sb.Problem(DATA, LAWS[3]),
    sb.Problem(DATA, LAWS[4]),
]
SPEC = sb.StudySpec(
    {"A": PROBLEMS[0], "B": PROBLEMS[1]},
    [4, 8],
    range(2),
    potentials={"u2": sb.Quadratic()},
    methods={"flow": sb.MirrorFlow(1e-3), "sgd": sb.StochasticMirrorDescent(batch_size=2)},
    interval=(-1.0, 1.0),
)
FUNCTIONS = [
    sb.predict(PROBLEMS[0]).function,
    sb.predict(PROBLEMS[3]).function,
    sb.PiecewiseLinear([-1.0, 0.0, 2.0], [0.0, 1.0, 0.5], 0.3, -0.2),
    sb.PiecewiseLinear([-1.0, 0.0, 2.0], [0.0, 1.0, 0.5], 0.3, -0.2).antiderivative(),
]


def read_problem(rng, folder):
    """A problem file; what is read is also written."""
    text = mutated(rng.choice(PROBLEMS).to_tables(), tomli_w.dumps, rng)
    problem = sb.Problem.from_toml(text + "\n")
    assert sb.Problem.from_toml(problem.to_toml()) == problem
    problem.describe()


def predict_problem(rng, folder):
    """A problem file with numbers that are far too large or too small, solved."""
    tree = json.loads(json.dumps(rng.choice(PROBLEMS[:2]).to_tables()))
    leaves = [(part, key) for part, key in places(tree) if isinstance(part[key], float)]
    for part, key in rng.sample(leaves, rng.randint(1, 2)):
        part[key] = rng.choice([-1, 1]) * rng.choice([0.0, 1e-320, 1e-200, 1e-12, 1e8, 1e16, 1e100, 1e160, 1e300])
    found = sb.predict(sb.Problem.from_toml(tomli_w.dumps(tree)))
    assert isinstance(found.outcome, sb.Outcome)


def read_spec(rng, folder):
    """A study file."""
    spec = sb.StudySpec.from_toml(mutated(tomllib.loads(SPEC.to_toml()), tomli_w.dumps, rng) + "\n")
    assert sb.StudySpec.from_toml(spec.to_toml()) == spec


def read_function(rng, folder):
    """The JSON text of a function of any kind; what is read can be evaluated."""
    function = rng.choice(FUNCTIONS)
    read = type(function).from_json(mutated(json.loads(function.to_json()), json.dumps, rng))
    with np.errstate(all="ignore"):
        assert read(np.linspace(-3, 3, 7)).shape == (7,)


def read_csv(rng, folder):
    """A CSV file, of bytes."""
    path = folder / "points.csv"
    content = bytearray(b"x,y,z\n-1,0,1\n0,1,1\n1,0.5,1\n")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content))
        content[at : at + rng.randint(0, 4)] = rng.choice([b"", b"\0", b"\xff", b'"', b",", b"nan", b"1e999", b"\r", b"x"])
    path.write_bytes(bytes(content))
    sb.Dataset.from_csv(path, replicates=rng.random() < 0.5)


def read_store(rng, folder):
    """A store with wrong entries, wrong tables, or bytes that were changed."""
    path = folder / "study.sqlite"
    path.unlink(missing_ok=True)
    row = [20, 0, 0.1, 0.2, 0.3, 1.0, 1e-12, 5, 100.0, 0.01, "CONVERGED", 1.0, 5, ""]
    with contextlib.closing(sqlite3.connect(path)) as file:
        for statement in TABLES:
            file.execute(statement)
        file.execute("UPDATE study SET spec = ?, total = 4, holder = NULL", (SPEC.to_toml(),))
        file.execute(ADD_CASE, (0, "k", "{}", PROBLEMS[0].to_toml(), "MirrorFlow()", -1.0, 1.0, 1e-12))
        for seed in (0, 1):
            row[1] = seed
            file.execute(ADD_RUN, ("k", *row, 1, 1e9 + seed, b"L" + np.arange(4.0).tobytes()))
        for _ in range(rng.randint(1, 3)):
            table = rng.choice(["study", "cases", "runs", "environments"])
            columns = [name for _, name, *_ in file.execute(f"PRAGMA table_info({table})")]
            value = rng.choice([None, 0, -5, 2**62, 1e300, float("inf"), "", "x", "{}", "[1]", "[" * 9000, b"\xff", b"P{}"])
            statements = [f"DELETE FROM {table}", f"ALTER TABLE {table} RENAME TO other", "PRAGMA user_version = 7"]
            statement = f"UPDATE {table} SET {rng.choice(columns)} = ?" if columns and rng.random() < 0.85 else None
            with contextlib.suppress(sqlite3.Error):
                file.execute(*((statement, (value,)) if statement else (rng.choice(statements),)))
        file.commit()
    if rng.random() < 0.3:
        content = bytearray(path.read_bytes())
        for _ in range(rng.randint(1, 30)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(bytes(content[: rng.choice([len(content), rng.randrange(len(content))])]))
    for look in (status, read_cases, lambda path: Store.open(path, SPEC).close()):
        with contextlib.suppress(*OURS):
            for case in look(path) if look is read_cases else [look(path)]:
                if case is not None and look is read_cases:
                    case.function(20, 0)


FORMATS = [read_problem, read_spec, read_function, read_csv, read_store]


def check(read, numbers, folder):
    """Only our errors, and their words are one line of bearable length."""
    refused = 0
    for number in numbers:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "[0-9]+ of [0-9]+ points")  # left out, which is said
                read(random.Random(f"{read.__name__} {number}"), folder)
        except OURS as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 5000, number
        except Exception as error:
            raise AssertionError(f"mutation {number} of {read.__name__}: {error!r}") from error
    return refused


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("read", "count"), [(read, 20 if read is read_store else 100) for read in FORMATS])
def test_mutated_files_are_read_or_refused(read, count, tmp_path):
    refused = check(read, range(count), tmp_path)
    assert read is read_store or 0 < refused < count  # a store is read by three, whose refusals are not counted


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.nightly
@pytest.mark.parametrize(("read", "count"), [(read, 800 if read is read_store else 2400) for read in FORMATS])
def test_ten_thousand_mutated_files_are_read_or_refused(read, count, tmp_path):
    """After those of the fast test: 10,400 in all."""
    refused = check(read, range(100, 100 + count), tmp_path)
    assert read is read_store or 0 < refused < count


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.nightly
def test_mutated_problems_are_solved_or_refused(tmp_path):
    assert 0 < check(predict_problem, range(200), tmp_path) < 200
