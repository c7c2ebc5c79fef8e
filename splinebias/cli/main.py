"""The command line: `splinebias predict | train | study | ...`, each a thin reading of the public function of its name.

Exit status: 0 if the computation reached what was asked for, 1 if it ended with another `Outcome`, 2 for bad input (one
line on stderr, before any work starts). numpy and whatever needs it are imported when a command runs, so that help is quick.
"""

from __future__ import annotations

import click

from splinebias import __version__
from splinebias.cli.console import Commands
from splinebias.cli.diagnose import diagnose
from splinebias.cli.finite_width import band, laziness, width
from splinebias.cli.gcv import gcv
from splinebias.cli.predict import predict
from splinebias.cli.regimes.alignment import alignment
from splinebias.cli.regimes.large_bias import large_bias
from splinebias.cli.regimes.minimum_norm import minimum_norm
from splinebias.cli.regimes.orientations import orientations
from splinebias.cli.study import study
from splinebias.cli.train import train
from splinebias.cli.verify import verify


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="splinebias")
def main() -> None:
    """What a wide shallow network on the line converges to, and how far a real one is from it.

    Every command but verify reads a problem from a TOML file:

    \b
        [data]
        x = [-1, -0.2, 0, 0.2, 1]
        y = [-0.15, -0.15, 0.15, -0.15, -0.15]
    \b
        [initialization]
        weight = {name = "rademacher"}
        bias = {name = "uniform", args = [-1, 2]}

    Exit status: 0 done, 1 the computation ended early (the outcome says why), 2 bad input.
    """


for command in (predict, train, study, band, width, laziness, gcv, diagnose):
    main.add_command(command)
for command in (minimum_norm, large_bias, alignment, orientations, verify):
    main.add_command(command)
