"""load(path): a run or a network that was saved, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splinebias._arguments import known_keywords, nearest
from splinebias.activation import Activation
from splinebias.errors import DataError, Outcome
from splinebias.loss import loss_named
from splinebias.networks.archive import Archive, entry
from splinebias.networks.network import Network
from splinebias.parameterization import PARAMETERS
from splinebias.problem import Problem
from splinebias.problem_tables import part_from_table
from splinebias.training.method import History, Snapshot, checked_trainable
from splinebias.training.train import Training


@known_keywords
def load(path: str | Path) -> Training | Network:
    """The run that ``run.save(path)`` wrote, or the network that ``network.save(path)`` wrote, on the CPU.

    Parameters
    ----------
    path : str or Path
        The file. Nothing in it is executed, whoever wrote it.

    Returns
    -------
    Training or Network
        Equal to the last bit: parameters, problem, history, outcome, stats, snapshots; the function is worked out again.

    Raises
    ------
    DataError
        If the file cannot be read, is not one of ours or of another format, or does not hold what it should: the message
        names the entry.

    Examples
    --------
    >>> import splinebias as sb, tempfile, pathlib
    >>> problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.pytorch_default())
    >>> run = sb.train(problem, width=50, loss_tol=1e-6)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run.save(pathlib.Path(folder) / "run.npz")
    ...     again = sb.load(pathlib.Path(folder) / "run.npz")
    >>> again.problem == problem, bool((again.network.theta == run.network.theta).all())
    (True, True)
    """
    archive = Archive.read(path)
    readers: dict[str, Callable[[Archive], Training | Network]] = {"network": _network_file, "training": _training}
    if archive.kind not in readers:
        raise DataError(
            f"{path} must be a file of a training or a network, got {archive.kind!r}{nearest(archive.kind, readers)}"
        )
    return readers[archive.kind](archive)


def _network_file(archive: Archive) -> Network:
    """The network of a file of one."""
    activation = part_from_table("activation", archive.table("activation"))
    return _network(archive, "network", activation.two_slopes or activation)


def _network(archive: Archive, name: str, activation: Activation, like: Network | None = None) -> Network:
    """The network called `name`, of the width and inputs of another if there is one; the skip part says how many inputs."""
    skip = archive.array(f"{name}_skip", (None,) if like is None else tuple(like.skip.shape))
    theta = archive.array(f"{name}_theta", (None,) if like is None else tuple(like.theta.shape))
    rows = skip.size + 1
    if skip.size < 2 or theta.size < rows + 1 or theta.size % rows != 1:
        raise DataError(
            f"`{name}_theta` must hold (D + 2) n + 1 numbers with n >= 1, and `{name}_skip` D + 1 for D inputs, got "
            f"{theta.size} and {skip.size}; use what `save` wrote"
        )
    return _made(theta, skip, activation)


def _made(theta: Any, skip: Any, activation: Activation) -> Network:
    """The network with these arrays, which must be of one precision."""
    if theta.dtype != skip.dtype:
        raise DataError(f"parameters and skip part must have one precision, got {theta.dtype} and {skip.dtype}")
    return Network(torch.from_numpy(theta), activation, torch.from_numpy(skip))


def _training(archive: Archive) -> Training:
    """The run of a file of one."""
    run, problem = archive.table("run"), Problem.from_tables(archive.table("problem"), None)
    activation = problem.activation.two_slopes or problem.activation
    network = _network(archive, "network", activation)
    stats = archive.table("stats")
    outcome = entry(run, "outcome", str)
    if outcome not in Outcome.__members__:
        raise DataError(f"`outcome` must be one of {', '.join(Outcome.__members__)}, got {outcome!r}")
    names = run.get("trainable", list(PARAMETERS))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"`trainable` must be names of parameters, got {names!r}; use what `save` wrote")
    return Training(
        problem=problem,
        loss_function=loss_named(run.get("loss_function", "squared")),
        trainable=checked_trainable(names),
        network=network,
        start=_network(archive, "start", activation, network),
        function=network.function(),
        history=_history(archive),
        snapshots=_snapshots(archive, activation, network),
        stats={name: entry(stats, name, float) for name in stats},
        outcome=Outcome[outcome],
        **{name: entry(run, name, kind) for name, kind in FIELDS.items()},
    )


FIELDS = {"seed": int, "steps": int, "loss": float, "time": float, "seconds": float, "advice": str}
"""What a file says of a run in [run], besides its outcome."""


def _history(archive: Archive) -> History:
    """The loss along the run."""
    steps = archive.array("history_steps", (None,), "i")
    if not steps.size or steps[0] < 0 or (np.diff(steps) <= 0).any():
        raise DataError("`history_steps` must be increasing whole numbers >= 0, got others; use what `save` wrote")
    loss, time = (archive.array(f"history_{name}", steps.shape, finite=False) for name in ("loss", "time"))
    return History(steps, loss, time)


def _snapshots(archive: Archive, activation: Activation, like: Network) -> tuple[Snapshot, ...]:
    """The networks on the way, of the width and inputs of another."""
    theta = archive.array("snapshot_theta", (None, *like.theta.shape))
    skip = archive.array("snapshot_skip", (len(theta), *like.skip.shape))
    loss, time = (archive.array(f"snapshot_{name}", (len(theta),), finite=False) for name in ("loss", "time"))
    rows = zip(time.tolist(), loss.tolist(), theta, skip, strict=True)
    return tuple(Snapshot(t, value, _made(part.copy(), line.copy(), activation)) for t, value, part, line in rows)
