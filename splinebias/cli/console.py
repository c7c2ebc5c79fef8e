"""What the commands of the command line share: number options, one-line refusals, tables, JSON and pictures."""

from __future__ import annotations

import functools
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splinebias.errors import DataError, Outcome, SolveError, SplinebiasError, StudyStopped

if TYPE_CHECKING:
    from splinebias.problem import Problem


class Refusal(click.ClickException):
    """Bad input: one line on stderr, exit status 2."""

    exit_code = 2


class Commands(click.Group):
    """A group whose refusals, the library's and the parser's, are one line each."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SolveError, StudyStopped) as error:
            raise click.ClickException(_one_line(str(error))) from None
        except SplinebiasError as error:
            raise Refusal(_one_line(str(error))) from None
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else ctx.command_path
            raise Refusal(f"{_one_line(error.format_message())} Try '{where} --help'.") from None


class DefaultCommand(click.Group):
    """A group that takes arguments which name none of its commands to be those of its `default` command."""

    def __init__(self, *args: Any, default: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = [self._default, *args]
        return super().parse_args(ctx, args)


def _one_line(text: str) -> str:
    return " ".join(text.split())


class Numbers(click.ParamType[list[Any]]):
    """Comma-separated finite numbers, whole ones if `kind` is int, exactly `count` of them if that is given.

    `name` is how the option shows its value in help, such as ``X,X,...``.
    """

    def __init__(self, name: str, kind: type[int] | type[float] = float, count: int | None = None) -> None:
        self.name, self.kind, self.count = name, kind, count

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """The numbers that a text such as ``-1.3,0.5`` lists."""
        if isinstance(value, list):
            return value
        try:
            numbers = [self.kind(part) for part in str(value).split(",")]
        except ValueError:
            numbers = []
        if not numbers or not all(map(math.isfinite, numbers)) or self.count not in (None, len(numbers)):
            kind = "whole" if self.kind is int else "finite"
            self.fail(f"must be {self.count or 'some'} {kind} numbers {self.name}, got {value!r}.", param, ctx)
        return numbers


class Output(click.ParamType[Path]):
    """The path of a file to write, refused before any work if it cannot be written."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """`value` as a path that can be written."""
        from splinebias._files import check_writable

        return check_writable(value)


LOSSES = ("squared", "logistic", "exponential")
METHODS = {"flow": "MirrorFlow", "neuron_flow": "NeuronFlow", "descent": "MirrorDescent"}

problem_argument = click.argument("problem", metavar="PROBLEM.toml", type=click.Path(path_type=Path))
root_option = click.option(
    "--root",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder that files named in the TOML file must stay in; default: that of the TOML file.",
)
method_option = click.option(
    "--method", type=click.Choice(list(METHODS)), help="How networks are moved; default: the library's."
)
interval_option = click.option(
    "--interval",
    type=Numbers("LO,HI", count=2),
    callback=lambda ctx, param, ends: ends and tuple(ends),
    help="Where to compare with the limit, of several inputs for each; default: a quarter beyond the data.",
)
plot_option = click.option("--plot", type=Output(), metavar="FILE", help="Also draw a picture (.png, .pdf, .svg, ...).")
csv_option = click.option("--csv", type=Output(), metavar="FILE", help="Also write one line per network.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")


class Answer:
    """What a command found, shown as its options ask: a picture, and one JSON object or lines and a table."""

    def __init__(self, plot: Path | None, *, as_json: bool) -> None:
        self.wants_picture, self.draw, self.as_json = plot is not None, picture(plot), as_json

    def of_one_input(self, problem: Problem) -> None:
        """Refuse a picture of a function of several inputs, before anything is computed."""
        if self.wants_picture and problem.data.inputs > 1:
            raise DataError(
                f"--plot draws functions of one input, got data of {problem.data.inputs}; leave it out (`band --plot` draws "
                "how deviations fall with the width), or draw what the function is at points of a grid in Python"
            )

    def show(
        self, content: Mapping[str, Any], lines: Mapping[str, str], table: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        """Print `content` as JSON if that is wanted, else `lines` and `table`."""
        if self.as_json:
            print_json(content)
            return
        print_facts(**lines)
        if table:
            print_table(table)


def answered(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the options --plot and --json, for which it gets an `answer`."""

    @plot_option
    @json_option
    @functools.wraps(command)
    def run(*args: Any, plot: Path | None, as_json: bool, **options: Any) -> None:
        command(*args, answer=Answer(plot, as_json=as_json), **options)

    return run


def of_problem(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with PROBLEM.toml and --root, for which it gets the `problem`, and with what is `answered`."""

    @problem_argument
    @root_option
    @answered
    @functools.wraps(command)
    def run(*, problem: Path, root: Path | None, **options: Any) -> None:
        from splinebias.problem import Problem

        command(problem=Problem.from_toml(problem, root=root), **options)

    return run


def end(*, ok: bool) -> None:
    """End the command: status 0 if all is `ok`, else 1."""
    click.get_current_context().exit(0 if ok else 1)


def made(names: Mapping[str, str], choice: str | None) -> Any:
    """The solver or method of an option, with its default settings; None leaves the choice to the library."""
    import splinebias as sb

    return None if choice is None else getattr(sb, names[choice])()


def picture(path: Path | None) -> Callable[..., None]:
    """A function that draws results, one over the other, and writes the picture to `path` whole; none if there is no path.

    Raises
    ------
    DataError
        At once, before any work, if the ending of the path is no picture format.
    """
    if path is None:
        return lambda *results: None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    formats = figure.canvas.get_supported_filetypes()
    ending = path.suffix.removeprefix(".").lower()
    if ending not in formats:
        raise DataError(f"the picture's name must end in one of {', '.join(sorted(formats))}, got {path}")

    def save(*results: Any) -> None:
        from splinebias._files import write_atomically
        from splinebias.plots.pictures import plot

        axes = figure.subplots()
        for result in results:
            plot(result, axes)
        if axes.get_legend() is None:  # a grid makes its own
            axes.legend()
        content = io.BytesIO()
        figure.savefig(content, format=ending, dpi=150)
        write_atomically(path, content.getvalue())

    return save


def places(problem: Problem, at: list[float] | None) -> tuple[Any, dict[str, list[float]]]:
    """The points of --at as functions of the problem take them, and as columns of a table.

    Raises
    ------
    DataError
        If their numbers are no whole points of several inputs.
    """
    import numpy as np

    from splinebias.data import Dataset

    if isinstance(problem.data, Dataset):
        return at or [], {"x": at or []}
    d = problem.data.inputs
    if at is not None and len(at) % d:
        raise DataError(f"--at must list points of {d} inputs one after the other, {d} numbers each, got {len(at)} numbers")
    points = np.reshape(at or [], (-1, d))
    return points, {f"x{k + 1}": points[:, k].tolist() for k in range(d)}


def where_in(problem: Problem, interval: tuple[float, float] | None) -> Any:
    """The interval of --interval as functions of the problem take it: of several inputs that of each of them."""
    from splinebias.data import Points

    data = problem.data
    return [interval] * data.inputs if interval is not None and isinstance(data, Points) and data.inputs > 1 else interval


def head_of(problem: Problem, outcome: Outcome, advice: str) -> dict[str, Any]:
    """What every JSON object starts with."""
    return {"problem": problem.describe(), "outcome": outcome.name, "advice": advice}


def rows(columns: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Columns as rows, for JSON."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def print_facts(**facts: str) -> None:
    """One line per fact, labels aligned."""
    indent = max(map(len, facts)) + 2
    for label, text in facts.items():
        click.echo(label.replace("_", " ").ljust(indent) + text)


def print_table(columns: Mapping[str, Sequence[float]]) -> None:
    """A blank line, then right-aligned columns under their names."""
    texts = [[name, *(f"{value:.10g}" for value in values)] for name, values in columns.items()]
    widths = [max(map(len, column)) for column in texts]
    click.echo()
    for row in zip(*texts, strict=True):
        click.echo("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object; numbers that JSON does not have (infinity, nan) become null."""
    click.echo(json.dumps(_plain(content), allow_nan=False, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
