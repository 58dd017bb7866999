"""Check every ``_target_`` node of a configuration against the Python signature it names, before anything is imported.

The signature is the only schema. All faults are found at once, sorted, and each starts with its key:
``lora.rr: LoraConfig takes no 'rr'; did you mean 'r'?``. Interpolations are resolved first.
"""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tradewright.config.annotations import describe, fits, literals
from tradewright.config.locate import MAX_HINT, UnknownTargetError, locate
from tradewright.config.root import root_keys
from tradewright.config.signatures import Parameter, Signature, signature
from tradewright.config.targets import is_allowed, refusal
from tradewright.errors import ConfigError, suggest

RESERVED = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


class Unresolved:
    """Stands for a value whose interpolation failed; that has been reported, so it fits everything."""


class Missing:
    """Stands for ``???``."""


def require_valid(cfg: DictConfig) -> None:
    """Raise one ``ConfigError`` with all faults, a line each, if there are any."""
    faults = check(cfg)
    if faults:
        raise ConfigError("\n".join(faults))


def check(cfg: DictConfig) -> list[str]:
    """Return the faults of a composed configuration, sorted; empty if there are none."""
    faults: list[str] = []
    content = plain(cfg, faults)
    known = root_keys()
    faults += [f"{key}: no such key{suggest(key, known)}" for key in content if key not in known]
    allow = content.get("allow")
    faults += _walk(content, "", [entry for entry in allow if isinstance(entry, str)] if allow else [])
    return sorted(set(faults))


def plain(cfg: DictConfig, faults: list[str]) -> dict[str, Any]:
    """Return the configuration as dicts, lists and scalars with interpolations resolved; failures go to ``faults``.

    Hydra's own node is left out.
    """
    return {str(key): _plain(cfg, key, str(key), faults) for key in cfg if key != "hydra"}


def _plain(parent: Any, key: Any, path: str, faults: list[str]) -> Any:
    if OmegaConf.is_missing(parent, key):
        return Missing()
    try:
        value = parent[key]
    except OmegaConfBaseException as error:
        text = parent._get_node(key)._value()
        faults.append(f"{path}: cannot resolve {text!r}: {str(error).splitlines()[0]}")
        return Unresolved()
    if isinstance(value, DictConfig):
        return {str(name): _plain(value, name, _join(path, str(name)), faults) for name in value}
    if isinstance(value, ListConfig):
        return [_plain(value, index, f"{path}[{index}]", faults) for index in range(len(value))]
    return value


def _walk(value: Any, path: str, allow: list[str], *, is_deferred: bool = False) -> Iterator[str]:
    """Yield the faults of a value and everything below it; ``is_deferred``: somebody else completes its arguments."""
    if isinstance(value, dict):
        is_partial = value.get("_partial_") is True
        if "_target_" in value:
            yield from _node(value, path, allow, is_deferred=is_deferred or is_partial)
        below = is_deferred or value.get("_recursive_") is False
        for key, inner in value.items():
            if isinstance(inner, Missing) and not (is_partial and "_target_" in value):
                yield f"{_join(path, key)}: must be given, it is '???'"
            elif key not in RESERVED or key == "_args_":
                yield from _walk(inner, _join(path, key), allow, is_deferred=below)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, Missing):
                yield f"{path}[{index}]: must be given, it is '???'"
            yield from _walk(inner, f"{path}[{index}]", allow, is_deferred=is_deferred)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _node(node: dict[str, Any], path: str, allow: list[str], *, is_deferred: bool) -> Iterator[str]:
    target = node["_target_"]
    if isinstance(target, Missing | Unresolved):
        return
    if not isinstance(target, str):
        yield f"{path}._target_: expected a dotted path, was {target!r}"
        return
    if not is_allowed(target, allow):
        yield f"{path}._target_: {refusal(target, allow)}"
        return
    try:
        located = locate(target)
    except UnknownTargetError as error:
        yield f"{path}._target_: {error}"
        return
    found = None if located is None else signature(located)
    if found is not None:
        yield from _arguments(node, path, found, is_deferred=is_deferred)


def _arguments(node: dict[str, Any], path: str, target: Signature, *, is_deferred: bool) -> Iterator[str]:
    settable = {name for name, parameter in target.parameters.items() if not parameter.is_runtime}
    for key, value in node.items():
        if key in RESERVED:
            continue
        parameter = target.parameters.get(key)
        if parameter is None:
            if not target.may_take_others():
                hint = suggest(key, settable)
                yield f"{path}.{key}: {target.name} takes no {key!r}{hint if len(hint) < MAX_HINT else ''}"
        elif parameter.is_runtime:
            yield f"{path}.{key}: is supplied by the run and cannot be configured"
        elif not _accepts(parameter, value):
            yield f"{path}.{key}: {_mismatch(parameter, value)}"
    if is_deferred or "_args_" in node:
        return
    for name in settable - node.keys():
        if target.parameters[name].is_required:
            yield f"{path}.{name}: must be given, {target.name} has no default for it"


def _accepts(parameter: Parameter, value: Any) -> bool:
    if isinstance(value, Missing | Unresolved) or (value is None and parameter.is_optional):
        return True
    return fits(parameter.annotation, _without_marks(value), parameter.module)


def _without_marks(value: Any) -> Any:
    """Drop unresolved and missing entries, which are reported elsewhere, from lists and dicts."""
    if isinstance(value, list):
        return [_without_marks(item) for item in value if not isinstance(item, Missing | Unresolved)]
    if isinstance(value, dict):
        return {k: _without_marks(item) for k, item in value.items() if not isinstance(item, Missing | Unresolved)}
    return value


def _mismatch(parameter: Parameter, value: Any) -> str:
    assert parameter.annotation is not None
    words = literals(parameter.annotation, parameter.module)
    hint = suggest(value, words) if words and isinstance(value, str) else ""
    shown = "null" if value is None else f"{value!r} ({type(value).__name__})"
    return f"expected {describe(parameter.annotation, parameter.module)}, was {shown}{hint}"
