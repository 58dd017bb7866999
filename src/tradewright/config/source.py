"""Find and parse the source of modules without importing them.

A ``Module`` is a parsed file with its top-level names. Names bound in ``try``/``if`` blocks count, also under
``TYPE_CHECKING``: that is where lazy packages declare what they export.
"""

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

Binding = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.expr | tuple[str, str | None]
"""What a name stands for: a definition, an assigned expression, or an import ``(module, attribute or None)``."""


HEADER = r"^(    (?:async )?def (?!__init__\b)\w+\((?:[^\n]*\)|\n(?: {5,}[^\n]*\n)+    \))(?: -> [^\n]+)?:)"
METHOD = re.compile(HEADER + r"[ \t]*\n(?:(?: {5,}[^\n]*|[ \t]*)\n)+", re.MULTILINE)
"""A method other than ``__init__``: its header on one line or closed at the margin of the class, and its body."""


@dataclass(frozen=True)
class Module:
    """One parsed module.

    Args:
        name: Dotted name.
        names: Top-level name -> binding.
        stars: Modules whose names are imported with ``*``.
        is_dynamic: Whether the module may define names that its text does not show.
        folders: Where its submodules lie; empty for a plain module.
    """

    name: str
    names: dict[str, Binding] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    is_dynamic: bool = False
    folders: tuple[str, ...] = ()

    def submodules(self) -> list[str]:
        """Return the names of the submodules that lie beside this package's ``__init__.py``."""
        entries = [entry for folder in self.folders for entry in Path(folder).glob("*")]
        return sorted(
            {entry.stem for entry in entries if entry.suffix == ".py" or (entry / "__init__.py").is_file()}
            - {"__init__"}
        )


def find_module(name: str) -> ModuleSpec | None:
    """Return the import specification of ``name``, or None; nothing is imported."""
    parent, _, _ = name.rpartition(".")
    if not parent:
        try:
            return importlib.util.find_spec(name)
        except ValueError:  # an imported module without a specification, e.g. __main__
            return None
    above = find_module(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, list(above.submodule_search_locations))


def load_module(name: str) -> Module | None:
    """Return the parsed module, or None when it does not exist or has no Python source."""
    spec = find_module(name)
    if spec is None:
        return None
    folders = tuple(spec.submodule_search_locations or ())
    if spec.origin is None and folders:
        return Module(name=name, folders=folders)
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return _parse(name, spec.origin, Path(spec.origin).stat().st_mtime_ns, folders)


def parse_signatures(text: str) -> ast.Module:
    """Parse a module, leaving out the bodies of methods where its layout shows plainly where they end.

    Large third-party modules are nearly all bodies, which nobody reads here. A text that no longer parses without them
    (a string that starts at the margin, say) is parsed whole.

    Raises:
        SyntaxError: The text is no Python.
    """
    try:
        return ast.parse(METHOD.sub(r"\1\n        pass\n", text))
    except SyntaxError:
        return ast.parse(text)


@lru_cache(maxsize=512)
def _parse(name: str, path: str, _modified_ns: int, folders: tuple[str, ...]) -> Module | None:
    try:
        tree = parse_signatures(Path(path).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return None  # importing it will say why
    reader = _Reader(package=name if folders else name.rpartition(".")[0])
    reader.read(tree.body)
    return Module(
        name=name, names=reader.names, stars=tuple(reader.stars), is_dynamic=reader.is_dynamic, folders=folders
    )


def flatten(body: Iterable[ast.stmt]) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield every statement of a body and of its ``if``/``try``/``with`` blocks, with "is an alternative branch"."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from flatten(statement.body)
            yield from ((inner, True) for inner, _ in flatten(statement.orelse))
        elif isinstance(statement, ast.Try):
            yield from flatten(statement.body)
            for handler in statement.handlers:
                yield from ((inner, True) for inner, _ in flatten(handler.body))
            yield from ((inner, True) for inner, _ in flatten(statement.orelse + statement.finalbody))
        elif isinstance(statement, ast.With):
            yield from flatten(statement.body)
        else:
            yield statement, False


class _Reader:
    """Collect the top-level names of one module."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.names: dict[str, Binding] = {}
        self.stars: list[str] = []
        self.is_dynamic = False

    def read(self, body: Iterable[ast.stmt]) -> None:
        for statement, is_alternative in flatten(body):
            for name, binding in self._bindings(statement):
                if not (is_alternative and name in self.names):
                    self.names[name] = binding
        self.is_dynamic = self.is_dynamic or "__getattr__" in self.names

    def _bindings(self, statement: ast.stmt) -> Iterator[tuple[str, Binding]]:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement.name, statement
        elif isinstance(statement, ast.ImportFrom):
            source = self._absolute(statement)
            for alias in statement.names:
                if alias.name == "*":
                    self.stars.append(source)
                else:
                    yield alias.asname or alias.name, (source, alias.name)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                yield (
                    (alias.asname, (alias.name, None))
                    if alias.asname
                    else (
                        alias.name.partition(".")[0],
                        (alias.name.partition(".")[0], None),
                    )
                )
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                for part in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                    if isinstance(part, ast.Name):
                        yield part.id, statement.value
                    elif not isinstance(part, ast.Attribute):
                        self.is_dynamic = True  # sys.modules[__name__] = ...
        elif not _is_plain(statement):
            self.is_dynamic = True

    def _absolute(self, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        parts = self.package.split(".")
        base = ".".join(parts[: len(parts) - statement.level + 1])
        return f"{base}.{statement.module}" if statement.module else base


def _is_plain(statement: ast.stmt) -> bool:
    """Whether a top-level statement cannot define names: a docstring, ``pass``, a bare annotation, a harmless call."""
    if isinstance(statement, ast.Pass | ast.AnnAssign | ast.Assert | ast.AugAssign | ast.Raise | ast.Delete):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    called = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    return not called & {"exec", "globals", "setattr", "vars"}
