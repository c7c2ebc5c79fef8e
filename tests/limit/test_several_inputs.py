"""Limits of several inputs: against scipy, against brute force, against the line, and the refusals."""

import numpy as np
import pytest
import scipy.stats as st
from scipy.interpolate import RBFInterpolator
from scipy.special import gamma

import splinebias as sb
from splinebias.functions.several_inputs import PointFunctionSum
from splinebias.limit.several_inputs.kernel_of import input_kernel
from splinebias.limit.several_inputs.plane_kernel import PlaneKernel
from splinebias.limit.several_inputs.sampled_kernel import SampledKernel

X = np.array([(-0.8, -0.6), (-0.7, 0.5), (-0.2, -0.1), (0, 0.8), (0.1, -0.9), (0.4, 0.3), (0.7, -0.4), (0.9, 0.6)])
Y = np.array([0.2, -0.1, 0.4, 0, -0.3, 0.5, 0.1, -0.2])
AT = np.array([(0, 0), (0.5, -0.5), (-0.5, 0.8), (1.2, 0)])
POINTS = sb.Points(X, Y)
SPHERE = sb.Initialization.sphere(st.uniform(-1.5, 3), dim=2)


class OwnUnits:
    """Units that a user draws: normal weights, biases that depend on them."""

    def sample(self, width, rng):
        w = rng.standard_normal((width, 2))
        return w, w[:, 0] + rng.uniform(-1, 1, width)


@pytest.mark.parametrize(
    ("initialization", "affine", "values", "cost"),
    [  # from a prototype with brute-force kernels
        (SPHERE, "free", [0.49188334, 0.09271897, -0.25375875, -0.23986649], 60.8387986604),
        (SPHERE, "network", [0.49339639, 0.09043921, -0.24835502, -0.21249665], 66.3667556),
        (sb.Initialization.gaussian(dim=2), "network", [0.51101774, 0.08747733, -0.24355515, -0.21000968], 22.11574045),
    ],
    ids=["spline", "sphere", "gaussian"],
)
def test_numbers_of_the_prototypes(initialization, affine, values, cost):
    found = sb.predict(sb.Problem(POINTS, initialization, affine=affine))
    assert found.outcome is sb.Outcome.CONVERGED
    assert found.residual <= 1e-12
    np.testing.assert_allclose(found.function(AT), values, atol=6e-9)
    assert found.penalty == pytest.approx(cost, rel=1e-9)
    assert found.multipliers @ POINTS.y == pytest.approx(found.penalty, rel=1e-10)


@pytest.mark.parametrize("dim", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_sphere_with_free_affine_part_is_scipys_cubic_spline(dim, seed):
    rng = np.random.default_rng(seed)
    x, at = rng.uniform(-1, 1, (20, dim)), rng.uniform(-1, 1, (200, dim))
    y = rng.standard_normal(20)
    bound = np.sqrt(dim) + rng.uniform(0, 2)
    init = sb.Initialization.sphere(st.uniform(-bound, 2 * bound), dim=dim)
    found = sb.predict(sb.Problem(sb.Points(x, y), init, affine="free")).function
    twin = RBFInterpolator(x, y, kernel="cubic", degree=1)
    np.testing.assert_allclose(found(at), twin(at), atol=1e-12 * np.abs(twin(at)).max())
    penalty = sb.predict(sb.Problem(sb.Points(x, y), init, affine="free")).penalty
    c_d, coefficients = {2: 4 / (3 * np.pi), 3: 1 / 4, 5: 1 / 8}[dim], twin._coeffs[:20, 0]
    r = np.linalg.norm(x[:, None] - x, axis=-1)
    assert penalty == pytest.approx(24 * bound / c_d * coefficients @ r**3 @ coefficients, rel=1e-9)


LAWS = {
    "sphere, d = 2": (SPHERE, 1.0),
    "sphere beyond the biases, d = 2": (sb.Initialization.sphere(st.uniform(-0.5, 1), dim=2), 1.0),
    "sphere, d = 3": (sb.Initialization.sphere(st.uniform(-2, 4), dim=3), 1.0),
    "Gaussian, d = 3": (sb.Initialization.gaussian(1.3, 0.7, dim=3), 1.0),
    "torch, d = 2": (sb.Initialization.pytorch_default(dim=2), 1.0),
    "torch near 0, d = 3": (sb.Initialization.pytorch_default(dim=3), 0.3),
    "torch near 0, d = 5": (sb.Initialization.pytorch_default(dim=5), 0.2),
    "uniform, large biases, d = 4": (sb.Initialization.uniform(1.0, 4.5, dim=4), 1.0),
    "torch, d = 3": (sb.Initialization.pytorch_default(dim=3), 1.0),
    "sphere beyond the biases, d = 4": (sb.Initialization.sphere(st.uniform(-0.5, 1), dim=4), 1.0),
}


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3), sb.Abs()], ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_kernels_are_means_over_units(law, activation):
    """Brute force: a million units, by features alone."""
    init, size = LAWS[law]
    rng = np.random.default_rng(3)
    x, x2 = rng.uniform(-size, size, (5, init.inputs)), rng.uniform(-size, size, (4, init.inputs))
    x2[0] = x[0]
    w, b, _ = init.sample(200_000, rng)
    features, features2 = (activation.value(points @ w.T + b) for points in (x, x2))
    mean = features @ features2.T / b.size
    error = np.sqrt(((features**2 @ (features2**2).T) / b.size - mean**2) / b.size)
    kernel = input_kernel(init, activation, 2**13, 0)
    assert not isinstance(kernel, SampledKernel)
    assert (np.abs(kernel.matrix(x, x2) - mean) <= 5 * error).all()


@pytest.mark.parametrize("law", LAWS)
def test_gradients_are_those_of_the_values(law):
    init, size = LAWS[law]
    rng = np.random.default_rng(4)
    d, h = init.inputs, 1e-5
    x, centres, weights = rng.uniform(-size, size, (6, d)), rng.uniform(-size, size, (5, d)), rng.standard_normal(5)
    centres[0, 1:] = x[0, 1:]  # equal in all inputs but one
    kernel = input_kernel(init, sb.LeakyReLU(0.2), 2**10, 0)
    steps = h * np.eye(d)
    both = [np.stack([kernel.combination(x + s * step, centres, weights) for step in steps], axis=1) for s in (1, -1)]
    np.testing.assert_allclose(kernel.gradient(x, centres, weights), (both[0] - both[1]) / (2 * h), atol=2e-9)


def test_the_two_forms_of_the_uniform_kernel_are_one_where_both_hold():
    """By direction of w, and in closed form: they share no formula but that in b."""
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (30, 2))
    closed = input_kernel(sb.Initialization.pytorch_default(dim=2), sb.ReLU(), 2**10, 0)
    by_angle = PlaneKernel(sb.ReLU(), 2**-0.5, 2**-0.5)
    np.testing.assert_allclose(closed.matrix(x, x), by_angle.matrix(x, x), rtol=1e-12)
    sphere, by_turn = input_kernel(SPHERE, sb.ReLU(), 2**10, 0), PlaneKernel(sb.ReLU(), 1.5, None)
    np.testing.assert_allclose(sphere.matrix(x, x), by_turn.matrix(x, x), rtol=1e-12)


def test_closed_forms_do_not_cancel_where_points_share_coordinates():
    """z_i -> 0 in E|w z|^3: the values are continuous to rounding."""
    for dim in (2, 3, 4, 5):
        kernel = input_kernel(sb.Initialization.uniform(1.0, 9.0, dim=dim), sb.ReLU(), 2**10, 0)
        x, x2 = np.full((1, dim), 0.3), np.zeros((1, dim))
        x[0, -1] = 0.0
        limit = kernel.matrix(x, x2)
        for gap in 10.0 ** -np.arange(4, 13):
            x[0, -1] = gap
            np.testing.assert_allclose(kernel.matrix(x, x2), limit, rtol=gap + 1e-14)


def test_one_input_as_a_matrix_is_the_line():
    x, y = [-1.0, 0.0, 0.4, 1.0], [0.0, 1.0, 0.3, 0.0]
    line = sb.predict(sb.Problem(sb.Dataset(x, y), sb.Initialization.gaussian()))
    problem = sb.Problem(sb.Points(np.array(x)[:, None], y), sb.Initialization.gaussian())
    with pytest.warns(UserWarning, match="Dataset"):
        found = sb.predict(problem)
    at = np.linspace(-2, 2, 9)
    np.testing.assert_array_equal(found.function(at[:, None]), line.function(at))
    np.testing.assert_array_equal(found.function.gradient(at[:, None])[:, 0], line.function(at, 1))


def test_presets_with_one_input_are_those_of_the_line():
    assert sb.Initialization.gaussian(2.0, 0.5, dim=1) == sb.Initialization.gaussian(2.0, 0.5)
    assert sb.Initialization.sphere(st.uniform(-1, 2), dim=1) == sb.Initialization.rademacher(st.uniform(-1, 2))
    assert sb.Initialization.pytorch_default(dim=1) == sb.Initialization.pytorch_default()


@pytest.mark.parametrize("affine", ["network", "free"])
def test_training_follows_its_differential_equation(affine):
    """f_t' at the data is -K W (f_t - y), by differences in time; affine functions are at their least squares."""
    points = sb.Points(X, Y, [1, 2, 1, 3, 1, 1, 2, 1])
    problem = sb.Problem(points, SPHERE, affine=affine)
    t, h = 200.0, 0.5
    before, here, after = sb.predict_path(problem, [t - h, t, t + h]).predictions
    w = points.weights / points.weights.sum()
    left = points.y - here.function(points.x)
    np.testing.assert_allclose((after.multipliers - before.multipliers) / (2 * h), w * left, rtol=1e-4, atol=1e-9)
    if affine == "free":
        assert np.abs(w * left @ np.c_[points.x, np.ones(8)]).max() < 1e-14
    late, limit = sb.predict(problem, time=1e12), sb.predict(problem)
    np.testing.assert_allclose(late.function(AT), limit.function(AT), rtol=1e-9)
    assert here.outcome is sb.Outcome.REACHED_TIME
    assert np.abs(sb.predict(problem, time=0).multipliers).max() == 0


def test_potentials_set_the_clock_and_nothing_else():
    plain, slow = (sb.Problem(POINTS, SPHERE, potential=p) for p in (sb.Quadratic(), sb.Power(4, quadratic=1)))
    np.testing.assert_allclose(
        sb.predict(slow, time=20.0).function(AT), sb.predict(plain, time=10.0).function(AT), rtol=1e-12
    )
    np.testing.assert_array_equal(sb.predict(slow).function(AT), sb.predict(plain).function(AT))


def test_start_functions_are_added_to_the_limit_of_the_residual():
    def start(x):
        return np.sin(x[..., 0]) + x[..., 1]

    found = sb.predict(sb.Problem(POINTS, SPHERE), start=start)
    np.testing.assert_allclose(found.function(POINTS.x), POINTS.y, atol=1e-13)
    alone = sb.predict(sb.Problem(sb.Points(X, Y - start(X)), SPHERE)).function
    np.testing.assert_allclose(found.function(AT), start(AT) + alone(AT), rtol=1e-12)
    with pytest.raises(sb.DataError, match="to values of shape"):
        sb.predict(sb.Problem(POINTS, SPHERE), start=lambda x: x)


def test_samples_say_how_sure_they_are():
    """A law with a closed form, given as a sampler: the error that is stated is that which is made."""

    class Gaussian:
        def sample(self, width, rng):
            return rng.standard_normal((width, 2)), rng.standard_normal(width)

    exact = sb.predict(sb.Problem(POINTS, sb.Initialization.gaussian(dim=2))).function(AT[:3])
    problem = sb.Problem(POINTS, sb.Initialization.from_sampler(Gaussian()))
    rough, fine = (sb.predict(problem, sb.PointsSolver(draws=draws)) for draws in (2**10, 2**16))
    for found in (rough, fine):
        error = np.abs(found.function(AT[:3]) - exact).max() / 0.5
        assert error < 4 * found.residual
        assert found.residual == found.stats["sampling_error"] < 30 * error
    assert fine.residual < rough.residual / 3
    assert rough.outcome is sb.Outcome.INACCURATE
    assert (
        np.abs(
            sb.predict(sb.Problem(POINTS, sb.Initialization.from_sampler(OwnUnits()))).function(POINTS.x) - POINTS.y
        ).max()
        < 1e-9
    )


def test_sobol_points_agree_with_the_closed_form():
    init = sb.Initialization.pytorch_default(dim=2)
    exact = input_kernel(init, sb.ReLU(), 64, 0).matrix(X, X)
    sampled = SampledKernel(sb.ReLU(), init.pair_law, 2**14, 0)
    np.testing.assert_allclose(sampled.matrix(X, X), exact, rtol=2e-5)
    np.testing.assert_array_equal(sampled.matrix(X, X.copy()), sampled.matrix(X, X))


def test_points_that_nearly_coincide_are_solved_or_said_to_be_inaccurate():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (60, 2))
    smooth = np.sin(x[:, 0] + 2 * x[:, 1])
    for gap, noise, ok in ((1e-2, 1e-2, True), (1e-9, 0.0, True), (1e-9, 1e-2, False)):
        points = sb.Points(np.r_[x, x + gap], np.r_[smooth, np.sin((x + gap) @ [1, 2]) + noise * rng.standard_normal(60)])
        found = sb.predict(sb.Problem(points, SPHERE))
        misfit = np.abs(found.function(points.x) - points.y).max()
        assert found.residual == pytest.approx(misfit / np.abs(points.y).max(), rel=0.1, abs=1e-12)
        assert found.outcome is (sb.Outcome.CONVERGED if ok else sb.Outcome.INACCURATE)


def test_one_hundred_thousand_points_are_refused_with_the_memory_that_they_would_take():
    x = np.random.default_rng(0).uniform(-1, 1, (100_000, 2))
    with pytest.raises(sb.CapabilityError, match="298 GiB"):
        sb.predict(sb.Problem(sb.Points(x, x[:, 0]), SPHERE))


@pytest.mark.parametrize(
    "solver", [sb.BandedSolver(), sb.DualSolver(), sb.KernelSolver(), sb.PowerSolver(), sb.GridSolver(100)], ids=repr
)
def test_solvers_of_the_line_refuse_by_name(solver):
    with pytest.raises(sb.CapabilityError, match="axis of breakpoints, of one input"):
        sb.predict(sb.Problem(POINTS, SPHERE), solver)


@pytest.mark.parametrize(
    "verb",
    [sb.gcv_time, sb.start_process],
    ids=["gcv_time", "start_process"],
)
def test_what_needs_a_line_refuses_points(verb):
    with pytest.raises(sb.CapabilityError, match="one input"):
        verb(sb.Problem(POINTS, SPHERE))


def test_what_the_solver_of_points_refuses():
    with pytest.raises(sb.CapabilityError, match="two-slope"):
        sb.predict(sb.Problem(POINTS, SPHERE, sb.ReLUPower(2)))
    with pytest.raises(sb.CapabilityError, match="quadratic problems only"):
        sb.predict(sb.Problem(POINTS, SPHERE, potential=sb.Scaled(sb.Power(4, quadratic=1))))
    with pytest.raises(sb.CapabilityError, match="of one input leave"):
        sb.predict(sb.Problem(sb.Dataset([0, 1], [0, 1]), sb.Initialization.gaussian()), sb.PointsSolver())
    with pytest.raises(sb.DataError, match="no hyperplane holds"):
        sb.predict(sb.Problem(sb.Points(np.c_[X[:, 0], X[:, 0]], Y), SPHERE, affine="free"))
    with pytest.raises(sb.DataError, match="take dim=2"):
        sb.Problem(POINTS, sb.Initialization.gaussian())


def test_results_show_themselves_in_words_and_refuse_tables(tmp_path):
    found, run = sb.predict(sb.Problem(POINTS, SPHERE)), sb.train(sb.Problem(POINTS, SPHERE), 30, loss_tol=1e-2)
    for result in (found, run):
        assert "8 points" in result._repr_html_()
        np.testing.assert_array_equal(result(AT), result.function(AT))
        for refused in (result.plot, result.to_frame):
            with pytest.raises(sb.CapabilityError, match="one input"):
                refused()
    run.save(tmp_path / "run")
    np.testing.assert_array_equal(sb.load(tmp_path / "run").function(AT), run.function(AT))
    np.testing.assert_allclose(run.change(AT), run.function(AT) - run.start.function()(AT), atol=1e-12)


@pytest.mark.parametrize("inputs", [2, 3])
def test_radon_curvature_is_that_of_the_radon_transform(inputs):
    """R{(-Delta)^((d + 1)/2) |x - x_i|^3} = -A/2 |c - V.x_i| by Fourier transforms; integrated."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-0.5, 0.5, (9, inputs)), rng.standard_normal(9)
    law = sb.Initialization.sphere(st.uniform(-1.5, 3), dim=inputs)
    limit = sb.predict(sb.Problem(sb.Points(x, y), law, affine="free"))
    twin = RBFInterpolator(x, y, kernel="cubic", degree=1)
    cubes = np.asarray(twin._coeffs)[: len(x), 0]  # of |x - x_i|^3
    directions = st.norm.ppf(st.qmc.Sobol(inputs, rng=1).random(2**12))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    at = np.sort(directions @ x.T, axis=1)
    order = np.argsort(directions @ x.T, axis=1)
    nodes, weights = np.polynomial.legendre.leggauss(2)  # the transform is linear between data
    c = at[:, :-1, None] + np.diff(at)[..., None] * (nodes + 1) / 2
    transform = (np.abs(c[..., None] - at[:, None, None, :]) * cubes[order][:, None, None, :]).sum(-1)
    squares = (transform**2 * weights / 2).sum(-1) * np.diff(at)
    size = 2 ** (inputs + 3) * np.pi ** (inputs / 2) * gamma((inputs + 3) / 2) / gamma(-1.5)
    area = 2 * np.pi ** (inputs / 2) / gamma(inputs / 2)
    expected = area * (size / 2) ** 2 * squares.sum(axis=1).mean()
    assert limit.function.radon_curvature() == pytest.approx(expected, rel=2e-3)
    density = 1 / (3 * area)
    assert limit.function.radon_curvature() == pytest.approx(
        (2 * (2 * np.pi) ** (inputs - 1)) ** 2 * density * limit.penalty
    )
    other = sb.predict(sb.Problem(sb.Points(x, y), law)).function
    with pytest.raises(sb.CapabilityError, match="free affine part"):
        other.radon_curvature()


def test_the_radon_curvature_of_a_sum_is_that_of_all_its_cubes():
    points = [sb.Points(x, np.sin(x.sum(axis=1))) for x in np.random.default_rng(1).uniform(-0.5, 0.5, (2, 7, 2))]
    one, two = (sb.predict(sb.Problem(data, SPHERE, affine="free")).function for data in points)
    whole = PointFunctionSum((one, two), (1.0, -2.0)).radon_curvature()
    parts = one.radon_curvature(), two.radon_curvature(), PointFunctionSum((one, two)).radon_curvature()
    cross = (parts[2] - parts[0] - parts[1]) / 2
    assert whole == pytest.approx(parts[0] + 4 * parts[1] - 4 * cross, rel=1e-9)
    assert PointFunctionSum((one, one), (1.0, -1.0)).radon_curvature() == pytest.approx(0, abs=1e-9 * parts[0])
    network = sb.Network.sample(sb.Problem(points[0], SPHERE), 20, 0).function()
    started = sb.predict(sb.Problem(points[0], SPHERE, affine="free"), start=network).function
    with pytest.raises(sb.CapabilityError, match=r"needs all parts as \|x - x_i\|\^3.*parts\[-1\]"):
        started.radon_curvature()
    assert started.parts[-1].radon_curvature() > 0
    both = sb.Problem(
        points[0], sb.Initialization(pair=SPHERE.pair, output=st.norm()), affine="free", parameterization=sb.NTK()
    )
    for function in (network, sb.predict(both).function):
        with pytest.raises(sb.CapabilityError, match="only limits with w on the sphere"):
            function.radon_curvature()
