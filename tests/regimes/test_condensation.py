"""Condensed orientations: where they are, that neurons go there, and what trained networks show of them."""

import math

import numpy as np
import pytest
import scipy.stats as st
import torch
from scipy.integrate import solve_ivp
from sets import C8, Z8

import splinebias as sb
from splinebias.activation import Activation, Smooth
from splinebias.regimes.small_starts.leading_term import LeadingTerm
from splinebias.regimes.small_starts.small_start import expected_angle_error, flow_to_level
from splinebias.training.deep_start import train_deep_from_small_start

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


@pytest.mark.parametrize("activation", [sb.Tanh(), sb.Centred(sb.Sigmoid())], ids=str)
def test_the_error_of_networks_is_the_one_predicted(activation):
    """Of 4 networks of 300 neurons: in proportion to the start, to the inverse root of the stop, with that constant."""
    for scale, stop in ((3e-4, 0.02), (3e-5, 0.002)):
        options = {"width": 300, "scale": scale, "stop": stop}
        errors = [sb.train_from_small_start(Z8, activation, seed=seed, **options).angle_error for seed in range(4)]
        expected = expected_angle_error(Z8, activation, **options)
        assert abs(np.mean(errors) - expected) < 3 * 1.2 / np.sqrt(1200) * expected  # a mean of 1,200 products


def test_networks_of_multiplicity_one_show_both_orientations():
    network = sb.train_from_small_start(Z8, sb.Tanh(), width=300, scale=1e-5)
    assert network.outcome is sb.Outcome.CONVERGED and network.angle_error < 0.3
    assert len(network.directions()) == 2 and len(network.start.directions(share=0)) > 30
    assert network.participation > 50
    blocks = network.cosines[np.ix_(network.order, network.order)]
    assert (np.abs(blocks) > 0.99).mean() > 0.9
    assert (np.diff(np.sign(blocks[0])) != 0).sum() <= 2  # two blocks of one sign


@pytest.mark.parametrize("scale", [1e-3, 1e-5])
def test_relu_neurons_come_to_rest_where_sectors_meet(scale):
    """Through exact steps of neurons: the stop is met, and errors go to zero, not to a floor."""
    network = sb.train_from_small_start(Z8, sb.ReLU(), width=100, scale=scale)
    assert network.outcome is sb.Outcome.CONVERGED
    assert network.angle_error < 1e3 * scale
    units = sb.ReLU().value(np.outer(Z8.x, network.weights[:, 0]) + network.weights[:, 1]) @ network.a
    assert np.abs(units - units.mean()).max() == pytest.approx(0.02 * 0.6, rel=0.03)


def test_other_relu_orientations_show_when_the_first_has_fitted():
    """Coupled: at 2 % the strongest carries the network; once it has fitted, the one on the other side does."""
    law = sb.Initialization(st.norm(0, 1e-6), st.norm(0, 1e-6), output=st.norm(0, 1e-5), antisymmetric=False)
    predicted = sb.condensed_orientations(Z8, sb.ReLU())
    heaviest = []
    for share in (0.02, 0.2):
        tol = (1 - share) * np.mean(Z8.y**2) / 2
        run = sb.train(sb.Problem(Z8, law, sb.ReLU()), 100, method=sb.NeuronFlow(), loss_tol=tol)
        found = sb.condensation(run, predicted)
        assert found.angle_error < 0.1
        assert found.shares.sum() == pytest.approx(1)
        heaviest.append(found.shares.argmax())
    assert predicted.strengths[heaviest[0]] == predicted.strengths.max()
    assert abs(predicted.angles[heaviest[1]] - predicted.angles[heaviest[0]]) == pytest.approx(180, abs=1)


def test_output_biases_fit_the_mean_before_neurons_turn():
    centred = C8.with_ordinates(C8.y - C8.y.mean())
    for activation, width in ((sb.ReLU(), 100), (sb.Tanh(), 100), (sb.Sigmoid(), 12)):
        network = sb.train_from_small_start(C8, activation, width=width, scale=1e-5, stop=2e-3, output_bias=True)
        expected = sb.condensed_orientations(centred, activation).angles
        np.testing.assert_allclose(network.orientations.angles, expected, atol=1e-9)
        assert network.angle_error < 0.5
        if activation == sb.Tanh():
            assert (
                sb.condensation((*network.weights.T, network.a), sb.condensed_orientations(C8, activation)).angle_error > 5
            )


FIVE = sb.Points(
    X := np.random.default_rng(0).standard_normal((40, 5)), np.sin(X @ [1, 0.5, 0, -0.3, 0.2]) + 0.1 * X[:, 0] ** 2
)

SQUARE = sb.Points([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]], [1, 1, 1, 1, -4])


@pytest.mark.parametrize("activation", [sb.Tanh(), sb.XTanh()], ids=str)
def test_five_inputs(activation):
    """Orientations are the extrema that ascent from random directions finds, and networks condense there."""
    predicted = sb.condensed_orientations(FIVE, activation)
    p, rows = activation.multiplicity, np.c_[FIVE.x, np.ones(FIVE.size)]
    assert len(predicted.directions) == 2 * p
    u = np.random.default_rng(1).standard_normal((200, 6))
    for sign in (1, -1):
        z = u / np.linalg.norm(u, axis=1, keepdims=True)
        for _ in range(3000):
            z = z + sign * 1e-2 * (FIVE.y * (z @ rows.T) ** (p - 1)) @ rows
            z /= np.linalg.norm(z, axis=1, keepdims=True)
        assert predicted.away(z, np.full(200, sign)).min(axis=1).max() < 1e-3
    np.testing.assert_allclose((FIVE.y * (predicted.directions @ rows.T) ** p).sum(1), predicted.strengths)
    network = sb.train_from_small_start(FIVE, activation, width=100, scale=1e-5)
    assert network.angle_error < 0.5 and len(network.directions()) == 2 / p
    if p == 1:
        expected = expected_angle_error(FIVE, activation, width=100, scale=1e-4, stop=0.02)
        found = sb.train_from_small_start(FIVE, activation, width=100, scale=1e-4)
        assert abs(found.angle_error / expected - 1) < 3 / np.sqrt(100)


def test_three_hidden_layers_condense_to_a_line_each():
    data = FIVE.with_ordinates(FIVE.y - FIVE.y.mean())
    found = train_deep_from_small_start(data, (30, 30, 30), scale=1e-4)
    assert found.outcome is sb.Outcome.CONVERGED
    before, after = (sb.layer_condensation(module) for module in (found.start, found.module))
    assert [len(layer.directions(share=0)) for layer in before] == [30, 30, 30]
    for layer in after:
        directions = layer.directions(within=10)
        assert len(directions) <= 2 and np.abs(directions @ directions[0]).min() > 0.98
    predicted = sb.condensed_orientations(data, sb.Tanh())
    first = sb.Condensation(
        after[0].weights, np.sign(after[0].weights @ predicted.directions[0]), after[0].masses, predicted
    )
    assert first.angle_error < 1
    values = found.module(torch.tensor(data.x))[:, 0].detach().numpy()
    assert np.abs(values - values.mean()).max() == pytest.approx(0.02 * np.abs(data.y).max(), rel=1e-3)


@pytest.mark.parametrize("activation", [sb.XTanh(), sb.X2Tanh()], ids=str)
def test_the_winner_takes_all_for_higher_multiplicity(activation):
    """One neuron carries the network though the start is near all 2p orientations; its error falls with the stop."""
    network = sb.train_from_small_start(Z8, activation, width=100, scale=1e-5)
    assert network.outcome is sb.Outcome.CONVERGED
    assert network.participation < 1.3
    assert network.angle_error < 1.2
    sooner = sb.train_from_small_start(Z8, activation, width=100, scale=1e-5, stop=2e-4)
    assert sooner.angle_error < 0.15 * network.angle_error
    assert network.cosines.shape == (100, 100)
    np.testing.assert_allclose(np.diag(network.cosines), 1)


@pytest.mark.parametrize("activation", [sb.Sigmoid(), sb.Softplus()], ids=str)
def test_a_value_at_zero_asks_for_targets_of_mean_zero(activation):
    with pytest.raises(sb.DataError, match=r"only if the mean of y is 0, got 0.0875; centre"):
        sb.condensed_orientations(C8, activation)
    same = sb.condensed_orientations(C8, sb.Centred(activation))
    np.testing.assert_allclose(same.angles, sb.condensed_orientations(C8, sb.Tanh()).angles)
    later, sooner = (sb.train_from_small_start(Z8, activation, width=12, scale=1e-6, stop=stop) for stop in (2e-2, 1e-3))
    assert sooner.angle_error < 0.3 * later.angle_error < 0.6  # the next power, z^2/8, turns softplus by the root of `stop`
    centred = sb.train_from_small_start(C8, sb.Centred(activation), width=50, scale=1e-5)
    assert centred.angle_error < 1


def test_neurons_turn_once_output_weights_have_fitted_the_mean():
    """Softplus, mean .0875, no output bias: f is the mean first, and nothing turns; beyond it the rest is condensed."""
    begin = 1e-4 * np.random.default_rng(1).standard_normal((3, 12))
    predicted = sb.condensed_orientations(C8.with_ordinates(C8.y - C8.y.mean()), sb.Softplus())
    found = []
    for share in (0.02, 0.2):
        end, *_, outcome = flow_to_level(C8, sb.Softplus(), begin, share * np.abs(C8.y).max(), output_bias=False)
        assert outcome is sb.Outcome.CONVERGED
        found.append(sb.condensation((end[1], end[2], end[0]), predicted))
    assert len(found[0].directions()) > 8
    assert len(found[1].directions()) == 2 and found[1].angle_error < 10


@pytest.mark.parametrize("scale", [1e-20, 1e-80])
def test_starts_may_be_as_small_as_numbers_are(scale):
    """Tolerances are those of each neuron: rounding of large ones does not make steps small."""
    network = sb.train_from_small_start(Z8, sb.Tanh(), width=5, scale=scale)
    assert network.outcome is sb.Outcome.CONVERGED and network.evaluations < 4000
    assert network.angle_error < 0.5 and len(network.directions()) <= 2


def test_what_does_not_begin_to_fit_says_so():
    dead = [seed for seed in range(8) if sb.condensed_orientations(Z8, sb.ReLU()).decoupled(*_start(seed)).shares.sum() == 0]
    network = sb.train_from_small_start(Z8, sb.ReLU(), width=1, scale=1e-5, seed=dead[0])
    assert network.outcome is sb.Outcome.STALLED
    late = sb.train_from_small_start(Z8, sb.X2Tanh(), width=3, scale=1e-12)  # needs a time of 1e24
    assert late.outcome is sb.Outcome.STALLED
    empty = sb.condensation(([0.0, 1.0], [0.0, 0.0], [1.0, 0.0]), sb.condensed_orientations(Z8, sb.Tanh()))
    assert (empty.participation, empty.angle_error, len(empty.directions())) == (0.0, 180.0, 0)
    assert empty.shares.tolist() == [0.0, 0.0]


def _start(seed):
    return np.random.default_rng(seed).standard_normal((3, 1))


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


class Fourth(Cubed):
    """z^4 to leading order."""

    multiplicity, leading = 4, 1.0


def test_activations_of_ones_own():
    own, known = (sb.condensed_orientations(Z8, activation) for activation in (Cubed(), sb.X2Tanh()))
    np.testing.assert_allclose(own.angles, known.angles)
    np.testing.assert_array_equal(own.signs, -known.signs)
    np.testing.assert_allclose(own.strengths, -2 * known.strengths)


def diverged():
    """A module two of whose weights are no numbers."""
    module = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    with torch.no_grad():
        module[0].weight[:2] = math.nan
    return module


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sb.condensed_orientations(Z8, Unknown()), sb.CapabilityError, "needs an activation of known multiplicity"),
        (lambda: sb.condensed_orientations(Z8, sb.Tanh), sb.DataError, "call it: add ()"),
        (lambda: sb.condensed_orientations([1, 2], sb.Tanh()), sb.DataError, "`data` must be an sb.Dataset"),
        (lambda: sb.condensed_orientations(FIVE, sb.X2Tanh()), sb.CapabilityError, "multiplicity 1 and 2, got X2Tanh"),
        (lambda: sb.condensed_orientations(FIVE, sb.ReLU()), sb.CapabilityError, "multiplicity 1 and 2, got ReLU"),
        (lambda: sb.condensed_orientations(FIVE, sb.Sigmoid()), sb.DataError, "only if the mean of y is 0"),
        (lambda: sb.condensed_orientations(SQUARE, sb.XTanh()), sb.DataError, r"eigenvalues of .* simple, got 2 twice"),
        (lambda: sb.condensation(3), sb.DataError, "`network` must be an sb.Network"),
        (lambda: sb.condensation(([1.0], [1.0, 2.0], [1.0])), sb.DataError, "of one length"),
        (lambda: sb.condensation(([math.nan], [1.0], [1.0])), sb.DataError, "must have finite parameters"),
        (lambda: sb.condensation(([1.0], [1.0], [1.0])).angle_error, sb.DataError, "angle errors need orientations"),
        (lambda: sb.condensation((np.ones((1, 2)), [1.0], [1.0])).angles, sb.DataError, "are of one input, got 2"),
        (lambda: sb.layer_condensation(torch.nn.ReLU()), sb.DataError, "must be a torch module of Linear layers"),
        (lambda: sb.layer_condensation(3), sb.DataError, "must be a torch module of Linear layers"),
        (lambda: sb.layer_condensation(diverged()), sb.DataError, "weights must be finite, got 2 that are not"),
        (lambda: train_deep_from_small_start(FIVE, (), scale=1e-3), sb.DataError, "at least one hidden layer"),
        (lambda: train_deep_from_small_start(FIVE, (9, 9), scale=10), sb.DataError, "lower `scale`"),
        (lambda: expected_angle_error(Z8, sb.XTanh(), width=9, scale=1e-3), sb.CapabilityError, "of multiplicity 1"),
        (lambda: sb.condensed_orientations(sb.Dataset([0, 1], [0, 0]), sb.Tanh()), sb.DataError, "does not see the data"),
        (lambda: sb.condensed_orientations(Z8, sb.Tanh()).decoupled([1], [0], [0]), sb.DataError, "must differ from zero"),
        (lambda: sb.condensed_orientations(Z8, sb.Tanh()).decoupled([1, 2], [0], [0]), sb.DataError, "must have one length"),
        (
            lambda: sb.train_from_small_start(C8, sb.ReLU(), width=9, scale=1e-3),
            sb.CapabilityError,
            "an output bias that fits",
        ),
        (lambda: sb.train_from_small_start(Z8, Unknown(), width=9, scale=1e-3), sb.CapabilityError, "known multiplicity"),
        (
            lambda: sb.train_from_small_start(Z8, sb.Tanh(), width=9, scale=0),
            sb.DataError,
            "`scale` must be a finite real number > 0",
        ),
        (lambda: sb.train_from_small_start(Z8, sb.Tanh(), width=9, scale=10), sb.DataError, "lower `scale`"),
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


@pytest.mark.parametrize("middle", [3e4, 4.5e5])
def test_zeros_that_rounding_takes_off_the_circle_are_found_by_their_sign(middle):
    """Data in nearly one direction make a slope with a triple zero across from them, on which no root of a polynomial is."""
    x = middle * (1 + 0.05 * np.array([-1.0, 0.0, 0.7, 2.0]))
    found = sb.condensed_orientations(sb.Dataset(x, [1, -0.5, 0.3, 0.2]), Fourth())
    np.testing.assert_allclose(found.angles % 180, 0, atol=0.01)
    assert found.signs.tolist() == [1, 1]


def test_extrema_at_zero_are_no_orientations():
    """Q = cos^2: the minima at 90 and 270 degrees are zero to rounding."""
    found = sb.condensed_orientations(sb.Dataset([-1, 0, 1], [0.5, -1, 0.5]), sb.XTanh())
    np.testing.assert_allclose(found.angles, [0, 180], atol=1e-12)


def test_the_leading_term_has_its_slope():
    for activation in EVERY:
        term, theta = LeadingTerm.of(Z8, activation), np.linspace(0.05, 6.2, 50)
        slope = (term.value(theta + 1e-6) - term.value(theta - 1e-6)) / 2e-6
        np.testing.assert_allclose(term.slope(theta), slope, atol=1e-8)


def test_a_flow_that_takes_too_many_evaluations_ends(monkeypatch):
    monkeypatch.setattr("splinebias.regimes.small_starts.small_start._MOST_EVALUATIONS", 500)
    found = sb.train_from_small_start(sb.Dataset(Z8.x + 1000, Z8.y), sb.Tanh(), width=5, scale=1e-8)
    assert found.outcome is sb.Outcome.MAX_STEPS and found.evaluations < 600
