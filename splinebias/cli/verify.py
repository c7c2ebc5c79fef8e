"""`splinebias verify`: the verdicts on the theorems of the papers that are named."""

from __future__ import annotations

import click

from splinebias.cli.console import json_option, print_json


@click.command("verify")
@click.argument("papers", metavar="[PAPER]...", nargs=-1)
@click.option("--fast", is_flag=True, help="Fewer networks: seconds a paper.")
@json_option
@click.pass_context
def verify(ctx: click.Context, *, papers: tuple[str, ...], fast: bool, as_json: bool) -> None:
    """Put the theorems of papers to the test, on trained networks.

    Papers: JM (Jin & Montúfar 2023), LM (Liang & Montúfar 2025), W (Williams et al. 2019), Z (Zhou et al., condensation),
    M (Min, Mallada & Vidal, early alignment), BP (Bordelon & Pehlevan 2023), Y (Yang et al., large
    bias); all if none is named. Exit status 1 if a
    verdict disagrees.

    \b
    Examples:
        splinebias verify W --fast
        splinebias verify JM LM --json
    """
    from splinebias.theorems.verify import claims, made

    verdicts = []
    for claim in claims(*papers):
        for verdict in made(claim, fast=fast):
            verdicts.append(verdict)
            if not as_json:
                click.echo(verdict)
                for hypothesis in verdict.hypotheses:
                    click.echo(f"    {hypothesis}")
    disagreed = [verdict.name for verdict in verdicts if not verdict.agreed]
    if as_json:
        print_json({"disagreed": disagreed, "verdicts": [verdict.to_dict() for verdict in verdicts]})
    else:
        click.echo(f"{len(verdicts) - len(disagreed)} of {len(verdicts)} agreed")
    ctx.exit(1 if disagreed else 0)
