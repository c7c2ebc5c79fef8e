"""All parameters against output weights alone, of several inputs: n^-2 from a = 0, n^-1 from a ~ N(0, 1/n)."""

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb

X = np.array([(-0.8, -0.6), (-0.7, 0.5), (-0.1, -0.2), (0.4, 0.3), (0.7, -0.4)])
POINTS = sb.Points(X, [0.2, -0.1, 0.3, 0.2, 0.1])
AT = np.random.default_rng(1).uniform(-1, 1, (100, 2))


def features(network, x):
    """What f is linear in if hidden weights stay: the units, and 1 for the output bias."""
    w, b = (np.asarray(part) for part in (network.w, network.b))
    return np.c_[np.maximum(x @ w.T + b, 0), np.ones(len(x))]


def outputs_alone(network):
    """The function at AT that training the output layer alone ends at: the least change of it, by least squares."""
    start = np.r_[np.asarray(network.a), float(network.d)]
    inside = features(network, POINTS.x)
    change = np.linalg.lstsq(inside, POINTS.y - inside @ start, rcond=None)[0]
    return features(network, AT) @ (start + change)


@pytest.mark.parametrize(
    ("output", "power", "widths"),
    [  # output weights that are not 0 at the start have a part in n^-2 as well, which narrow networks are ruled by
        (None, -2.0, (400, 3200)),
        (st.norm(), -1.0, (3000, 24_000)),
    ],
    ids=["from zero", "from N(0, 1/n)"],
)
def test_hidden_weights_matter_less_and_less(output, power, widths):
    law = sb.Initialization.sphere(st.uniform(-1.5, 3), output, dim=2)
    problem = sb.Problem(POINTS, sb.Initialization(pair=law.pair, output=output, antisymmetric=False))
    distance = []
    for width in widths:
        runs = sb.train_ensemble(problem, width, range(6), method=sb.MirrorFlow(1e-6), loss_tol=1e-20)
        assert all(run.outcome.ok for run in runs)
        distance.append(np.mean([np.abs(run.function(AT) - outputs_alone(run.start)).max() for run in runs]))
    assert np.log(distance[1] / distance[0]) / np.log(8) == pytest.approx(power, abs=0.35)
