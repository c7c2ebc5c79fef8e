"""The layout: imports point downwards, heavy libraries stay where they belong, and `import splinebias` is light."""

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import splinebias as sb

PACKAGE = Path(sb.__file__).parent
LAYERS = [  # a module may import from its own layer and from those above it in this list
    ["errors"],
    ["_check", "_files"],
    ["densities", "_rules", "legendre"],
    ["data", "laws", "law_tables", "joint", "activation", "potential", "parameterization"],
    ["rays"],
    ["breakpoints", "joint_breakpoints"],
    ["pairs"],
    ["initialization"],
    ["quadrature"],
    ["law_cells"],
    ["_integrate"],
    ["function"],
    ["unfolded"],
    ["problem"],
    ["response"],
    ["solve"],
    ["bending", "shape"],
    ["penalty"],
    ["crossing"],
    ["predict"],
    ["influence", "mode_influence"],
    ["path_influence"],
    ["influence_model"],
    ["estimator"],
    ["_pattern"],
    ["linearization"],
    ["network"],
    ["dynamics"],
    ["train"],
    ["ensemble"],
    ["laziness"],
    ["compare"],
    ["studies", "band", "agreement", "convergence"],
    ["required_width"],
    ["study"],
    ["plot"],
    ["_console"],
    ["cli_study"],
    ["cli"],
    ["__main__"],
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
HEAVY_HOMES = {  # relative to the package; a folder stands for everything in it
    "torch": {"_pattern.py", "linearization.py", "network.py", "dynamics", "train.py"},
    "cvxpy": {"solve/grid.py"},
    "matplotlib": {"plot.py", "_console.py"},
    "loky": {"studies/pools.py"},
    "distributed": {"studies/pools.py"},
    "sklearn": {"estimator.py"},
}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
MODULES = [file for file in FILES if file != "__init__.py"]


def imported(file):
    """Dotted names of all modules that a file imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} uses a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def own_modules(file):
    """Files of the package that `file` imports."""
    paths = {name.removeprefix("splinebias.").replace(".", "/") for name in imported(file) if name.startswith("splinebias.")}
    return {f"{path}.py" for path in paths if f"{path}.py" in FILES} - {file}


@pytest.mark.parametrize("file", MODULES)
def test_imports_point_downwards(file):
    layer = file.split("/", maxsplit=1)[0].removesuffix(".py")
    assert layer in RANK, f"say where {file} stands in the layout: add {layer!r} to LAYERS"
    above = {other for other in own_modules(file) if RANK[other.split("/", maxsplit=1)[0].removesuffix(".py")] > RANK[layer]}
    assert not above


def test_modules_do_not_import_in_circles():
    order = list(TopologicalSorter({file: own_modules(file) for file in MODULES}).static_order())  # raises CycleError
    assert set(order) == set(MODULES)


@pytest.mark.parametrize("library", HEAVY_HOMES)
def test_heavy_libraries_are_imported_in_their_homes_only(library):
    users = {file for file in FILES if any(name.split(".")[0] == library for name in imported(file))}
    homes = HEAVY_HOMES[library]
    assert {file for file in users if not {file, file.split("/", maxsplit=1)[0]} & homes} == set()


def loaded_after(code):
    """Names of the modules in a fresh interpreter that ran `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy():
    loaded = loaded_after("import splinebias")
    assert not loaded & {*HEAVY_HOMES, "scipy", "numpy", "click", "tqdm"}


def test_the_command_line_starts_without_the_mathematics():
    loaded = loaded_after("import splinebias.cli")
    assert "click" in loaded
    assert not loaded & {*HEAVY_HOMES, "scipy", "numpy", "tqdm"}


def test_a_prediction_needs_no_torch_no_cvxpy_and_no_matplotlib():
    loaded = loaded_after(
        "import splinebias as sb\n"
        "problem = sb.Problem(sb.Dataset([0, 1, 2], [0, 1, 0]), sb.Initialization.pytorch_default())\n"
        "assert sb.predict(problem).outcome.ok"
    )
    assert not loaded & set(HEAVY_HOMES)


@pytest.mark.parametrize("name", sb.__all__)
def test_every_public_name_exists_and_says_what_it_is(name):
    value = getattr(sb, name)
    if name != "__version__":
        assert value.__doc__
    assert name in dir(sb)


def test_a_verb_stays_a_function_after_its_module_is_imported():
    for name in ("predict", "train", "compare", "study", "penalty", "plot"):
        __import__(f"splinebias.{name}")
        assert callable(getattr(sb, name))


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="module 'splinebias' has no attribute 'forecast'"):
        sb.forecast  # noqa: B018
