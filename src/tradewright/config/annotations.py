"""Does a configured value fit an annotation? Only what the text settles is judged; everything else fits.

Understood: int, float (an int fits), bool, str, None, list/Sequence/Iterable, tuple, set, dict/Mapping, Literal,
Union and ``|``, Optional, Annotated, ``Runtime``, module-level aliases, and classes of this package (no scalar is one).
"""

import ast
from collections.abc import Callable
from typing import Any

from tradewright.config.locate import Located, bases, last_name, resolve
from tradewright.config.source import Module, load_module

SCALARS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "None": lambda value: value is None,
}
LISTS = {"list", "List", "Sequence", "Iterable", "Collection", "MutableSequence", "set", "Set", "frozenset"}
DICTS = {"dict", "Dict", "Mapping", "MutableMapping"}
OPEN_BASES = {"Protocol", "Enum", "IntEnum", "StrEnum", "str", "int", "float", "TypedDict", "NamedTuple"}
"""Bases of classes that a plain value may satisfy."""


def fits(annotation: ast.expr | None, value: Any, module: Module) -> bool:
    """Return whether a plain value (None, bool, int, float, str, list, dict) may be passed for the annotation.

    A dict with ``_target_`` is an object to be built and fits everything but a scalar type.
    """
    if annotation is None:
        return True
    if isinstance(annotation, ast.Constant):
        return _constant_fits(annotation, value, module)
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return fits(annotation.left, value, module) or fits(annotation.right, value, module)
    if isinstance(annotation, ast.Subscript):
        return _subscript_fits(annotation, value, module)
    name = last_name(annotation)
    if _is_object(value):
        return name not in SCALARS or name in module.names
    if name in module.names and name not in _typing_names(module):
        return _named_fits(annotation, value, module)
    if name in SCALARS:
        return SCALARS[name](value)
    if name in LISTS | {"tuple", "Tuple"}:
        return isinstance(value, list)
    return isinstance(value, dict) if name in DICTS else True


def describe(annotation: ast.expr, module: Module) -> str:
    """Return the type as an error prints it: ``int | None``, ``'fill' or 'decision'``; aliases are spelled out."""
    if isinstance(annotation, ast.Subscript):
        name, items = last_name(annotation.value), _items(annotation.slice)
        if name == "Literal":
            return " or ".join(ast.unparse(item) for item in items)
        if name in {"Annotated", "Runtime"}:
            return describe(items[0], module)
        if name in {"Optional", "Union"}:
            return " | ".join([describe(item, module) for item in items] + ["None"] * (name == "Optional"))
    alias = module.names.get(last_name(annotation))
    if isinstance(annotation, ast.Name) and isinstance(alias, ast.Subscript | ast.BinOp):
        return describe(alias, module)
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation)


def literals(annotation: ast.expr | None, module: Module) -> list[str]:
    """Return the words that an annotation of fixed words allows, for a suggestion."""
    if isinstance(annotation, ast.Name):
        alias = module.names.get(annotation.id)
        return literals(alias, module) if isinstance(alias, ast.Subscript | ast.BinOp) else []
    if isinstance(annotation, ast.BinOp):
        return literals(annotation.left, module) + literals(annotation.right, module)
    if not isinstance(annotation, ast.Subscript):
        return []
    items = _items(annotation.slice)
    if last_name(annotation.value) == "Literal":
        return [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return [word for item in items for word in literals(item, module)]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _items(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _constant_fits(annotation: ast.Constant, value: Any, module: Module) -> bool:
    if annotation.value is None:
        return value is None
    if isinstance(annotation.value, str):  # a quoted name inside a larger annotation
        try:
            return fits(ast.parse(annotation.value, mode="eval").body, value, module)
        except SyntaxError:
            return True
    return True


def _subscript_fits(annotation: ast.Subscript, value: Any, module: Module) -> bool:
    name, items = last_name(annotation.value), _items(annotation.slice)
    if name in {"Annotated", "Runtime", "Final"}:
        return fits(items[0], value, module)
    if name == "Optional":
        return value is None or fits(items[0], value, module)
    if name == "Union":
        return any(fits(item, value, module) for item in items)
    if _is_object(value):
        return True
    if name == "Literal":
        allowed = [item.value for item in items if isinstance(item, ast.Constant)]
        return len(allowed) < len(items) or any(value == word and type(value) is type(word) for word in allowed)
    if name in LISTS:
        return isinstance(value, list) and all(fits(items[0], item, module) for item in value)
    if name in {"tuple", "Tuple"}:
        return isinstance(value, list) and _tuple_fits(items, value, module)
    if name in DICTS and len(items) == 2:
        return isinstance(value, dict) and all(fits(items[1], item, module) for item in value.values())
    return True


def _tuple_fits(items: list[ast.expr], value: list[Any], module: Module) -> bool:
    if len(items) == 2 and isinstance(items[1], ast.Constant) and items[1].value is ...:
        return all(fits(items[0], item, module) for item in value)
    return len(items) == len(value) and all(fits(i, v, module) for i, v in zip(items, value, strict=True))


def _typing_names(module: Module) -> set[str]:
    """Return the names that a module imports from where the understood types live."""
    sources = {"typing", "typing_extensions", "collections.abc", "builtins"}
    return {name for name, bound in module.names.items() if isinstance(bound, tuple) and bound[0] in sources}


def _named_fits(annotation: ast.expr, value: Any, module: Module) -> bool:
    """Judge a name that the module defines or imports: an alias is followed, a class of ours takes no scalar."""
    name = last_name(annotation)
    bound = module.names[name]
    if isinstance(bound, ast.Subscript | ast.BinOp | ast.Attribute) or (
        isinstance(bound, ast.Name) and bound.id != name
    ):
        return fits(bound, value, module)
    if isinstance(bound, tuple) and bound[1] is not None and isinstance(annotation, ast.Name):
        source = load_module(bound[0])
        alias = None if source is None else source.names.get(bound[1])
        if source is not None and isinstance(alias, ast.Subscript | ast.BinOp):
            return fits(alias, value, source)
    found = resolve(module, annotation)
    if not isinstance(found, Located) or not found.module.name.startswith("tradewright."):
        return True
    return not isinstance(value, bool | int | float | str) or _is_open(found)


def _is_open(cls: Located) -> bool:
    """Whether a plain value may satisfy the class: a protocol, an enumeration, a subclass of a scalar."""
    if not isinstance(cls.node, ast.ClassDef):
        return True
    names = {last_name(b.value if isinstance(b, ast.Subscript) else b) for b in cls.node.bases}
    return bool(names & OPEN_BASES) or any(base is None or _is_open(base) for base in bases(cls))
