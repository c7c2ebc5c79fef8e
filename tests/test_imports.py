"""The layout: imports point downwards, heavy libraries stay where they belong, and `import splinebias` is light."""

import ast
import json
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from marks import nightly

import splinebias as sb

PACKAGE = Path(sb.__file__).parent
LAYERS = [  # a folder or module may import from those above it in this list, and from nothing beside or below it
    ["errors", "_array"],
    ["_arguments"],
    ["_files", "_result"],
    ["_columns"],
    ["numerics", "data", "activation", "potential", "parameterization", "loss"],
    ["smooth_activation"],
    ["initialization", "functions", "learning_rates"],
    ["datasets", "problem_tables"],
    ["problem"],
    ["rescaling"],
    ["networks", "neurons"],
    ["limit"],
    ["training", "curvature_penalty"],
    ["finite_width", "regimes"],
    ["studies"],
    ["estimator", "plots", "theorems"],
    ["cli"],
    ["__main__"],
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MOST_MODULES = 12
MOST_FLOORS = 14  # of what is imported when a module is loaded
HEAVY_HOMES = {  # relative to the package; a folder stands for everything in it
    "torch": {"networks", "training"},
    "cvxpy": {"limit/grid_solver.py"},
    "matplotlib": {"plots", "cli/console.py"},
    "loky": {"studies/work/pools.py"},
    "distributed": {"studies/work/pools.py"},
    "sklearn": {"estimator.py"},
}
UPWARD = {"_result.py": {"plots/pictures.py"}}  # results draw themselves: the methods that all inherit may point up
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
MODULES = [file for file in FILES if file != "__init__.py"]


def syntax(file):
    """The parsed file."""
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


@cache
def imported(file, *, loading=False):
    """Dotted names of all modules that a file imports anywhere, functions included; or of those it needs for `loading`."""
    found = set()
    for node in syntax(file).body if loading else ast.walk(syntax(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} uses a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def own_modules(file, *, loading=False):
    """Files of the package that `file` imports."""
    names = {name for name in imported(file, loading=loading) if name.startswith("splinebias.")}
    paths = {name.removeprefix("splinebias.").replace(".", "/") for name in names}
    return {f"{path}.py" for path in paths} & set(FILES) - {file}


def room(file):
    """The top-level folder or module that a file belongs to."""
    return file.split("/", maxsplit=1)[0].removesuffix(".py")


def test_imports_point_downwards():
    for file in MODULES:
        assert room(file) in RANK, f"say where {file} stands in the layout: add {room(file)!r} to LAYERS"
        others = {other for other in own_modules(file) - UPWARD.get(file, set()) if room(other) != room(file)}
        upward = {other for other in others if RANK[room(other)] >= RANK[room(file)]}
        assert not upward, f"{file} imports what stands beside or above it"


def test_modules_do_not_import_in_circles():
    below = {file: own_modules(file) - UPWARD.get(file, set()) for file in MODULES}
    order = list(TopologicalSorter(below).static_order())  # raises CycleError
    assert set(order) == set(MODULES)


def test_the_import_graph_is_low():
    """A module stands one floor above the highest that is loaded with it: so many files one opens to follow a call."""
    below = {file: own_modules(file, loading=True) for file in MODULES}
    floors = {}
    for file in TopologicalSorter(below).static_order():
        floors[file] = 1 + max((floors[other] for other in below[file]), default=0)
    assert max(floors.values()) <= MOST_FLOORS


def public_parts(file):
    """Name and docstring of a public module, and of its public classes and functions."""
    if any(part.startswith("_") and part != "__init__.py" for part in file.split("/")):
        return
    tree = syntax(file)
    yield "", ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, ast.get_docstring(node)


def test_what_is_public_says_in_more_than_three_words_what_it_is():
    short = {(file, name) for file in FILES for name, text in public_parts(file) if len((text or "").split()) <= 3}
    assert not short


def test_a_folder_has_at_most_twelve_modules_and_says_what_is_in_it():
    for folder in {(PACKAGE / file).parent for file in MODULES if "/" in file}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MOST_MODULES, f"{folder.name}: merge two of {sorted(path.name for path in modules)}"
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


def test_heavy_libraries_are_imported_in_their_homes_only():
    for file in FILES:
        heavy = {name.split(".")[0] for name in imported(file)} & HEAVY_HOMES.keys()
        abroad = {library for library in heavy if not {file, file.split("/", maxsplit=1)[0]} & HEAVY_HOMES[library]}
        assert not abroad, f"{file} imports {abroad}"


def loaded_after(code):
    """Names of the modules in a fresh interpreter that ran `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy():
    loaded = loaded_after("import splinebias")
    assert not loaded & {*HEAVY_HOMES, "scipy", "numpy", "click", "tqdm"}


def test_the_command_line_starts_without_the_mathematics():
    loaded = loaded_after("import splinebias.cli.main")
    assert "click" in loaded
    assert not loaded & {*HEAVY_HOMES, "scipy", "numpy", "tqdm"}


def test_a_prediction_needs_no_torch_no_cvxpy_and_no_matplotlib():
    loaded = loaded_after(
        "import splinebias as sb\n"
        "problem = sb.Problem(sb.Dataset([0, 1, 2], [0, 1, 0]), sb.Initialization.pytorch_default())\n"
        "assert sb.predict(problem).outcome.ok"
    )
    assert not loaded & set(HEAVY_HOMES)


SPEC = """
import splinebias as sb
problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.pytorch_default())
steps = {"max_steps": 10}
methods = {"flow": sb.MirrorFlow(), "descent": sb.MirrorDescent(**steps), "few": sb.StochasticMirrorDescent(**steps)}
spec = sb.StudySpec(problem, [20, 40], range(2), methods=methods, loss_tol=1e-3)
"""
PROCESSES = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
executor = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
"""


JOBS, EXECUTOR = ("", "jobs=2"), (PROCESSES, "executor=executor")


@pytest.mark.parametrize(
    ("before", "options", "kept"),
    [(*JOBS, True), nightly(*EXECUTOR, False)],
    ids=["jobs-kept", "executor"],
)
def test_who_has_others_train_needs_no_torch(tmp_path, before, options, kept):
    store = f", store={str(tmp_path / 'study.sqlite')!r}" if kept else ""
    loaded = loaded_after(
        f"{SPEC}{before}found = sb.study_grid(spec, {options}{store})\n"
        "assert [len(part.rows) for part in found.parts] == [4, 4, 4]\n"
        "assert all(row.ok for row in found.part(method='flow').rows)\n"
        "found.part(method='flow').function(20, 0)\n"
        "text = str(found)"
    )
    assert not loaded & (set(HEAVY_HOMES) - {"loky"})


def test_who_trains_needs_torch():
    """What the test above would miss if studies did not train."""
    assert "torch" in loaded_after(f"{SPEC}sb.study(problem, [20], [0], loss_tol=1e-2)")


def after_commands(*commands):
    """Modules loaded after command lines of studies in one fresh interpreter, each of which has to end well."""
    run = "try:\n    main(['study', *{!r}])\nexcept SystemExit as end:\n    assert end.code == 0\n"
    return loaded_after("from splinebias.cli.main import main\n" + "".join(map(run.format, commands)))


@pytest.fixture
def study_file(tmp_path):
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.pytorch_default())
    spec = sb.StudySpec(problem, [20, 40], range(2), methods={"flow": sb.MirrorFlow(rtol=1e-3)}, loss_tol=1e-3)
    spec.to_toml(tmp_path / "study.toml")
    return tmp_path / "study.toml"


def test_the_command_line_looks_at_studies_without_torch(study_file):
    store = str(study_file.with_suffix(".sqlite"))
    sb.study_grid(sb.StudySpec.from_toml(study_file), store=store)
    assert not after_commands(["status", store], ["show", store]) & set(HEAVY_HOMES)


@pytest.mark.nightly
def test_the_command_line_has_others_train_without_torch(study_file):
    assert not after_commands(["run", str(study_file), "--jobs", "2"]) & (set(HEAVY_HOMES) - {"loky"})
    assert study_file.with_suffix(".sqlite").exists()


def test_every_public_name_exists_and_says_what_it_is():
    for name in {*sb.__all__} - {"__version__"}:
        assert getattr(sb, name).__doc__, name
    assert {*sb.__all__} <= {*dir(sb), "__version__"}


def test_no_top_level_module_carries_a_public_name():
    """But for those that are public themselves, such as `datasets`: there the name is the module."""
    shared = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()} & set(sb.__all__)
    assert all(getattr(sb, name) is sys.modules[f"splinebias.{name}"] for name in shared)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="No splinebias attribute forecast"):
        sb.forecast  # noqa: B018
