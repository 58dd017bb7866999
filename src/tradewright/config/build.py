"""``build``: the only function that turns a ``_target_`` node into an object.

Targets are limited to allowed packages, containers arrive as plain lists and dicts, and what a constructor refuses is
reported with the configuration key: ``fee_bps must be >= 0, was -1`` becomes
``backtest.costs.fee_bps must be >= 0, was -1``.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import Container, DictConfig, ListConfig, OmegaConf

from tradewright.config.targets import is_allowed, open_own_folder, refusal
from tradewright.errors import ConfigError, TradewrightError

REFUSALS = (ValueError, TypeError, ImportError, OSError)
"""What a constructor raises when its arguments do not work out; anything else is a defect and keeps its traceback."""
NAMED_REFUSALS = {"MisconfigurationException", "PackageNotFoundError"}
"""Further ones, by name, because their libraries are not imported here (Lightning's, bitsandbytes')."""


def build(node: Any, *, key: str, **runtime: Any) -> Any:
    """Build the object that a node describes.

    Args:
        node: A node with ``_target_``; nested nodes are built first. ``_partial_: true`` gives a callable of
            keyword arguments, whose refusals name ``key`` too.
        key: Where the node stands in the configuration; errors start with it.
        runtime: Further arguments of the target (its ``Runtime[T]`` parameters); passed as they are.

    Raises:
        ConfigError: A target is not allowed or cannot be imported, or a constructor refuses its arguments.
        TradewrightError: Raised by a constructor; passed on unchanged.
    """
    if not isinstance(node, Mapping | DictConfig) or "_target_" not in node:
        raise ConfigError(f"{key}: expected a node with _target_, was {node!r}")
    content, allow = _detach(node)
    open_own_folder(allow)
    _require_allowed(content, key, allow)
    is_partial = bool(content.pop("_partial_", False))
    detached = OmegaConf.create(content, flags={"allow_objects": True})
    try:
        # Runtime objects do not pass through Hydra: it would take dataclasses among them for configuration.
        factory = instantiate(detached, _convert_="all", _partial_=True)
    except InstantiationException as error:
        found = re.search(r"^full_key: (.+)$", str(error), re.MULTILINE)
        where = _path_of(detached, found.group(1), key) if found else key
        _raise_with_key(error.__cause__ or error, where or key, error)
    if is_partial:
        return functools.partial(_make, factory, key, **runtime)
    return _make(factory, key, **runtime)


def _make(factory: Callable[..., Any], key: str, /, **runtime: Any) -> Any:
    """Call the target, now or as the callable of a partial node, whose caller has a key of its own."""
    try:
        return factory(**runtime)
    except InstantiationException as error:
        _raise_with_key(error.__cause__ or error, key, error)
    except Exception as error:  # noqa: BLE001 - sorted and re-raised below
        _raise_with_key(error, key, error)


def _detach(node: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the node as plain containers, resolved within its configuration, and the root key ``allow``."""
    if not isinstance(node, Container):
        return dict(node), []
    root = node._get_root()
    allow = list(root.get("allow") or []) if isinstance(root, DictConfig) and "allow" in root else []
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    return {str(name): value for name, value in content.items()}, allow


def _require_allowed(value: Any, key: str, allow: Iterable[str]) -> None:
    if isinstance(value, Mapping):
        target = value.get("_target_")
        if isinstance(target, str) and not is_allowed(target, allow):
            raise ConfigError(f"{key}._target_: {refusal(target, allow)}")
        for name, inner in value.items():
            _require_allowed(inner, f"{key}.{name}", allow)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _require_allowed(inner, f"{key}[{index}]", allow)


def _path_of(node: Any, full_key: str, path: str) -> str | None:
    """Return the path of the node that Hydra calls ``full_key``; of list items OmegaConf gives ``costs0``."""
    if isinstance(node, Container) and node._get_full_key(None) == full_key:
        return path
    entries: list[tuple[Any, str]] = []
    if isinstance(node, DictConfig):
        entries = [(node._get_node(name), f"{path}.{name!s}") for name in node]
    elif isinstance(node, ListConfig):
        entries = [(node._get_node(index), f"{path}[{index}]") for index in range(len(node))]
    return next((found for inner, below in entries if (found := _path_of(inner, full_key, below))), None)


def _raise_with_key(cause: BaseException, key: str, source: BaseException) -> NoReturn:
    if isinstance(cause, TradewrightError):
        raise cause
    if isinstance(cause, InstantiationException):
        raise ConfigError(f"{key}: {' '.join(str(cause).split(chr(10) + 'full_key')[0].split())}") from source
    if isinstance(cause, REFUSALS) or type(cause).__name__ in NAMED_REFUSALS:
        text = " ".join(str(cause).split())
        raise ConfigError(f"{key}.{text}" if re.match(r"[a-z_]\w* must ", text) else f"{key}: {text}") from source
    cause.add_note(f"while building {key}")
    raise cause
