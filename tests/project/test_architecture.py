"""ARCHITECTURE.md matches the code: its layers, their order, and the home of each library."""

from __future__ import annotations

import ast
import builtins
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from bot import errors

ROOT = Path(__file__).parents[2]
TABLE = re.search(r"\| layer \|.*?\n\n", (ROOT / "ARCHITECTURE.md").read_text(), re.DOTALL)


def rows() -> list[tuple[list[str], list[str]]]:
    """The modules of each row, and the libraries that are said to live there alone."""
    assert TABLE is not None
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in TABLE[0].splitlines()[2:]
        if line
    ]
    paths = [re.findall(r"`([\w/.]+?)/?`", layer) for layer, _, _ in cells]
    homes = [[name.strip() for name in home.split(",") if name.strip()] for _, _, home in cells]
    return [
        ([path.removesuffix(".py").replace("/", ".") for path in p], h)
        for p, h in zip(paths, homes, strict=True)
    ]


def enforced() -> list[set[str]]:
    """The layers that the import rules hold the code to, the highest first."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (rule["layers"] for rule in rules if rule["name"] == "Imports point down")
    return [{name.strip() for name in layer.split("|")} for layer in layers]


def users(library: str) -> set[str]:
    """The modules of ours that import it."""
    found = set()
    for folder in ("bot", "handlers", "storage"):
        for file in (ROOT / folder).rglob("*.py"):
            if library in imports(file):
                found.add(".".join(file.relative_to(ROOT).with_suffix("").parts))
    return found


@cache
def imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def error_classes() -> dict[str, tuple[str, str]]:
    """The project's public error classes by name, each with its base class and its module; without the sandbox's."""
    found: dict[str, tuple[str, str]] = {}
    known = {name for name, value in vars(builtins).items() if _is_error(value)}
    classes = [
        (node.name, base.id, module)
        for module, tree in modules()
        if not module.startswith("bot.sandbox")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    ]
    while more := {
        name: (base, module)
        for name, base, module in classes
        if base in known and name not in known
    }:
        found |= more
        known |= more.keys()
    return {name: where for name, where in found.items() if not name.startswith("_")}


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("bot", "handlers", "storage"):
        for file in (ROOT / folder).rglob("*.py"):
            yield (
                ".".join(file.relative_to(ROOT).with_suffix("").parts),
                ast.parse(file.read_text()),
            )


def drawn_errors() -> dict[str, tuple[str, str]]:
    """The error classes as the docstring of `bot/errors.py` draws them."""
    found: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    line_of_tree = re.compile(r" {4}([ │├└─]*)([A-Z]\w+)(?: +\(([\w.]+)\))?")
    for line in (errors.__doc__ or "").splitlines():
        if match := line_of_tree.match(line):
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            found[match[2]] = (path[depth - 1] if depth else "Exception", match[3] or "bot.errors")
    return found


def test_every_error_class_is_in_the_tree_of_errors() -> None:
    assert drawn_errors() == error_classes()


def test_the_tree_of_errors_marks_those_that_the_engine_retries() -> None:
    marked = set(re.findall(r"── (\w+) .* retried$", errors.__doc__ or "", re.MULTILINE))
    retried = {
        error.__name__
        for error in errors.ProviderError.__subclasses__()
        if error.retried_automatically
    }
    assert marked == retried


def test_the_layers_are_those_that_the_import_rules_hold() -> None:
    level = {module: number for number, layer in enumerate(enforced()) for module in layer}
    written = [module for modules, _ in rows() for module in modules]
    assert sorted(written) == sorted(level)
    lowest = [max(level[module] for module in modules) for modules, _ in rows()]
    highest = [min(level[module] for module in modules) for modules, _ in rows()]
    assert all(above <= below for above, below in zip(lowest, highest[1:], strict=False))


def test_each_library_is_imported_only_where_documented() -> None:
    for modules, libraries in rows():
        for library in libraries:
            strangers = {user for user in users(library) if not user.startswith(tuple(modules))}
            assert not strangers, f"{library} is said to live in {modules}"
            assert users(library), f"nobody uses {library}"


def test_every_module_is_in_a_layer_or_named_as_an_exception() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    layers = tuple(module for modules, _ in rows() for module in modules)
    for file in (ROOT / "bot").glob("*.py"):
        module = f"bot.{file.stem}"
        assert (
            module.startswith(layers) or f"`bot/{file.name}`" in text or file.stem.startswith("__")
        ), module


def test_no_circle_of_modules() -> None:
    """Imports for type checkers included. A circle is raised as CycleError, which names it."""
    trees = {module.removesuffix(".__init__"): tree for module, tree in modules()}
    graph = {
        module: {
            name
            for node in ast.walk(tree)
            for name in imported(node)
            if name in trees and name != module
        }
        for module, tree in trees.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(trees) > 400


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports, and the names in them, which may be modules too."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        whole = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from whole
        if not all(map(is_module, whole)):
            yield node.module


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()
