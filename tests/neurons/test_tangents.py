"""Derivatives of the motion of neurons: against differences, through crossings, captures and releases."""

import numpy as np
import pytest

import splinebias as sb
from splinebias.neurons.population import Neurons, advance
from splinebias.neurons.sectors import Sectors
from splinebias.neurons.tangents import differentiate

SPAN, STEP = 1.3, 1e-6


def end(neurons, sectors, force):
    """Parameters after the time, shape (3, N)."""
    found = advance(neurons, sectors, force[None], np.array([SPAN])).end
    return np.stack([found.a[0], found.w[0], found.b[0]])


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.3), sb.Abs()], ids=repr)
def test_derivatives_are_limits_of_differences(activation):
    """By every start and every force, also of neurons that slide at the start; all but neurons within 1e-6 of a jump."""
    rng = np.random.default_rng(0)
    sectors = Sectors(np.array([-1, -0.5, 0.2, 0.6, 1.0]), activation.two_slopes)
    a, w, b = rng.normal(size=(3, 1, 2000))
    force = 0.4 * rng.normal(size=5)
    neurons = advance(Neurons.at(sectors, a, w, b), sectors, force[None], np.array([0.7])).end
    force = force + 0.1 * rng.normal(size=5)
    found = differentiate(neurons, sectors, force, SPAN)
    np.testing.assert_array_equal(found.journey.end.a[0], end(neurons, sectors, force)[0])
    assert found.journey.events[0] > 500
    for j, change in enumerate(STEP * np.eye(5)):
        slope = (end(neurons, sectors, force + change) - end(neurons, sectors, force - change)) / (2 * STEP)
        assert (np.abs(slope - found.force[:, j]).max(0) > 1e-6).mean() < 0.001
    free = ~neurons.on_line[0]
    assert activation == sb.LeakyReLU(0.3) or not free.all()
    parts = neurons.a, neurons.w, neurons.b
    for p, change in enumerate(STEP * np.eye(3)):
        moved = [[value + sign * by * free for value, by in zip(parts, change, strict=True)] for sign in (1, -1)]
        up, down = (end(Neurons(*each, neurons.sector, neurons.on_line), sectors, force) for each in moved)
        assert (np.abs((up - down) / (2 * STEP) - found.start[:, p]).max(0)[free] > 1e-6).mean() < 0.001


def test_motion_is_homogeneous():
    """Of degree 1: derivatives by the start, along the start, are the end, until a neuron sits on a line."""
    rng = np.random.default_rng(1)
    sectors = Sectors(np.array([-0.8, 0.1, 0.7]), sb.ReLU().two_slopes)
    a, w, b = rng.normal(size=(3, 1, 500))
    neurons, force = Neurons.at(sectors, a, w, b), 0.5 * rng.normal(size=3)
    found = differentiate(neurons, sectors, force, SPAN)
    along = np.einsum("pqk,qk->pk", found.start, np.stack([a[0], w[0], b[0]]))
    np.testing.assert_allclose(along, end(neurons, sectors, force), atol=1e-9)
