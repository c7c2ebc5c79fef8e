"""Motion of single neurons: definitions, exactness, events, sliding, what the flow leaves open."""

import numpy as np
import pytest
from event_reference import Reference
from marks import nightly
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import splinebias as sb
from splinebias.neurons.motion import first_angle, moved
from splinebias.neurons.population import Neurons, advance
from splinebias.neurons.sectors import Sectors

X = np.array([-0.9, -0.5, -0.1, 0.2, 0.8])
FORCE = np.array([[0.11, -0.2, 0.16, 0.07, -0.1]])
every_activation = pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3)], ids=str)


def some(activation, *, networks=1, width=60, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    sectors = Sectors(X, activation)
    return sectors, Neurons.at(sectors, *(scale * rng.normal(size=(3, networks, width))))


def go(sectors, neurons, time, force=FORCE):
    journey = advance(
        neurons, sectors, np.broadcast_to(force, (neurons.a.shape[0], X.size)), np.full(neurons.a.shape[0], time)
    )
    assert journey.complete.all()
    return journey


def parameters(neurons):
    return np.stack([neurons.a, neurons.w, neurons.b])


def one(activation, a, w, b):
    sectors = Sectors(X, activation)
    return sectors, Neurons.at(sectors, *(np.array([[v]], dtype=float) for v in (a, w, b)))


# -- sectors --------------------------------------------------------------------------------------------------------


@every_activation
def test_sums_by_sector_are_sums_over_neurons(activation):
    sectors, n = some(activation, networks=2)
    pre = n.w[..., None] * X + n.b[..., None]
    slope, force = activation.derivative(pre), np.array([[0.3, -1, 2, 0.5, 1], [1, 2, 3, 4, -5]])
    drives = np.take_along_axis(sectors.drives(force), n.sector[..., None], axis=1)
    weighted = slope * force[:, None]
    np.testing.assert_allclose(drives, np.stack([(weighted * X).sum(-1), weighted.sum(-1)], axis=-1), atol=1e-14)
    rng = np.random.default_rng(1)
    v, c = rng.normal(size=(2, *n.a.shape)), rng.normal(size=(3, *n.a.shape))
    lines, forms = np.zeros((2, sectors.count, 2)), np.zeros((2, sectors.count, 3))
    for row in range(2):
        np.add.at(lines[row], n.sector[row], v[:, row].T)
        np.add.at(forms[row], n.sector[row], c[:, row].T)
    direct = (slope * (v[0][..., None] * X + v[1][..., None])).sum(1)
    np.testing.assert_allclose(sectors.values(lines), direct, atol=1e-13)
    products = c[0][..., None, None] * np.outer(X, X) + c[1][..., None, None] * np.add.outer(X, X) + c[2][..., None, None]
    np.testing.assert_allclose(sectors.gram(forms), (slope[..., None] * slope[..., None, :] * products).sum(1), atol=1e-12)


def test_neurons_are_located_whatever_their_sign_and_on_lines_exactly():
    sectors = Sectors(X, sb.ReLU())
    w = np.array([1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 2.0, -3.0])
    b = np.array([2.0, -2.0, 2.0, -2.0, 1.0, -1.0, -2.0 * X[3], 3.0 * X[1]])
    place = sectors.locate(w, b)
    np.testing.assert_array_equal(place.sector, [0, 5, 0, 5, 0, 5, 3, 6])
    np.testing.assert_array_equal(place.on_line, [False] * 6 + [True] * 2)


# -- motion ---------------------------------------------------------------------------------------------------------


def test_motion_is_the_exponential_of_its_generator():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, w, b, p, q = rng.normal(size=5)
        exact = expm(-1.3 * np.array([[0, p, q], [p, 0, 0], [q, 0, 0]])) @ [a, w, b]
        kappa = np.hypot(p, q)
        end, change = moved(a, (w * p + b * q) / kappa, 1.3 * kappa)
        np.testing.assert_allclose([end, w + change * p / kappa, b + change * q / kappa], exact, rtol=1e-11)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_the_first_angle_is_a_solution_and_there_is_none_before(scale):
    rng = np.random.default_rng(1)
    a, v, gap = scale * rng.normal(size=(3, 400))
    gap[:50] = 0.0
    angle = first_angle(a, v, gap)
    z = np.linspace(0, 1, 2000)[1:-1, None] * np.minimum(angle, 30.0)
    gaps = gap + moved(a, v, z)[1]
    assert 50 < np.isfinite(angle).sum() < 350
    assert (np.sign(gaps[1:]) == np.sign(gaps[1])).all()
    found = np.isfinite(angle)
    at_angle = gap[found] + moved(a[found], v[found], angle[found])[1]
    assert (np.abs(at_angle) < 1e-13 * scale * np.exp(angle[found])).all()


@every_activation
def test_the_last_event_of_a_neuron_is_when_it_is_said_to_be(activation):
    """Its place changes there, and nowhere afterwards; without an event, nowhere at all."""
    sectors, start = some(activation, width=40, seed=3)
    force, time = np.array([[0.1, 0.03, 0.25, 0.04, -0.1]]), 3.0
    journey = go(sectors, start, time, force)
    late = journey.late[0]

    def places(at):
        return [(n.sector[0], n.on_line[0]) for n in (go(sectors, start, one, force).end for one in at)]

    moved = np.flatnonzero(late != 0.5)
    assert 5 < moved.size < 40
    for k in moved:
        event = time * (1 - late[k])
        before, after, end = places([event * (1 - 1e-7), event + 1e-7 * time, time])
        assert (before[0][k], before[1][k]) != (after[0][k], after[1][k]), f"neuron {k}"
        assert (after[0][k], after[1][k]) == (end[0][k], end[1][k]), f"neuron {k}"
    still = late == 0.5
    np.testing.assert_array_equal(journey.end.sector[0, still], start.sector[0, still])
    np.testing.assert_array_equal(journey.end.on_line[0, still], start.on_line[0, still])


@pytest.mark.parametrize("activation", [sb.ReLU(), nightly(sb.Abs()), nightly(sb.LeakyReLU(0.3))], ids=str)
def test_neurons_move_as_event_located_integration_says(activation):
    force = np.array([[0.1, 0.03, 0.25, 0.04, -0.1]])
    sectors, start = some(activation, width=12, seed=3)
    end, slopes, crossings, arrests = go(sectors, start, 6.0, force).end, (activation.right, activation.left), 0, 0
    for k in range(12):
        unit = [v[0, k : k + 1] for v in (start.a, start.w, start.b)]
        reference = Reference(X, slopes, *unit, force=lambda _: force[0])
        try:
            reference.run(6.0, rtol=1e-10)
        except AssertionError as undetermined:
            assert "while it slides" in str(undetermined)
            continue
        exact = np.concatenate([reference.a, reference.w, reference.b])
        np.testing.assert_allclose(parameters(end)[:, 0, k], exact, atol=1e-7 * np.abs(exact).max(), err_msg=f"unit {k}")
        crossings, arrests = crossings + reference.crossings, arrests + reference.arrests
    assert crossings > 1
    assert arrests > 0


@every_activation
def test_a_way_is_the_sum_of_its_parts_and_conserves(activation):
    sectors, start = some(activation, networks=3, width=200)
    whole, half = go(sectors, start, 12.0), go(sectors, start, 5.0)
    both = go(sectors, half.end, 7.0)
    a, w, b = parameters(whole.end)
    np.testing.assert_allclose(parameters(both.end), [a, w, b], rtol=1e-9, atol=1e-9)
    conserved = a**2 - w**2 - b**2 - (start.a**2 - start.w**2 - start.b**2)
    assert np.abs(conserved / (a**2 + w**2 + b**2)).max() < 1e-13


@pytest.mark.parametrize("scale", [1e-8, 1e-60, 1e30])
def test_the_flow_of_a_neuron_knows_no_size(scale):
    (sectors, start), (_, other) = some(sb.ReLU()), some(sb.ReLU(), scale=scale)
    one_way, other_way = go(sectors, start, 9.0), go(sectors, other, 9.0)
    np.testing.assert_allclose(parameters(other_way.end), scale * parameters(one_way.end), rtol=1e-9)
    assert one_way.events.sum() == other_way.events.sum() > 20


# -- on lines -------------------------------------------------------------------------------------------------------


def test_a_neuron_slides_while_both_sides_push_and_leaves_when_they_no_longer_do():
    """At sample 1, with only that force: the right side pushes up or down, the left side not at all, or the other way."""
    activation = sb.Abs()
    sectors, start = one(activation, 1.0, 1.0, 0.5)
    held = go(sectors, start, 0.3, np.array([[0.0, 1.0, 0.0, 0.0, 0.0]]))
    assert held.end.on_line.all()
    np.testing.assert_allclose(parameters(held.end), parameters(start), atol=1e-15)  # nothing drives it along its line
    along = go(sectors, start, 0.3, np.array([[0.0, 1.0, 0.0, 0.0, 0.2]]))
    assert along.end.on_line.all()
    assert along.end.a < start.a
    np.testing.assert_allclose(along.end.b / along.end.w, 0.5, rtol=1e-13)
    away = go(sectors, along.end, 0.3, np.array([[0.0, 1.0, 0.0, 0.0, 4.0]]))
    assert not away.end.on_line.any()
    assert away.undetermined.sum() == 0


def test_where_more_than_one_motion_solves_the_flow_the_right_side_is_taken_and_it_is_counted():
    sectors, start = one(sb.ReLU(), -1.0, 1.0, 0.5)
    journey = go(sectors, start, 0.1, np.array([[0.0, 1.0, 0.0, 0.0, 0.0]]))
    assert journey.undetermined.sum() == 1
    assert journey.end.w * X[1] + journey.end.b > 0  # ReLU: it stays alive


def test_a_dead_neuron_stays_where_it_died():
    sectors, start = one(sb.ReLU(), 1.0, 1.0, -0.7)
    force = np.array([[0.0, 0.0, 0.0, 0.0, 1.0]])
    died = go(sectors, start, 5.0, force).end
    assert died.sector == X.size
    np.testing.assert_allclose(died.w * X[-1] + died.b, 0, atol=1e-15)
    back = go(sectors, died, 5.0, -force).end
    np.testing.assert_array_equal(parameters(back), parameters(died))


def test_a_sliding_neuron_whose_output_weight_changes_sign_is_let_go_and_counted():
    sectors, start = one(sb.Abs(), 0.1, 1.0, 0.5)
    journey = go(sectors, start, 1.0, np.array([[0.0, 1.0, 0.0, 0.0, 0.5]]))
    assert journey.end.a < 0
    assert journey.undetermined.sum() == 1
    assert not journey.end.on_line.any()


def test_a_sliding_neuron_passes_the_origin_or_stays_there():
    """a^2 > w^2 + b^2: (w, b) reaches 0 along its line, and what is beyond obeys the same equations."""
    force = np.array([[0.0, 1.0, 0.0, 0.0, 0.4]])
    sectors, start = one(sb.Abs(), 1.0, 0.1, 0.05)
    for time in (0.05, 0.5, 3.0):
        end = go(sectors, start, time, force).end
        np.testing.assert_allclose(end.a**2 - end.w**2 - end.b**2, 1 - 0.0125, rtol=1e-12)
    for time in (0.5, 3.0):  # Euler's method with small steps goes the same way
        a, w, b, h = 1.0, 0.1, 0.05, 1e-4
        for _ in range(round(time / h)):
            common = np.sign(w * X + b) * force[0]
            p, q = common @ X, common.sum()
            a, w, b = a - h * (p * w + q * b), w - h * a * p, b - h * a * q
        end = go(sectors, start, time, force).end
        np.testing.assert_allclose(parameters(end)[:, 0, 0], [a, w, b], atol=2e-3)


def test_growth_of_small_neurons_follows_their_drive():
    """From nothing, (a, h) grows as e^{kappa t} along the leading direction: nothing else is left of where it was."""
    sectors, start = one(sb.LeakyReLU(0.999), 1e-40, 1e-40, 1e-40)
    end = go(sectors, start, 300.0).end
    drive = np.hypot(FORCE[0] @ X, FORCE[0].sum())
    growth = np.log(np.abs(end.a) / 1e-40)
    np.testing.assert_allclose(growth, 300 * drive, atol=0.02 * 300 * drive + 1)


def test_the_equations_are_those_of_the_gradient():
    """Without a kink on the way: against a plain solver of a' = -D h, h' = -a D."""
    sectors, start = one(sb.ReLU(), 0.4, 0.3, 1.0)

    def field(_, z):
        a, w, b = z
        active = FORCE[0] * (w * X + b > 0)
        return [-(active @ (w * X + b)), -a * (active @ X), -a * active.sum()]

    exact = solve_ivp(field, (0, 1.0), [0.4, 0.3, 1.0], rtol=1e-11, atol=1e-12).y[:, -1]
    journey = go(sectors, start, 1.0)
    assert journey.events.sum() == 0
    np.testing.assert_allclose(parameters(journey.end)[:, 0, 0], exact, rtol=1e-9)
