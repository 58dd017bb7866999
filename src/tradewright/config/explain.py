"""Turn Hydra's composition errors into one line that starts with the key and says what to do.

Hydra names neither the experiment file behind a bad option nor the nearest key, and advises ``+key=value``, which the
signature check then refuses.
"""

import re
from collections.abc import Callable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from tradewright.config.experiments import GROUP, Experiments, explain_yaml, show
from tradewright.config.grammar import explain_grammar
from tradewright.config.root import root_keys
from tradewright.errors import ConfigError, suggest

HYDRA_ERRORS = (HydraException, OmegaConfBaseException, MarkedYAMLError, ValueError)
"""What composing raises for a mistake in a file or an override; Hydra uses plain ``ValueError`` for defaults lists."""

Compose = Callable[[list[str]], DictConfig | None]


def explain(error: Exception, *, overrides: list[str], experiments: Experiments, compose: Compose) -> ConfigError:
    """Return the error as a ``ConfigError``.

    Args:
        error: One of ``HYDRA_ERRORS``.
        overrides: What was composed.
        experiments: The experiment files, to name the one at fault.
        compose: Composes some overrides, None if it fails; finds the keys that do exist.
    """
    if isinstance(error, MarkedYAMLError):
        name = error.problem_mark.name if error.problem_mark is not None else "YAML"
        return ConfigError(f"{name}: {explain_yaml(error)}")
    if isinstance(error, OverrideParseException):
        return ConfigError(explain_grammar(str(error.override), str(error.message)))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return ConfigError(_missing_option(error, overrides, experiments))
    text = str(error)
    if found := re.match(r"Could not override '([^']+)'", text):
        return ConfigError(_unknown_key(found.group(1), overrides, compose))
    if found := re.match(r"In '([^']+)': Could not override '([^']+)'", text):
        where = _file(found.group(1), experiments)
        return ConfigError(f"{where}: defaults override group {found.group(2)!r}, which does not exist")
    if found := re.match(r"Ambiguous value for argument '([^']+)'", text):
        return ConfigError(
            f"{found.group(1)}: several values need -m (one run each), [...] (a list) or quotes (a text)"
        )
    if found := re.match(r"In '([^']+)': \w+ raised while composing config:\n(.*)", text, re.DOTALL):
        return ConfigError(f"{_file(found.group(1), experiments)}: {_value_fault(found.group(2))}")
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        return ConfigError(_value_fault(str(cause)))
    return ConfigError(" ".join(text.split()) or type(error).__name__)


def _file(config_path: str, experiments: Experiments) -> str:
    """Return the file behind a config path where it is an experiment's, else the path as Hydra names it."""
    group, _, option = config_path.rpartition("/")
    return show(experiments.files[option]) if group == GROUP and option in experiments.files else f"conf/{config_path}"


def _missing_option(error: MissingConfigException, overrides: list[str], experiments: Experiments) -> str:
    group, _, option = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    if group == GROUP and option in experiments.broken:
        return experiments.broken[option]
    if not group:
        return " ".join(str(error).split())
    known = [str(name) for name in error.options or ()]
    listed = f"; options: {', '.join(sorted(known))}" if known else ""
    near = suggest(option, known)
    hint = near if near.startswith("; did you mean") else ""
    is_typed = f"{group}={option}" in {text.lstrip("+") for text in overrides}
    origin = None if is_typed else experiments.origin(group, option)
    return f"{f'{origin}: ' if origin else ''}{group}={option}: no such option{hint}{listed}"


def _unknown_key(key: str, overrides: list[str], compose: Compose) -> str:
    kept = [text for name, text in _keys(overrides) if name != key]
    cfg = compose(kept)
    if cfg is None:
        return f"{key}: no such key"
    parent, _, name = key.rpartition(".")
    while parent and not OmegaConf.is_dict(OmegaConf.select(cfg, parent, throw_on_resolution_failure=False)):
        parent, _, name = parent.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    known = [str(entry) for entry in node if not str(entry).startswith("_") and str(entry) != "hydra"]
    return f"{f'{parent}.' if parent else ''}{name}: no such key{suggest(name, known)}"


def _keys(overrides: list[str]) -> list[tuple[str, str]]:
    """Return key and text of every override that can be parsed."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return [(override.key_or_group, text) for override, text in zip(parsed, overrides, strict=True)]


def _value_fault(text: str) -> str:
    """Return OmegaConf's multi-line message as ``key: what is wrong``."""
    lines = text.splitlines() or [""]
    found = re.search(r"full_key: (.+)", text)
    key = found.group(1).strip() if found else ""
    if unknown := re.match(r"Key '([^']+)' (?:not in|is not in struct)", lines[0]):
        hint = suggest(unknown.group(1), root_keys()) if "." not in key else ""
        return f"{key or unknown.group(1)}: no such key{hint}"
    return f"{key}: {lines[0]}" if key else lines[0]
