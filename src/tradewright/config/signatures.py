"""What a located class or function takes, read from its source: ``__init__``, dataclass fields or plain arguments.

Inherited constructors and inherited dataclass fields are followed as far as the source shows them. Unknown
decorators, metaclasses and ``__new__`` make a target unchecked (None), never an error.
"""

import ast
from dataclasses import dataclass, field
from typing import Any

from tradewright.config.locate import Function, Located, bases, last_name, lineage
from tradewright.config.runtime import MARK
from tradewright.config.source import Module, flatten

TRANSPARENT = {"final", "runtime_checkable", "total_ordering", "override", "no_type_check", "_defaults_from_env_vars"}
"""Decorators that leave a signature as it is; the last is Lightning's, on ``Trainer.__init__``."""


@dataclass(frozen=True)
class Parameter:
    """One argument that can be passed by name.

    Args:
        annotation: Expression of the type, or None.
        module: The module whose names the annotation uses.
        is_required: Whether it has no default.
        is_optional: Whether the default is None, so that None is accepted whatever the annotation says.
        is_runtime: Whether the run supplies it (``Runtime[T]``).
    """

    annotation: ast.expr | None
    module: Module
    is_required: bool
    is_optional: bool = False
    is_runtime: bool = False


@dataclass(frozen=True)
class Signature:
    """The arguments of a target.

    Args:
        name: Class or function, as errors name it.
        parameters: By name.
        takes_any: Whether it has ``**kwargs`` or a base that the source does not settle.
        owner: The class whose metaclass may accept further names.
    """

    name: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    takes_any: bool = False
    owner: Located | None = None

    def may_take_others(self) -> bool:
        """Whether names beyond ``parameters`` may be accepted; reads the bases only when asked."""
        return self.takes_any or (self.owner is not None and _has_metaclass(self.owner))


def signature(located: Located) -> Signature | None:
    """Return what a located target takes, or None when its source does not settle it."""
    if isinstance(located.node, ast.ClassDef):
        return _class_signature(located)
    if not _decorators(located.node) <= TRANSPARENT | {"classmethod", "staticmethod"}:
        return None
    return _function_signature(located, located.node, located.node.name, skip_first=located.is_bound)


def _class_signature(cls: Located) -> Signature | None:
    assert isinstance(cls.node, ast.ClassDef)
    name = cls.node.name
    if not _decorators(cls.node) <= TRANSPARENT | {"dataclass"}:
        return None
    methods = {s.name: s for s, _ in flatten(cls.node.body) if isinstance(s, ast.FunctionDef)}
    alternatives = {s.name for s, is_other in flatten(cls.node.body) if is_other and isinstance(s, ast.FunctionDef)}
    if "__init__" in methods:
        if "__init__" in alternatives or not _decorators(methods["__init__"]) <= TRANSPARENT:
            return None
        found = _function_signature(cls, methods["__init__"], name, skip_first=True)
        return Signature(name, found.parameters, found.takes_any, owner=cls)
    if "dataclass" in _decorators(cls.node):
        fields, is_complete = _dataclass_fields(cls)
        return Signature(name, fields, takes_any=not is_complete)
    if "__new__" in methods or _has_metaclass(cls):
        return None
    for base in bases(cls):
        inherited = None if base is None else _class_signature(base)
        return None if inherited is None else Signature(name, inherited.parameters, inherited.takes_any, cls)
    return Signature(name)


def _function_signature(scope: Located, function: Function, name: str, *, skip_first: bool) -> Signature:
    arguments = function.args
    ordered = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(ordered) - len(arguments.defaults)) + list(arguments.defaults)
    by_name = list(zip(ordered, defaults, strict=True))[max(len(arguments.posonlyargs), int(skip_first)) :]
    by_name += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parameters = {argument.arg: _parameter(scope.module, argument.annotation, default) for argument, default in by_name}
    return Signature(name, parameters, takes_any=arguments.kwarg is not None)


def _parameter(module: Module, annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            annotation = None
    is_none = isinstance(default, ast.Constant) and default.value is None
    return Parameter(annotation, module, default is None, is_none, _is_runtime(module, annotation))


def _is_runtime(module: Module, annotation: ast.expr | None) -> bool:
    if not isinstance(annotation, ast.Subscript):
        return False
    if last_name(annotation.value) == "Runtime":
        binding = module.names.get("Runtime")
        return binding is None or (isinstance(binding, tuple) and binding[0].endswith("config.runtime"))
    if last_name(annotation.value) != "Annotated" or not isinstance(annotation.slice, ast.Tuple):
        return False
    return any(isinstance(item, ast.Constant) and item.value == MARK for item in annotation.slice.elts[1:])


def _dataclass_fields(cls: Located) -> tuple[dict[str, Parameter], bool]:
    """Return the fields of a class and its bases in source, and whether every base was in source."""
    assert isinstance(cls.node, ast.ClassDef)
    fields: dict[str, Parameter] = {}
    is_complete = True
    for base in reversed(list(bases(cls))):
        inherited, base_is_complete = ({}, False) if base is None else _dataclass_fields(base)
        fields.update(inherited)
        is_complete = is_complete and base_is_complete
    if "dataclass" in _decorators(cls.node):
        for statement, _ in flatten(cls.node.body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                _add_field(fields, cls.module, statement.target.id, statement.annotation, statement.value)
    return fields, is_complete


def _add_field(
    fields: dict[str, Parameter], module: Module, name: str, annotation: ast.expr, default: ast.expr | None
) -> None:
    """Add one annotated class attribute to the fields, unless it is none of the constructor's arguments."""
    outer = last_name(annotation.value if isinstance(annotation, ast.Subscript) else annotation)
    if outer in {"ClassVar", "KW_ONLY"}:
        return
    if isinstance(default, ast.Call) and last_name(default.func) == "field":
        options: dict[str, Any] = {
            keyword.arg: keyword.value for keyword in default.keywords if keyword.arg is not None
        }
        if isinstance(options.get("init"), ast.Constant) and options["init"].value is False:
            fields.pop(name, None)
            return
        default = options.get("default", options.get("default_factory"))
    if outer == "InitVar" and isinstance(annotation, ast.Subscript):
        annotation = annotation.slice
    fields[name] = _parameter(module, annotation, default)


def _has_metaclass(cls: Located) -> bool:
    """Whether a metaclass other than ``ABCMeta`` may change what the call accepts."""
    return any(
        keyword.arg == "metaclass" and last_name(keyword.value) != "ABCMeta"
        for owner in lineage(cls)
        if isinstance(owner.node, ast.ClassDef)
        for keyword in owner.node.keywords
    )


def _decorators(node: ast.ClassDef | Function) -> set[str]:
    return {last_name(decorator) for decorator in node.decorator_list}
