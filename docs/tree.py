"""The tree of `architecture.md`: every folder and module with the first sentence of its docstring.

python docs/tree.py        # writes it between the marks of the page
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
MARKS = re.compile(r"(<!-- tree -->\n).*(<!-- end of tree -->)", flags=re.DOTALL)


def page() -> str:
    """The page with the tree as the package is now."""
    tree = "\n".join(["```", *lines(ROOT / "splinebias"), "```", ""])
    return MARKS.sub(lambda found: found[1] + tree + found[2], PAGE.read_text(encoding="utf-8"))


def lines(folder: Path, indent: str = "") -> Iterator[str]:
    """One line a module, then one a folder with those of its modules, in alphabetical order."""
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            yield f"{indent}{path.stem:<20} {sentence(path)}"
    for below in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield f"{indent}{below.name + '/':<20} {sentence(below / '__init__.py')}"
        yield from lines(below, indent + "    ")


def sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, without markup."""
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    for pattern, plain in (
        (r":\w+:`([^`]*)`", r"\1"),
        (r"``?([^`]*)``?", r"\1"),
        (r"\\\|", "|"),
        (r"\\(?:sqrt|alpha|rho) ?", ""),
    ):
        first = re.sub(pattern, plain, first)
    return " ".join(first.split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
