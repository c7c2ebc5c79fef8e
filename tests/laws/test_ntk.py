"""Networks that train both layers: their tangent kernel, the limit it gives, and the networks that approach it."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import scipy.stats as st
import torch
from marks import nightly
from problems import LAWS, SET_A, UNIFORM
from scipy.linalg import expm

import splinebias as sb
from splinebias.limit.kernels.tangent import limit_kernel
from splinebias.networks.network import Network
from splinebias.training.losses import SquaredLoss
from splinebias.training.mirror_map import MirrorMap

LINE = np.linspace(-2.28, 2.27, 92)  # no data and no ends of a support among them
OUTPUT = st.norm(0, 0.8)
INITS = {
    "gaussian": sb.Initialization(st.norm(0, 1.3), st.norm(0, 0.7), OUTPUT),
    "pytorch": sb.Initialization(st.uniform(-1, 2), st.uniform(-1, 2), sb.Rademacher()),
    "signs": sb.Initialization(sb.Rademacher(), st.uniform(-2, 4), OUTPUT),
    "one-sided": sb.Initialization(sb.Discrete((0.5, 2.0), (0.3, 0.7)), st.norm(), OUTPUT),
    "bias-atoms": sb.Initialization(st.norm(), sb.Discrete((-1.0, 0.7), (0.4, 0.6)), OUTPUT),
}
POWERS = {"power-2": sb.ReLUPower(2), "power-3": sb.ReLUPower(3)}
ACTIVATIONS = {"relu": sb.ReLU(), "abs": sb.Abs(), "leaky": sb.LeakyReLU(0.3), "power-2": POWERS["power-2"]}


def problem_of(init: str, activation: str = "relu", **options: object) -> sb.Problem:
    data = options.pop("data", SET_A)
    return sb.Problem(data, INITS[init], (ACTIVATIONS | POWERS)[activation], parameterization=sb.NTK(), **options)  # type: ignore[arg-type]


class RawNetwork:
    """f = n^(-1/2) (sum a sigma(w x + b) + d) with its parameters (w, b, a, d) as they are, differentiated by torch."""

    def __init__(self, problem: sb.Problem, width: int, seed: int) -> None:
        draw = problem.initialization.sample(width, np.random.default_rng(seed))
        self.theta = torch.tensor(np.concatenate([*draw, [0.0]]), requires_grad=True)
        self.width, self.activation = width, problem.activation

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        w, b, a = self.theta[:-1].reshape(3, -1)
        z = x[:, None] * w + b
        if isinstance(self.activation, sb.ReLUPower):
            features = torch.relu(z) ** self.activation.power
        else:
            features = z * torch.where(z > 0, z.new_tensor(self.activation.right), z.new_tensor(self.activation.left))
        return (features @ a + self.theta[-1]) / math.sqrt(self.width)

    def jacobian(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.autograd.grad(value, self.theta, retain_graph=True)[0] for value in self(x)])


class TestKernel:
    @pytest.mark.parametrize("activation", ["relu", "abs", "leaky"])
    @pytest.mark.parametrize("scales", [(1.0, 1.0), (1.3, 0.7), (0.2, 3.0)], ids=str)
    def test_closed_form_for_gaussian_laws(self, activation: str, scales: tuple[float, float]) -> None:
        """Arc-cosine kernels against quadrature over the law of breakpoints."""
        init = sb.Initialization(st.norm(0, scales[0]), st.norm(0, scales[1]), OUTPUT)
        problem = sb.Problem(SET_A, init, ACTIVATIONS[activation], parameterization=sb.NTK())
        other = np.array([-3.0, 0.4])
        terms = limit_kernel(problem)
        outer, hidden = terms.outer.matrix(SET_A.x, other), terms.hidden.matrix(SET_A.x, other)
        by_quadrature = outer + 0.8**2 * (np.outer(SET_A.x, other) + 1) * hidden
        np.testing.assert_allclose(sb.tangent_kernel(problem, SET_A.x, other), by_quadrature, rtol=1e-10, atol=1e-12)

    def test_one_point(self) -> None:
        problem = sb.Problem(SET_A, UNIFORM)
        (alone,), (beside, *_) = sb.tangent_kernel(problem, [0.3])[0], sb.tangent_kernel(problem, [0.3, 0.9])[0]
        assert alone == pytest.approx(beside, rel=1e-14)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("init", ["gaussian", "signs"])
    def test_kernel_of_wide_networks(self, init: str, activation: str) -> None:
        """The empirical kernel J J^T, by automatic differentiation, approaches it as n^(-1/2)."""
        problem = problem_of(init, activation)
        limit, x = sb.tangent_kernel(problem, SET_A.x), torch.tensor(SET_A.x)
        widths, errors = np.array([100, 400, 1600, 6400]), []
        for width in widths.tolist():
            found = [RawNetwork(problem, width, seed).jacobian(x) for seed in range(12)]
            errors.append(np.mean([np.abs((j @ j.mT).numpy() - limit).max() for j in found]))
        assert np.polyfit(np.log(widths), np.log(errors), 1)[0] == pytest.approx(-0.5, abs=0.12)
        assert errors[-1] < 0.1 * np.abs(limit).max()

    def test_standard_networks_have_the_first_term(self) -> None:
        tiny = sb.Initialization(st.norm(0, 1.3), st.norm(0, 0.7), sb.Constant(1e-8))
        both = sb.tangent_kernel(sb.Problem(SET_A, tiny, parameterization=sb.NTK()), SET_A.x)
        np.testing.assert_allclose(sb.tangent_kernel(sb.Problem(SET_A, tiny), SET_A.x), both, rtol=1e-12)

    def test_refusals(self) -> None:
        with pytest.raises(sb.DataError, match="`x` must be one-dimensional"):
            sb.tangent_kernel(problem_of("signs"), 1.0)
        with pytest.raises(sb.DataError, match="`problem` must be an sb.Problem"):
            sb.tangent_kernel(SET_A, SET_A.x)
        with pytest.raises(sb.DataError, match="`x2` must be finite, got nan at index 1"):
            sb.tangent_kernel(problem_of("signs"), SET_A.x, [0.0, math.nan])
        with pytest.raises(sb.DataError, match="`x` must hold at least one point"):
            sb.tangent_kernel(problem_of("signs"), [])
        for tolerance in ("a", 0.0, -1e-8, math.nan):
            with pytest.raises(sb.DataError, match="`tolerance` must be a finite real number > 0"):
                sb.KernelSolver(tolerance=tolerance)  # type: ignore[arg-type]
        heavy = sb.Initialization(st.t(4.5), st.norm(), OUTPUT)
        with pytest.raises(sb.DataError, match="needs a finite moment of order 6 of the `weight` law"):
            sb.tangent_kernel(sb.Problem(SET_A, heavy, sb.ReLUPower(3), parameterization=sb.NTK()), SET_A.x)


class TestLimit:
    @pytest.mark.parametrize("affine", ["network", "free"])
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("init", INITS)
    def test_function_is_the_combination_of_kernels(self, init: str, activation: str, affine: str) -> None:
        problem = problem_of(init, activation, affine=affine)
        prediction = sb.predict(problem)
        assert prediction.stats["solver"] == "KernelSolver"
        assert prediction.outcome is sb.Outcome.CONVERGED
        assert prediction.residual < 1e-10
        points = np.r_[SET_A.x, LINE]
        rest = prediction.function(points) - limit_kernel(problem).matrix(points, SET_A.x) @ prediction.multipliers
        if affine == "free":
            moments = [prediction.multipliers.sum(), prediction.multipliers @ SET_A.x]
            assert np.abs(moments).max() < 1e-9 * np.abs(prediction.multipliers).max()
            rest -= np.polyval(np.polyfit(points, rest, 1), points)
        size = np.abs(prediction.function(points)).max()
        assert np.abs(rest).max() < 1e-10 * size
        np.testing.assert_allclose(prediction.function(SET_A.x), SET_A.y, rtol=0, atol=1e-10)
        assert prediction.penalty == pytest.approx(prediction.multipliers @ SET_A.y, rel=1e-8)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("init", ["gaussian", "signs"])
    def test_derivatives_between_knots(self, init: str, activation: str) -> None:
        f = sb.predict(problem_of(init, activation)).function
        h = 1e-4
        for nu in (0, 1):
            slope = (8 * (f(LINE + h, nu) - f(LINE - h, nu)) - f(LINE + 2 * h, nu) + f(LINE - 2 * h, nu)) / (12 * h)
            np.testing.assert_allclose(f(LINE, nu + 1), slope, rtol=0, atol=1e-8 * np.abs(f(LINE, nu + 1)).max())

    @pytest.mark.parametrize("activation", ["relu", "abs", "leaky"])
    @pytest.mark.parametrize("init", INITS)
    def test_kinks_sit_at_the_data(self, init: str, activation: str) -> None:
        r"""The slope jumps at x_i by -E[a^2] (p - q)^2 lambda_i (1 + x_i^2) p_C(x_i): theory of the hidden-layer term."""
        problem = problem_of(init, activation)
        prediction = sb.predict(problem)
        f, x, kink = prediction.function, SET_A.x[1:-1], problem.activation.kink
        moment = problem.initialization.output_second_moment
        density = problem.initialization.breakpoint_density(x)
        expected = -moment * kink**2 * prediction.multipliers[1:-1] * (1 + x**2) * density
        below = np.nextafter(x, -np.inf)
        size = np.abs(expected).max()
        np.testing.assert_allclose(f(x, 1) - f(below, 1), expected, rtol=0, atol=1e-8 * size)
        loss = 1e-15 * np.linalg.cond(sb.tangent_kernel(problem, SET_A.x))  # what the dense solve cannot know
        np.testing.assert_allclose(f(x), f(below), rtol=0, atol=max(loss, 1e-13))

    def test_small_output_weights_give_the_weighted_spline(self) -> None:
        """E[a^2] -> 0 leaves the first term alone: error O(E[a^2])."""
        spline = sb.predict(sb.Problem(SET_A, LAWS["gaussian"])).function
        moments, errors = np.array([1e-4, 1e-5, 1e-6]), []
        for moment in moments:
            init = sb.Initialization(st.norm(0, 1.3), st.norm(0, 0.7), sb.Constant(math.sqrt(moment)))
            f = sb.predict(sb.Problem(SET_A, init, parameterization=sb.NTK())).function
            errors.append(np.abs(f(LINE) - spline(LINE)).max())
        assert np.polyfit(np.log(moments), np.log(errors), 1)[0] == pytest.approx(1, abs=0.05)

    def test_scaled_quadratic_is_gradient_descent_too(self) -> None:
        plain, scaled = sb.predict(problem_of("signs")), sb.predict(problem_of("signs", potential=sb.Scaled(sb.Quadratic())))
        np.testing.assert_array_equal(plain.function(LINE), scaled.function(LINE))
        assert scaled.penalty == plain.penalty / 2


class TestTrajectory:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("init", INITS)
    def test_is_the_matrix_exponential(self, init: str, activation: str) -> None:
        r"""f_t = K(., X) K^-1 (I - exp(-t K W)) y with the weights of replicates, against scipy's expm."""
        data = sb.Dataset(SET_A.x, SET_A.y, [1, 3, 1, 2, 5])
        problem = problem_of(init, activation, data=data)
        path = sb.predict_path(problem, [0.3, 10.0, 1000.0])
        assert path.outcome is sb.Outcome.REACHED_TIME
        kernel, cross = sb.tangent_kernel(problem, SET_A.x), sb.tangent_kernel(problem, LINE, SET_A.x)
        weights = data.weights / data.weights.sum()
        for t, values in zip(path.times, path(LINE), strict=True):
            left = expm(-t * kernel * weights)
            exact = cross @ np.linalg.solve(kernel, SET_A.y - left @ SET_A.y)
            np.testing.assert_allclose(values, exact, rtol=0, atol=1e-15 * np.linalg.cond(kernel) * np.abs(exact).max())

    @pytest.mark.parametrize("affine", ["network", "free"])
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_obeys_its_differential_equation(self, activation: str, affine: str) -> None:
        r"""lambda' = -W r, and with a free line lambda stays orthogonal to lines and r is the least-squares residual."""
        data = sb.Dataset(SET_A.x, SET_A.y, [1, 3, 1, 2, 5])
        problem = problem_of("gaussian", activation, data=data, affine=affine)
        weights, t, h = data.weights / data.weights.sum(), 20.0, 1e-2
        before, now, after = sb.predict_path(problem, [t - h, t, t + h]).predictions
        slope = (after.multipliers - before.multipliers) / (2 * h)
        residual = now.function(SET_A.x) - SET_A.y
        np.testing.assert_allclose(slope, -weights * residual, rtol=0, atol=1e-6 * np.abs(slope).max())
        assert now.stats["loss"] == pytest.approx(float(weights @ residual**2) / 2, rel=1e-12)
        if affine == "free":
            assert np.abs([now.multipliers.sum(), now.multipliers @ SET_A.x]).max() < 1e-13 * np.abs(now.multipliers).max()

    @pytest.mark.parametrize("init", INITS)
    def test_starts_at_zero_and_ends_at_the_limit(self, init: str) -> None:
        problem = problem_of(init)
        path = sb.predict_path(problem, [0.0, 1e9, math.inf])
        assert path.predictions[0].outcome is path.predictions[1].outcome is sb.Outcome.REACHED_TIME
        assert np.abs(path.functions[0](LINE)).max() < 1e-15
        limit = path.functions[2](LINE)
        np.testing.assert_allclose(path.functions[1](LINE), limit, rtol=0, atol=1e-9 * np.abs(limit).max())

    def test_replicates_are_weights(self) -> None:
        """Three points of weight one at equal x move as one of weight three."""
        x = np.r_[SET_A.x, 0.2, 0.2]
        y = np.r_[SET_A.y, 0.4, -0.1]
        grouped = sb.predict(problem_of("signs", data=sb.Dataset.from_replicates(x, y)), time=7.0)
        kernel = sb.tangent_kernel(problem_of("signs"), x)  # singular: equal rows
        rates, modes = np.linalg.eigh(kernel / x.size)
        moved = np.array([7.0 if abs(s) < 1e-14 else -math.expm1(-7.0 * s) / s for s in rates])
        exact = sb.tangent_kernel(problem_of("signs"), LINE, x) @ (modes @ (moved * (modes.T @ y))) / x.size
        np.testing.assert_allclose(grouped.function(LINE), exact, rtol=0, atol=1e-12)

    def test_too_many_points(self) -> None:
        x = np.linspace(-1, 1, 1001)
        with pytest.raises(sb.CapabilityError, match=r"with ReLU\(\) and NTK\(\) are for at most 1000 points, got 1001"):
            sb.predict(problem_of("signs", data=sb.Dataset(x, x)), time=1.0)

    def test_rounding_of_the_rates_is_reported(self) -> None:
        """Slow modes of a kernel of condition 1e20 are rounding: after their time no function is known, and it says so."""
        x = np.linspace(-1, 1, 60)
        problem = problem_of("gaussian", "power-3", data=sb.Dataset(x, np.sin(9 * x)))
        early, late = sb.predict_path(problem, [10.0, 1e12]).predictions
        assert early.outcome is sb.Outcome.REACHED_TIME
        assert late.outcome is sb.Outcome.INACCURATE

    @pytest.mark.parametrize("activation", ["relu", "abs"])
    def test_networks_approach_it(self, activation: str) -> None:
        """At t = 5, with replicates: error n^(-1/2)."""
        data = sb.Dataset(SET_A.x, 0.1 * SET_A.y, [1, 3, 1, 2, 5])
        problem = problem_of("gaussian", activation, data=data)
        limit, widths, errors = sb.predict(problem, time=5.0).function, np.array([400, 1600, 6400]), []
        for width in widths.tolist():
            flow = sb.MirrorFlow(rtol=1e-4, time=5.0)
            runs = [sb.train(problem, width, seed, method=flow, loss_tol=1e-30) for seed in range(16)]
            errors.append(np.mean([sb.compare(run.function, limit, (-1.2, 1.2)).sup for run in runs]))
        assert np.polyfit(np.log(widths), np.log(errors), 1)[0] == pytest.approx(-0.5, abs=0.15)


def _distance(problem: sb.Problem, run: sb.Training) -> float:
    """Squared distance between the parameters at the end and at the start, output weights in units of n^(-1/2)."""
    start = Network.sample(problem, run.width, run.seed).theta
    unit = MirrorMap.of([problem], run.width, start).unit
    return float((((run.network.theta - start) / unit) ** 2).sum())


class TestNetwork:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_metric_is_the_kernel_of_the_raw_network(self, activation: str) -> None:
        """Output weights are kept times n^(-1/2) and move 1/n times as fast: the same J D J^T."""
        problem, x = problem_of("gaussian", activation), torch.tensor(SET_A.x)
        raw, network = RawNetwork(problem, 40, 3), Network.sample(problem, 40, 3)
        jacobian = raw.jacobian(x)
        mirror = MirrorMap.of([problem], 40, network.theta)
        gram = network.linearize(x).gram(mirror.inverse_hessian(network.theta))
        torch.testing.assert_close(gram, jacobian @ jacobian.mT, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(network(x), torch.zeros_like(x), rtol=0, atol=1e-14)  # antisymmetric pairs
        torch.testing.assert_close(raw(x), torch.zeros_like(x), rtol=0, atol=1e-14)

    @pytest.mark.parametrize("activation", ["relu", "power-2"])
    def test_descent_takes_the_steps_of_the_raw_network(self, activation: str) -> None:
        problem, rate, steps = problem_of("gaussian", activation), 0.05, 25
        run = sb.train(problem, 30, 1, method=sb.MirrorDescent(learning_rate=rate, max_steps=steps))
        raw = RawNetwork(problem, 30, 1)
        x, y = torch.tensor(SET_A.x), torch.tensor(SET_A.y)
        for _ in range(steps):
            loss = ((raw(x) - y) ** 2).mean() / 2
            (gradient,) = torch.autograd.grad(loss, raw.theta)
            raw.theta = (raw.theta - rate * gradient).detach().requires_grad_()
        line = torch.linspace(-2, 2, 41, dtype=torch.float64)
        torch.testing.assert_close(run.network(line), raw(line).detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(run.function(line.numpy()), raw(line).detach().numpy(), rtol=0, atol=1e-12)
        assert run.time == pytest.approx(rate * steps, rel=1e-12)

    def test_time_of_the_flow_is_that_of_descent(self) -> None:
        """t = sum of learning rates: after t = 3 the residual has decayed as exp(-3 K/M), up to O(1/n)."""
        problem, width = problem_of("gaussian", data=sb.Dataset(SET_A.x, 1e-3 * SET_A.y)), 4000
        flow = sb.train(problem, width, method=sb.MirrorFlow(rtol=1e-6, time=3.0), loss_tol=1e-30)
        network = Network.sample(problem, width, 0)
        x = torch.tensor(SET_A.x)
        kernel = network.linearize(x).gram(MirrorMap.of([problem], width, network.theta).inverse_hessian(network.theta))
        operator = SquaredLoss.of(problem, network.theta).operator(kernel)
        y = torch.tensor(problem.data.y)
        expected = y - torch.linalg.matrix_exp(-3 * operator) @ y
        assert flow.time == pytest.approx(3.0, rel=1e-12)
        np.testing.assert_allclose(flow.function(SET_A.x), expected.numpy(), rtol=0, atol=1e-3 * np.abs(y.numpy()).max())

    @pytest.mark.parametrize("activation", [nightly("relu"), "abs"])
    def test_networks_approach_the_limit(self, activation: str) -> None:
        """Function and squared distance of all parameters from the start: error n^(-1/2).

        Small ordinates keep the O(1/n) corrections of moving features below that.
        """
        problem = problem_of("gaussian", activation, data=sb.Dataset(SET_A.x, 0.1 * SET_A.y))
        limit, widths = sb.predict(problem), np.array([1600, 6400, 25600])
        errors = np.zeros((2, 3))
        for column, width in enumerate(widths.tolist()):
            runs = [sb.train(problem, width, seed, method=sb.MirrorFlow(rtol=1e-3), loss_tol=1e-16) for seed in range(16)]
            assert all(run.outcome is sb.Outcome.CONVERGED for run in runs)
            errors[0, column] = np.mean([sb.compare(run.function, limit.function, (-1.2, 1.2)).sup for run in runs])
            errors[1, column] = np.mean([abs(_distance(problem, run) - limit.penalty) for run in runs])
        for error in errors:
            assert np.polyfit(np.log(widths), np.log(error), 1)[0] == pytest.approx(-0.5, abs=0.15)
        assert errors[1, -1] < 0.1 * limit.penalty

    def test_odd_widths_are_refused(self) -> None:
        with pytest.raises(sb.DataError, match="`width` must be even for antisymmetric pairs"):
            sb.train(problem_of("signs"), 11)


class TestProblem:
    def test_toml_and_pickle_round_trips(self) -> None:
        problem = problem_of("gaussian", "leaky")
        again = sb.Problem.from_toml(problem.to_toml())
        assert again == problem == pickle.loads(pickle.dumps(problem))
        assert again.to_toml() == problem.to_toml()
        standard = sb.Problem(SET_A, INITS["gaussian"], ACTIVATIONS["leaky"])
        assert problem != standard == sb.Problem.from_toml(standard.to_toml())
        assert "NTK()" in problem.describe()
        assert "Standard" not in standard.describe()

    def test_bad_parameterizations_are_refused(self) -> None:
        for wrong in ("ntk", sb.NTK, None):
            with pytest.raises(
                sb.DataError, match=r"`parameterization` must be sb.Standard\(\), sb.NTK\(\) or sb.MeanField\(1.0\)"
            ):
                sb.Problem(SET_A, UNIFORM, parameterization=wrong)  # type: ignore[arg-type]
        text = sb.Problem(SET_A, UNIFORM).to_toml().replace('"standard"', '"mup"')
        wanted = "`parameterization.name` must be one of standard, ntk, mean_field, got 'mup'"
        with pytest.raises(sb.DataError, match=wanted):
            sb.Problem.from_toml(text)

    @pytest.mark.parametrize("output", [None, sb.Constant(0.0)], ids=str)
    def test_output_weights_need_a_law(self, output: sb.Constant | None) -> None:
        init = sb.Initialization(sb.Rademacher(), st.uniform(-1, 2), output)
        with pytest.raises(sb.DataError, match=r"NTK\(\) needs a law of output weights with E\[a\^2\] > 0"):
            sb.Problem(SET_A, init, parameterization=sb.NTK())

    @pytest.mark.parametrize("solver", [sb.BandedSolver(), sb.DualSolver(), sb.GridSolver(50)], ids=str)
    def test_solvers_of_standard_networks_refuse(self, solver: sb.BandedSolver) -> None:
        with pytest.raises(
            sb.CapabilityError, match=r"takes Standard\(\) networks only, got NTK\(\); KernelSolver takes it"
        ):
            sb.predict(problem_of("signs"), solver)

    def test_power_solver_and_penalty_refuse(self) -> None:
        with pytest.raises(sb.CapabilityError, match=r"takes Standard\(\) networks only"):
            sb.predict(problem_of("signs", "power-2"), sb.PowerSolver())
        problem = problem_of("signs")
        f = sb.predict(problem).function
        with pytest.raises(sb.CapabilityError, match=r"penalty of a function is for Standard\(\) networks only, got NTK"):
            sb.penalty(f, problem)
        with pytest.raises(sb.CapabilityError, match=r"this needs sb.Standard\(\) networks"):
            problem.two_slopes  # noqa: B018 (what every computation with second derivatives asks for)

    @pytest.mark.parametrize("potential", [sb.Power(4, quadratic=1), sb.Scaled(sb.Hypentropy(1.0))], ids=str)
    def test_other_potentials_refuse(self, potential: sb.Power) -> None:
        with pytest.raises(sb.CapabilityError, match="no solver takes this problem.*sb.Quadratic"):
            sb.predict(problem_of("signs", potential=potential))
        with pytest.raises(sb.CapabilityError, match="finite training times cannot take this problem.*sb.Quadratic"):
            sb.predict(problem_of("signs", potential=potential), time=1.0)
