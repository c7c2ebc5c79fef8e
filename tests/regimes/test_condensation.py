"""Condensed orientations: where they are, that neurons go there, and what trained networks show of them."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from sets import C8, Z8
from splinebias.regimes.small_starts.leading_term import LeadingTerm

import splinebias as sb
from splinebias.activation import Activation, Smooth
from splinebias.regimes.small_starts.small_start import train_from_small_start

STARTS = np.random.default_rng(0).standard_normal((3, 3000))
SMOOTH = [sb.Tanh(), sb.XTanh(), sb.X2Tanh()]
EVERY = [*SMOOTH, sb.ReLU(), sb.Abs(), sb.LeakyReLU(-0.5), sb.ReLUPower(2), sb.ReLUPower(3)]


@pytest.mark.parametrize(
    ("activation", "angles", "signs"),
    [
        (sb.Tanh(), [0, 180], [1, -1]),
        (sb.XTanh(), [37.4, 127.4, 217.4, 307.4], [1, -1, 1, -1]),
        (sb.X2Tanh(), [51.7, 114.9, 168.8, 231.7, 294.9, 348.8], [1, -1, 1, -1, 1, -1]),
        (sb.ReLU(), [21.8, 145.0, 201.8, 325.0], [1, -1, 1, -1]),
    ],
    ids=str,
)
def test_orientations_of_eight_points(activation, angles, signs):
    found = sb.condensed_orientations(Z8, activation)
    np.testing.assert_allclose(found.angles, angles, atol=0.05)
    np.testing.assert_array_equal(found.signs, signs)


@pytest.mark.parametrize("activation", SMOOTH, ids=str)
def test_other_targets_have_two_orientations(activation):
    found = sb.condensed_orientations(C8, activation)
    assert found.angles.size == 2
    assert abs(found.angles[1] - found.angles[0] - 180) < 1e-9
    assert found.signs[0] * found.signs[1] == (-1) ** activation.multiplicity


@pytest.mark.parametrize("data", [Z8, C8], ids=["Z8", "C8"])
@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_they_are_the_extrema_that_a_fine_grid_finds(data, activation):
    found = sb.condensed_orientations(data, activation)
    grid = np.linspace(0, 360, 200_000, endpoint=False)
    u = np.stack([np.cos(np.radians(grid)), np.sin(np.radians(grid))])
    z = np.outer(data.x, u[0]) + u[1]
    power = getattr(activation, "multiplicity", None)
    level = data.y @ (activation.value(z) if power is None else z**power)
    before, after = level - np.roll(level, 1), np.roll(level, -1) - level
    tops = (before > 0) & (after <= 0) & (level > 1e-9)
    bottoms = (before < 0) & (after >= 0) & (level < -1e-9)
    np.testing.assert_allclose(found.angles, grid[tops | bottoms], atol=0.003)
    np.testing.assert_allclose(found.strengths, level[tops | bottoms], atol=2e-5)  # a step of the grid along a kink
    assert found.angles.size <= 2 * (power or found.angles.size)


def test_the_direction_of_multiplicity_one_is_a_mean():
    """v is proportional to sum y (x, 1), weights of the data counted."""
    data = sb.Dataset(C8.x, C8.y, np.arange(1.0, 9.0))
    pull = data.weights * data.y
    angle = np.degrees(np.arctan2(pull.sum(), pull @ data.x)) % 360
    found = sb.condensed_orientations(data, sb.Tanh())
    np.testing.assert_allclose(found.angles[found.signs > 0], [angle], rtol=1e-12)


def test_basins_of_balanced_starts_are_those_of_the_flow():
    """Balanced starts, sqrt(p) |a| = |(w, b)|, keep their sign: basins are arcs."""
    for activation in (sb.X2Tanh(), sb.Abs(), sb.ReLU()):
        found = sb.condensed_orientations(Z8, activation)
        theta = (np.arange(1000) + 0.5) * 2 * np.pi / 1000
        w, b, sign = np.tile(np.cos(theta), 2), np.tile(np.sin(theta), 2), np.repeat([1.0, -1.0], 1000)
        ended = found.decoupled(sign / np.sqrt(found.term.power), w, b)
        np.testing.assert_allclose(ended.shares, found.basins, atol=2e-3)


@pytest.mark.parametrize("activation", SMOOTH, ids=str)
def test_neurons_alone_end_at_all_of_the_orientations(activation):
    found = sb.condensed_orientations(Z8, activation)
    assert found.angles.size == 2 * activation.multiplicity
    ended = found.decoupled(*STARTS)
    assert ended.alive.all()
    assert ended.errors.max() < 1e-4
    assert abs(ended.shares.sum() - 1) < 1e-12
    if activation.multiplicity > 1:
        assert 0.13 < ended.shares.min() < ended.shares.max() < 0.29


def test_neurons_alone_move_as_their_flow_in_time_does():
    """Beside the flow in angles: a' = Q, h' = a grad Q in plain time, p = 1, where nothing blows up."""
    found, pull = sb.condensed_orientations(Z8, sb.Tanh()), np.array([Z8.y @ Z8.x, Z8.y.sum()])
    ended = found.decoupled(*STARTS[:, :6])
    for start, angle in zip(STARTS[:, :6].T, ended.angles, strict=True):
        flow = solve_ivp(lambda _, z: np.r_[z[1:] @ pull, z[0] * pull], (0, 80), start, rtol=1e-9, atol=1e-12)
        end = np.degrees(np.arctan2(flow.y[2, -1], flow.y[1, -1]))
        assert abs((end - angle + 180) % 360 - 180) < 1e-3


def test_relu_neurons_that_do_not_condense_are_dead():
    found = sb.condensed_orientations(Z8, sb.ReLU())
    ended = found.decoupled(*STARTS[:, :300])
    dead = np.radians(ended.angles[~ended.alive])
    assert 0 < dead.size < 150
    assert ended.errors[ended.alive].max() < 1e-4
    inactive = np.cos(dead)[:, None] * Z8.x + np.sin(dead)[:, None] <= 1e-9
    shrinking = np.abs(found.distances(ended.angles[~ended.alive], np.ones(dead.size))) > 1
    assert (inactive.all(axis=1) | shrinking.all(axis=1)).all()


def test_networks_condense_as_the_start_shrinks():
    errors = [train_from_small_start(Z8, sb.Tanh(), width=300, scale=scale).angle_error for scale in (1e-3, 1e-4, 1e-5)]
    assert 3 < errors[0] < 8
    assert 0.3 < errors[1] < 0.9
    assert errors[2] < 0.3


@pytest.mark.parametrize("activation", [sb.XTanh(), sb.X2Tanh()], ids=str)
def test_the_winner_takes_all_for_higher_multiplicity(activation):
    """One neuron carries the network though the start is near all 2p orientations; its error falls with the stop."""
    network = train_from_small_start(Z8, activation, width=100, scale=1e-5)
    assert network.outcome is sb.Outcome.CONVERGED
    assert network.participation < 1.3
    assert network.angle_error < 1.2
    sooner = train_from_small_start(Z8, activation, width=100, scale=1e-5, stop=2e-4)
    assert sooner.angle_error < 0.15 * network.angle_error
    assert network.cosines.shape == (100, 100)
    np.testing.assert_allclose(np.diag(network.cosines), 1)


@pytest.mark.parametrize("activation", [sb.Sigmoid(), sb.Softplus()], ids=str)
def test_a_value_at_zero_asks_for_targets_of_mean_zero(activation):
    with pytest.raises(sb.DataError, match=r"only if the mean of y is 0, got 0.0875; centre"):
        sb.condensed_orientations(C8, activation)
    same = sb.condensed_orientations(C8, sb.Centred(activation))
    np.testing.assert_allclose(same.angles, sb.condensed_orientations(C8, sb.Tanh()).angles)
    later, sooner = (train_from_small_start(Z8, activation, width=12, scale=1e-6, stop=stop) for stop in (2e-2, 1e-3))
    assert sooner.angle_error < 0.3 * later.angle_error < 0.6  # the next power, z^2/8, turns softplus by the root of `stop`
    centred = train_from_small_start(C8, sb.Centred(activation), width=50, scale=1e-5)
    assert centred.angle_error < 1


class Cubed(Smooth):
    """z^3: the multiplicity of x^2 tanh, its own leading term."""

    multiplicity, leading = 3, -2.0

    def value(self, z):
        return -2.0 * z**3

    def derivative(self, z):
        return -6.0 * z**2


class Unknown(Activation):
    """An activation that says nothing of its powers."""

    def value(self, z):
        return z

    def derivative(self, z):
        return 1.0


def test_activations_of_ones_own():
    own, known = (sb.condensed_orientations(Z8, activation) for activation in (Cubed(), sb.X2Tanh()))
    np.testing.assert_allclose(own.angles, known.angles)
    np.testing.assert_array_equal(own.signs, -known.signs)
    np.testing.assert_allclose(own.strengths, -2 * known.strengths)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sb.condensed_orientations(Z8, Unknown()), sb.CapabilityError, "needs an activation of known multiplicity"),
        (lambda: sb.condensed_orientations(Z8, sb.Tanh), sb.DataError, "call it: add ()"),
        (lambda: sb.condensed_orientations([1, 2], sb.Tanh()), sb.DataError, "`data` must be an sb.Dataset"),
        (lambda: sb.condensed_orientations(sb.Dataset([0, 1], [0, 0]), sb.Tanh()), sb.DataError, "does not see the data"),
        (lambda: sb.condensed_orientations(Z8, sb.Tanh()).decoupled([1], [0], [0]), sb.DataError, "must differ from zero"),
        (lambda: sb.condensed_orientations(Z8, sb.Tanh()).decoupled([1, 2], [0], [0]), sb.DataError, "must have one length"),
        (lambda: train_from_small_start(Z8, sb.ReLU(), width=9, scale=1e-3), sb.CapabilityError, "takes smooth activations"),
        (
            lambda: train_from_small_start(Z8, sb.Tanh(), width=9, scale=0),
            sb.DataError,
            "`scale` must be a finite real number > 0",
        ),
        (lambda: train_from_small_start(Z8, sb.Tanh(), width=9, scale=10), sb.DataError, "lower `scale`"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("power", [2, 5, 8, 12])
@pytest.mark.parametrize("spread", [1e-3, 1.0])
def test_data_far_away_pull_in_one_direction(power, spread):
    """Q is nearly cos^p there, whose slope has a zero of order p - 1."""
    x = 1000 + spread * np.array([-1.0, 0.0, 0.7, 2.0])
    found = sb.condensed_orientations(sb.Dataset(x, [1, -0.5, 0.3, 0.2]), sb.ReLUPower(power))
    assert found.angles.size >= 1
    strongest = np.abs(found.strengths).argmax()
    assert abs(found.angles[strongest] - np.degrees(1e-3)) < 1e-3
    assert found.strengths[strongest] == pytest.approx(1000**power, rel=0.05)
    assert np.abs(np.delete(found.strengths, strongest)).max(initial=0) < 1e-4 * 1000**power


def test_extrema_at_zero_are_no_orientations():
    """Q = cos^2: the minima at 90 and 270 degrees are zero to rounding."""
    found = sb.condensed_orientations(sb.Dataset([-1, 0, 1], [0.5, -1, 0.5]), sb.XTanh())
    np.testing.assert_allclose(found.angles, [0, 180], atol=1e-12)


def test_the_leading_term_has_its_slope():
    for activation in EVERY:
        term, theta = LeadingTerm.of(Z8, activation), np.linspace(0.05, 6.2, 50)
        slope = (term.value(theta + 1e-6) - term.value(theta - 1e-6)) / 2e-6
        np.testing.assert_allclose(term.slope(theta), slope, atol=1e-8)
