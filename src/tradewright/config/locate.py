"""Find the class or function behind a dotted ``_target_`` in source text: nothing is imported.

Names are followed over at most four re-exports. What the text does not settle - star imports that lead nowhere, lazy
packages, compiled code - is None; only a path that provably leads nowhere is an error.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tradewright.config.source import Module, find_module, flatten, load_module
from tradewright.config.targets import LIBRARIES
from tradewright.errors import suggest

MAX_REEXPORTS = 4
MAX_STARS = 16
"""A module with more star imports is a catalogue of a whole library; searching it would take seconds."""
MAX_HINT = 200
"""Characters; a longer list of known names helps nobody."""
WITHOUT_ARGUMENTS = {"object", "ABC", "Protocol", "Generic"}
"""Bases that add no constructor argument."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnknownTargetError(Exception):
    """The dotted path provably leads nowhere; the message says at which part."""


@dataclass(frozen=True)
class Located:
    """A class or function and the module whose names its annotations use."""

    module: Module
    node: ast.ClassDef | Function
    is_bound: bool = False  # a classmethod: the first argument is not the caller's


def locate(target: str) -> Located | None:
    """Return the definition behind a dotted path, or None when the source does not settle it.

    Raises:
        UnknownTargetError: A module or a name of the path does not exist.
    """
    parts = target.split(".")
    if not all(part.isidentifier() for part in parts):
        raise UnknownTargetError(f"{target!r} is no dotted path to a class or function")
    depth = next((n for n in range(len(parts), 0, -1) if find_module(".".join(parts[:n])) is not None), 0)
    if depth == 0:
        raise UnknownTargetError(f"no module named {parts[0]!r} is installed")
    if depth == len(parts):
        raise UnknownTargetError(f"{target!r} is a module, not a class or function")
    module = load_module(".".join(parts[:depth]))
    return None if module is None else _descend(module, parts[depth:])


def _descend(module: Module, path: list[str]) -> Located | None:
    found = follow(module, path[0])
    if found is None:
        if path[0] in module.names or _may_hide(module):
            return None
        hint = suggest(path[0], _public_names(module))
        raise UnknownTargetError(f"{module.name} has no {path[0]!r}{hint if len(hint) < MAX_HINT else ''}")
    if isinstance(found, Module):
        return _descend(found, path[1:]) if len(path) > 1 else None
    return found if len(path) == 1 else _member(found, path[1:])


def _member(owner: Located, path: list[str]) -> Located | None:
    """Return the class method or inner class, looked for in the class and the bases that are in source."""
    for cls, statement in _class_statements(owner):
        if isinstance(statement, ast.ClassDef) and statement.name == path[0]:
            inner = Located(cls.module, statement)
            return inner if len(path) == 1 else _member(inner, path[1:])
        if isinstance(statement, Function) and statement.name == path[0]:
            kinds = {last_name(decorator) for decorator in statement.decorator_list}
            if len(path) > 1 or not kinds or not kinds <= {"classmethod", "staticmethod"}:
                return None
            return Located(cls.module, statement, is_bound="classmethod" in kinds)
    return None


def follow(module: Module, name: str, reexports: int = 0) -> Located | Module | None:
    """Return what ``name`` stands for in a module, or None when it is unknown or not a definition."""
    if reexports > MAX_REEXPORTS:
        return None
    binding = module.names.get(name)
    if isinstance(binding, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return Located(module, binding)
    if isinstance(binding, ast.Name) and binding.id != name:
        return follow(module, binding.id, reexports + 1)
    if isinstance(binding, tuple):
        source, attribute = binding
        target = load_module(source)
        if target is None or attribute is None:
            return target
        return follow(target, attribute, reexports + 1)
    if binding is not None:
        return None
    for source in module.stars if len(module.stars) <= MAX_STARS else ():
        target = load_module(source)
        found = None if target is None else follow(target, name, reexports + 1)
        if found is not None:
            return found
    return load_module(f"{module.name}.{name}") if module.folders else None


def _may_hide(module: Module, reexports: int = 0) -> bool:
    """Whether the module may define names that its text does not show."""
    if module.is_dynamic or reexports > MAX_REEXPORTS or len(module.stars) > MAX_STARS:
        return True
    starred = [load_module(source) for source in module.stars]
    return any(source is None or _may_hide(source, reexports + 1) for source in starred)


def _public_names(module: Module) -> set[str]:
    """Return the names that a module shows, those of its star imports too."""
    starred = [source for name in module.stars if (source := load_module(name)) is not None]
    shown = {*module.names, *module.submodules()}.union(*(_public_names(source) for source in starred))
    return {name for name in shown if not name.startswith("_")}


def lineage(cls: Located, *, with_libraries: bool = True, seen: frozenset[int] = frozenset()) -> Iterator[Located]:
    """Yield the class and those of its bases that are in source, depth first."""
    yield cls
    for base in bases(cls, with_libraries=with_libraries):
        if base is not None and id(base.node) not in seen:
            yield from lineage(base, with_libraries=with_libraries, seen=seen | {id(cls.node)})


def bases(cls: Located, *, with_libraries: bool = True) -> Iterator[Located | None]:
    """Yield the bases that can carry arguments; None stands for one that the source does not settle."""
    assert isinstance(cls.node, ast.ClassDef)
    for expression in cls.node.bases:
        base = expression.value if isinstance(expression, ast.Subscript) else expression
        if last_name(base) in WITHOUT_ARGUMENTS or not (with_libraries or _is_ours(cls.module, base)):
            continue
        found = resolve(cls.module, base)
        is_class = isinstance(found, Located) and isinstance(found.node, ast.ClassDef) and found.node is not cls.node
        yield found if is_class and isinstance(found, Located) else None


def _is_ours(module: Module, expression: ast.expr) -> bool:
    """Whether a name is not imported from one of the libraries that the design builds on; nothing is read."""
    while isinstance(expression, ast.Attribute):
        expression = expression.value
    binding = module.names.get(expression.id) if isinstance(expression, ast.Name) else None
    return not isinstance(binding, tuple) or binding[0].partition(".")[0] not in LIBRARIES


def resolve(module: Module, expression: ast.expr) -> Located | Module | None:
    """Return what a dotted name in a module stands for."""
    if isinstance(expression, ast.Name):
        return follow(module, expression.id)
    if isinstance(expression, ast.Attribute):
        owner = resolve(module, expression.value)
        return follow(owner, expression.attr) if isinstance(owner, Module) else None
    return None


def class_attribute(target: str, name: str) -> Any:
    """Return the literal value of a class attribute, own or inherited, or None where the source shows none.

    Bases from libraries are not searched: facts about a component are stated by its own class or by one of ours.
    """
    try:
        found = locate(target)
    except UnknownTargetError:
        return None
    if found is None or not isinstance(found.node, ast.ClassDef):
        return None
    for _, statement in _class_statements(found, with_libraries=False):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        names = {entry.id for entry in targets if isinstance(entry, ast.Name)}
        if isinstance(statement, ast.Assign | ast.AnnAssign) and value is not None and name in names:
            return _literal(value)
    return None


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def _class_statements(owner: Located, *, with_libraries: bool = True) -> Iterator[tuple[Located, ast.stmt]]:
    if isinstance(owner.node, ast.ClassDef):
        for cls in lineage(owner, with_libraries=with_libraries):
            assert isinstance(cls.node, ast.ClassDef)
            for statement, _ in flatten(cls.node.body):
                yield cls, statement


def last_name(expression: ast.expr) -> str:
    """Return the last part of a dotted name, also of one that is called; empty for anything else."""
    if isinstance(expression, ast.Call):
        return last_name(expression.func)
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""
