"""Runs and networks in files: the same bits back, whatever else a file holds is refused, and nothing of it is executed."""

import io
import math
import pickle
import zipfile

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb

DATA = sb.Dataset([-1, -0.2, 0.3, 1], [0.2, -0.1, 0.4, 0.0], [1, 2, 0.5, 3])
LAW = sb.Initialization.rademacher(st.uniform(-1.5, 3))
FLOW = sb.MirrorFlow(time=20.0, saveat=(1.0, 5.0))
KINDS = {
    "flow": (sb.Problem(DATA, LAW), {"method": FLOW}),
    "plain": (sb.Problem(DATA, sb.Initialization.pytorch_default(both_layers=True)), {}),
    "free-single": (sb.Problem(DATA, LAW, sb.Abs(), affine="free"), {"dtype": "float32", "loss_tol": 1e-4}),
    "descent": (
        sb.Problem(DATA, LAW, sb.LeakyReLU(0.2), sb.Scaled(sb.Hypentropy(0.5))),
        {"method": sb.MirrorDescent(max_steps=7)},
    ),
    "diverged": (sb.Problem(DATA, LAW), {"method": sb.MirrorDescent(50.0)}),
    "power": (sb.Problem(DATA, LAW, sb.ReLUPower(2)), {"method": sb.MirrorDescent(max_steps=5)}),
    "ntk": (
        sb.Problem(DATA, sb.Initialization(st.norm(), st.norm(), st.norm()), parameterization=sb.NTK()),
        {"method": sb.MirrorDescent(max_steps=5)},
    ),
    "samples": (
        sb.Problem(DATA, sb.Initialization.from_samples(*np.random.default_rng(0).normal(size=(2, 60)))),
        {"method": sb.MirrorDescent(max_steps=5)},
    ),
}


def same_network(found, expected):
    assert torch.equal(found.theta, expected.theta) and torch.equal(found.skip, expected.skip)
    assert found.theta.dtype is expected.theta.dtype and found.activation == expected.activation


@pytest.mark.parametrize("name", KINDS)
def test_a_run_comes_back_to_the_last_bit(name, tmp_path):
    problem, options = KINDS[name]
    run = sb.train(problem, 30, 3, **options)
    run.save(tmp_path / "run.npz")
    found = sb.load(tmp_path / "run.npz")
    assert isinstance(found, sb.Training) and found.problem == problem
    same_network(found.network, run.network)
    same_network(found.start, run.start)
    for entry in ("seed", "steps", "loss", "time", "seconds", "advice", "outcome", "stats", "width"):
        assert getattr(found, entry) == getattr(run, entry)
    for entry in ("steps", "loss", "time"):
        before, after = getattr(run.history, entry), getattr(found.history, entry)
        np.testing.assert_array_equal(after, before)
        assert after.dtype == before.dtype
    assert len(found.snapshots) == len(run.snapshots) == (2 if name == "flow" else 0)
    for after, before in zip(found.snapshots, run.snapshots, strict=True):
        assert (after.time, after.loss) == (before.time, before.loss)
        same_network(after.network, before.network)
    assert found.function.to_json() == run.function.to_json() and repr(found) == repr(run)


def test_training_goes_on_from_a_file_as_from_the_run(tmp_path):
    problem = KINDS["plain"][0]
    half = sb.train(problem, 100, method=sb.MirrorFlow(time=50.0))
    half.save(tmp_path / "half")
    runs = [
        sb.train(problem, start=start.network, method=sb.MirrorFlow(time=50.0))
        for start in (half, sb.load(tmp_path / "half"))
    ]
    assert torch.equal(runs[0].network.theta, runs[1].network.theta)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3), sb.ReLUPower(3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_network_comes_back_to_the_last_bit(activation, dtype, tmp_path):
    rng = np.random.default_rng(1)
    network = sb.Network(torch.tensor(rng.normal(size=22), dtype=dtype), activation, torch.tensor([0.5, -0.1], dtype=dtype))
    network.save(tmp_path / "network")
    found = sb.load(str(tmp_path / "network"))
    assert isinstance(found, sb.Network)
    same_network(found, network)
    found.theta.zero_()  # tensors of its own


def test_the_same_run_makes_the_same_bytes_and_numpy_opens_them(tmp_path):
    run = sb.train(*KINDS["plain"][:1], 30, loss_tol=1e-3)
    run.save(tmp_path / "a")
    sb.load(tmp_path / "a").save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with np.load(tmp_path / "a", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["network_theta"], run.network.theta.numpy())
        np.testing.assert_array_equal(arrays["history_loss"], run.history.loss)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]  # nothing temporary is left


def test_what_cannot_be_saved_is_refused_and_leaves_the_old_file(tmp_path):
    class Own(sb.Potential):
        def value(self, u):
            return u * u / 2

        def grad(self, u):
            return u

        def hess(self, u):
            return 1 + 0 * u

        def grad_inverse(self, z):
            return z

    run = sb.train(sb.Problem(DATA, LAW, potential=Own()), 20, method=sb.MirrorDescent(max_steps=2))
    (tmp_path / "old").write_text("old")
    with pytest.raises(sb.CapabilityError, match="the library's own kinds"):
        run.save(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old"
    with pytest.raises(sb.DataError, match="existing writable folder"):
        run.network.save(tmp_path / "nowhere" / "file")
    with pytest.raises(sb.DataError, match="must be the name of a file, got 3"):
        run.network.save(3)
    with pytest.raises(sb.DataError, match="batch of 2"):
        sb.Network.sample(run.problem, 5, [1, 2]).save(tmp_path / "batch")


def saved(tmp_path):
    """The bytes and the members of a small run with a snapshot."""
    run = sb.train(KINDS["flow"][0], 4, method=sb.MirrorFlow(time=2.0, saveat=(1.0,)))
    run.save(tmp_path / "run")
    content = (tmp_path / "run").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return content, {name: file.read(name) for name in file.namelist()}


def zipped(members, **options):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **options) as file:
        for name, value in members.items():
            file.writestr(zipfile.ZipInfo(name), value, **({"compress_type": options["compression"]} if options else {}))
    return content.getvalue()


def npy(array, **options):
    content = io.BytesIO()
    np.save(content, array, **options)
    return content.getvalue()


def swap(before, after):
    """A change of the tables."""
    return lambda m: m | {"splinebias.toml": m["splinebias.toml"].replace(before, after)}


class Touch:
    """What unpickles to a call."""

    def __reduce__(self):
        return (exec, ("raise SystemExit",))


CHANGES = {
    "no tables": (lambda m: {k: v for k, v in m.items() if k.endswith("npy")}, "must hold splinebias.toml"),
    "no TOML": (lambda m: m | {"splinebias.toml": b"= = ="}, "not valid TOML"),
    "no text": (lambda m: m | {"splinebias.toml": b"\xff\xfe"}, "must hold splinebias.toml, got none that can be read"),
    "format": (swap(b"format = 1", b"format = 2"), "must be of format 1, got 2"),
    "kind": (swap(b'"training"', b'"trainings"'), "got 'trainings'; did you mean 'training'"),
    "no head": (swap(b"[file]", b"[files]"), r"must say in \[file\] what it is"),
    "outcome": (swap(b'outcome = "', b'outcome = "X'), "`outcome` must be one of"),
    "steps": (swap(b"steps = ", b"steps = -"), "'steps'|`steps`"),
    "seed": (swap(b"seed = 0", b"seed = true"), "must say 'seed' as a int, got True"),
    "advice": (swap(b"advice = ", b"advices = "), "must say 'advice' as a str, got None"),
    "stats": (swap(b"passes = ", b'passes = "many" #'), "must say 'passes' as a float"),
    "problem": (swap(b'name = "relu"', b'name = "gelu"'), "`activation.name` must be one of"),
    "files": (swap(b"x = [", b'csv = "/etc/passwd"\nz = ['), r"\[data\]|csv"),
    "no problem": (swap(b"[problem", b"[issue"), r"a table \[problem\]"),
    "no start": (lambda m: {k: v for k, v in m.items() if k != "start_theta.npy"}, "an array 'start_theta', got none"),
    "shape": (lambda m: m | {"start_theta.npy": npy(np.zeros(10))}, r"'start_theta' must have the shape 13, got \(10,\)"),
    "square": (lambda m: m | {"network_theta.npy": npy(np.zeros((13, 1)))}, "must have the shape any number"),
    "empty": (lambda m: m | {"network_theta.npy": npy(np.zeros(1))}, "numbers with n >= 1, .* got 1"),
    "nan": (lambda m: m | {"network_theta.npy": npy(np.full(13, math.nan))}, "must be finite, got 13 entries"),
    "whole": (lambda m: m | {"network_theta.npy": npy(np.zeros(13, dtype=np.int64))}, "of int64"),
    "mixed": (lambda m: m | {"network_skip.npy": npy(np.zeros(2, dtype=np.float32))}, "one precision"),
    "complex": (lambda m: m | {"network_theta.npy": npy(np.zeros(13) * 1j)}, "must be an array of real or whole numbers"),
    "fortran": (lambda m: m | {"snapshot_theta.npy": npy(np.asfortranarray(np.zeros((2, 13))))}, "real or whole numbers"),
    "pickle": (
        lambda m: m | {"network_theta.npy": npy(np.array([Touch()], dtype=object), allow_pickle=True)},
        "real or whole numbers",
    ),
    "bare pickle": (lambda m: m | {"network_theta.npy": pickle.dumps(Touch())}, "real or whole numbers"),
    "no array": (lambda m: m | {"extra.txt": b"hello"}, "'extra.txt' must be an array"),
    "history": (lambda m: m | {"history_steps.npy": npy(np.zeros(3, dtype=np.int64))}, "`history_steps` must be increasing"),
    "snapshots": (lambda m: m | {"snapshot_time.npy": npy(np.zeros(7))}, "'snapshot_time' must have the shape 1"),
    "huge": (
        lambda m: m | {"network_theta.npy": m["network_theta.npy"].replace(b"(13,), }     ", b"(10000000000,), }"[:17])},
        "real or whole numbers|as many numbers",
    ),
    "members": (lambda m: m | {f"a{i}.npy": npy(np.zeros(1)) for i in range(200)}, "at most 100 members"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_holds_something_else_is_refused_and_says_what(change, tmp_path):
    make, words = CHANGES[change]
    (tmp_path / "bad").write_bytes(zipped(make(saved(tmp_path)[1])))
    with pytest.raises(sb.DataError, match=words):
        sb.load(tmp_path / "bad")


def test_files_of_other_kinds_are_refused(tmp_path):
    content, members = saved(tmp_path)
    cases = {
        b"": "must be a file of splinebias",
        b"x" * 1000: "must be a file of splinebias",
        content[:-30]: "must be a file of splinebias",
        zipped(members, compression=zipfile.ZIP_DEFLATED): "not compressed",
        zipped({"a.txt": b""}): "must hold splinebias.toml",
    }
    for bad, words in cases.items():
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(sb.DataError, match=words):
            sb.load(tmp_path / "bad")
    for path, words in (
        (tmp_path, "add a file name"),
        (tmp_path / "none", "check the path"),
        (3, "got 3"),
        ("a\0b", "null"),
    ):
        with pytest.raises(sb.DataError, match=words):
            sb.load(path)


def test_mutated_files_are_read_or_refused(tmp_path):
    """Bytes changed, cut and repeated, in the zip and in its members: a DataError, or a run."""
    content, members = saved(tmp_path)
    rng, refused = np.random.default_rng(0), 0
    for _ in range(400):
        if rng.random() < 0.5:
            bad = mutated(content, rng)
        else:
            name = list(members)[rng.integers(len(members))]
            bad = zipped(members | {name: mutated(members[name], rng)})
        (tmp_path / "bad").write_bytes(bad)
        try:
            assert isinstance(sb.load(tmp_path / "bad"), sb.Training)
        except (sb.DataError, sb.CapabilityError):
            refused += 1
    assert refused > 200


def mutated(content, rng):
    """A copy with some bytes changed, removed or repeated."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, length = rng.integers(len(found)), rng.integers(1, 9)
        match rng.integers(3):
            case 0:
                found[at] = rng.integers(256)
            case 1:
                del found[at : at + length]
            case 2:
                found[at:at] = found[at : at + length]
    return bytes(found)


def test_a_run_of_several_inputs_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    points = sb.Points(rng.normal(size=(5, 2)), rng.normal(size=5))
    problem = sb.Problem(points, sb.Initialization.gaussian(dim=2), affine="free")
    run = sb.train(problem, 60, 1, loss_tol=1e-6)
    run.save(tmp_path / "run.zip")
    back = sb.load(tmp_path / "run.zip")
    assert isinstance(back, sb.Training)
    torch.testing.assert_close(back.network.theta, run.network.theta, rtol=0, atol=0)
    assert back.network.inputs == 2
    x = rng.normal(size=(7, 2))
    np.testing.assert_array_equal(back.function(x), run.function(x))
    run.network.save(tmp_path / "network.zip")
    assert sb.load(tmp_path / "network.zip").inputs == 2
