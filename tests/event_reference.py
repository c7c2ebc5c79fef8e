"""Slow reference for the flow of neurons with two slopes: event-located integration of the piecewise smooth equations.

It shares no formula with the library: signs of pre-activations are kept for every neuron and sample, the right-hand side
is the gradient by definition, sliding is Filippov's mixture of the two fields, and scipy locates every event.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.integrate import solve_ivp


@dataclass
class Reference:
    """Units of one network, their signs at the samples, and the sample each is held at (-1: none).

    `scale` multiplies output weights; `force(values, t)` gives what multiplies gradients at the samples.
    """

    x: np.ndarray
    slopes: tuple  # right, left
    a: np.ndarray
    w: np.ndarray
    b: np.ndarray
    force: object
    scale: float = 1.0
    decay: float = 0.0
    d: float = 0.0
    crossings: int = 0
    arrests: int = 0
    releases: int = 0
    signs: np.ndarray = field(init=False)
    held: np.ndarray = field(init=False)

    def __post_init__(self):
        self.signs = np.sign(self.w[:, None] * self.x + self.b[:, None])
        self.held = np.full(self.a.size, -1)
        assert (self.signs != 0).all()

    def unpack(self, z):
        n = self.a.size
        return z[:n], z[n : 2 * n], z[2 * n : 3 * n], z[-1]

    def velocities(self, z, signs):
        """Of every unit, (3, n), if pre-activations had these signs; and of d."""
        a, w, b, d = self.unpack(z)
        pre = w[:, None] * self.x + b[:, None]
        slope = np.where(signs > 0, *self.slopes)
        values = (
            self.scale * (a[:, None] * np.where(self.held[:, None] == np.arange(self.x.size), 0.0, slope * pre)).sum(0) + d
        )
        force = self.force(values)
        common = self.scale * slope * force
        step = np.stack([(common * pre).sum(1), a * (common * self.x).sum(1), a * common.sum(1)])
        return -step - self.decay * np.stack([a, w, b]), -(self.scale**2) * force.sum()

    def sides(self, z):
        """Velocities of held units with their sample on the right and on the left, and those of their pre-activations."""
        on = np.flatnonzero(self.held >= 0)
        both, rates = [], []
        for sign in (1.0, -1.0):
            signs = self.signs.copy()
            signs[on, self.held[on]] = sign
            v, _ = self.velocities(z, signs)
            both.append(v[:, on])
            rates.append(v[1, on] * self.x[self.held[on]] + v[2, on])
        return on, both, rates

    def field(self, t, z):
        v, bias = self.velocities(z, self.signs)
        on, (right, left), (up, down) = self.sides(z)
        if on.size:
            share = down / (down - up)
            v[:, on] = share * right + (1 - share) * left
        return np.concatenate([*v, [bias]])

    def events(self):
        found = []

        def add(kind, k, j, g):
            g.terminal, g.direction = True, -1
            found.append((kind, k, j, g))

        for k in range(self.a.size):
            if (np.where(self.signs[k] > 0, *self.slopes) == 0).all():
                continue  # dead: it stays where it is, perhaps on a sample
            if self.held[k] < 0:
                for j in range(self.x.size):
                    add("sample", k, j, lambda t, z, k=k, j=j: self.signs[k, j] * self.pre(z, k, j))
                continue
            add("release", k, 1, lambda t, z, k=k: -self.rate(z, k, 0))
            add("release", k, -1, lambda t, z, k=k: self.rate(z, k, 1))
            add("sign of a", k, 0, lambda t, z, k=k: abs(self.unpack(z)[0][k]) - 1e-12)
            for j in set(range(self.x.size)) - {self.held[k]}:
                add("origin", k, j, lambda t, z, k=k, j=j: self.signs[k, j] * self.pre(z, k, j))
        return found

    def pre(self, z, k, j):
        _, w, b, _ = self.unpack(z)
        return w[k] * self.x[j] + b[k]

    def rate(self, z, k, side):
        on, _, rates = self.sides(z)
        return rates[side][list(on).index(k)]

    def run(self, end, rtol=1e-11):
        """Move to time `end`; raises where the flow is not determined."""
        t, z = 0.0, np.concatenate([self.a, self.w, self.b, [self.d]])
        while t < end:
            assert self.crossings + self.arrests + self.releases < 40 * self.a.size, "too many events"
            events = self.events()
            found = solve_ivp(
                self.field, (t, end), z, "DOP853", rtol=rtol, atol=1e-14, events=[g for *_, g in events], max_step=end / 50
            )
            assert found.success, found.message
            t, z = found.t[-1], found.y[:, -1]
            hit = [event for event, times in zip(events, found.t_events, strict=True) if times.size]
            if any(kind == "release" for kind, *_ in hit):  # units at one sample may be let go at the same time
                hit += [event for event in events if event[0] == "release" and event not in hit and event[3](t, z) < 1e-12]
            for kind, k, j, _ in hit:
                assert kind in ("sample", "release"), f"unit {k}: {kind} changes while it slides"
                self.pass_on(z, kind, k, j)
        self.a, self.w, self.b, self.d = self.unpack(z)
        return self

    def pass_on(self, z, kind, k, j):
        if kind == "release":
            self.signs[k, self.held[k]], self.held[k] = j, -1
            self.releases += 1
            return
        self.held[k] = j
        up, down = self.rate(z, k, 0), self.rate(z, k, 1)
        if up < 0 < down:
            self.arrests += 1
            return
        self.held[k] = -1
        self.signs[k, j] *= -1
        self.crossings += 1
