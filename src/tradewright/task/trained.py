"""A trained run, taken up again: its configuration, its scaler and its best checkpoint."""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.errors import ConfigError, RunError, suggest
from tradewright.evaluate.bench import Bench
from tradewright.features.scaler import Scaler
from tradewright.output import BEST, CHECKPOINTS, CONFIG, read_json
from tradewright.provenance import Origin, run_origin
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import FITS, SCALER, BaseContext, Context, has_market, read_market

REPLACEABLE = ("data", "backtest", "evaluate", "strategy", "report", "logger")
"""Groups that the command line may change; the others belong to the trained model."""
OWN = ("task", "name", "output_dir", "store", "experiment", "debug", "allow", "generate", "quant", "backend")
"""Keys of the command itself, which say nothing about the trained run; the last three are for language models
beside it."""


FOREIGN = (".zip", ".pkl", ".pickle", ".joblib", ".pt", ".pth", ".onnx", ".h5")
"""Endings of files in which other libraries keep policies."""


def require_run_directory(path: Path) -> None:
    """Refuse the file of a policy, unopened: a pickle runs code when it is read.

    Raises:
        RunError: It is no directory but a file, or looks like one of another library.
    """
    if path.suffix.lower() in FOREIGN:
        raise RunError(
            f"{path}: policy files of other libraries are not read (a pickle runs code when it is opened); supported"
            f" are run directories of tradewright, with {CONFIG} and tensors in {CHECKPOINTS}/: train the agent here,"
            " e.g. `tradewright algorithm=ppo`, and give outputs/default/<run>"
        )
    if path.is_file():
        raise RunError(f"{path}: is a file; expected its run directory, such as outputs/default/<run>")


class TrainedRun:
    """A run directory with a trained agent.

    Args:
        directory: The run directory.

    Raises:
        RunError: It is no run directory, or holds no configuration or no checkpoint.
    """

    def __init__(self, directory: Path) -> None:
        require_run_directory(directory)
        if not (directory / CONFIG).is_file():
            raise RunError(f"{directory}: no {CONFIG}; expected a run directory such as outputs/default/<run>")
        chosen = directory / CHECKPOINTS / BEST
        if not chosen.is_file() and (directory / FITS).is_dir():
            raise RunError(f"{directory}: keeps one agent per fold or control in {FITS}/, and none for all bars")
        if not chosen.is_file():
            raise RunError(f"{directory}: no best checkpoint; only a run that was trained and validated can be used")
        self.directory = directory
        self.checkpoint = directory / CHECKPOINTS / read_json(chosen)["checkpoint"]
        loaded = OmegaConf.load(directory / CONFIG)
        assert isinstance(loaded, DictConfig)
        self.cfg = loaded
        self.origin: Origin = run_origin(directory, is_current=False)
        self.evidence: dict[str, object] = {}
        """What is known of the loaded model besides its positions, by kind of evidence."""

    def configured(self, cfg: DictConfig, origin: Origin) -> DictConfig:
        """Return the run's configuration with what the command line changes: whole groups, or single keys of them.

        Args:
            cfg: The command's own configuration.
            origin: What its command line chose.

        Raises:
            ConfigError: A key belongs to the trained model, or the run has no such key.
        """
        merged = self.cfg.copy()
        for text in origin.overrides:
            parsed = OverridesParser.create().parse_override(text)
            key = parsed.key_or_group
            group, _, inner = key.partition(".")
            if group in OWN:
                continue
            if group not in REPLACEABLE:
                raise ConfigError(
                    f"{key}: belongs to the trained run {self.directory}; only {', '.join(REPLACEABLE)} can be changed"
                )
            if not inner:
                merged[group] = OmegaConf.create(OmegaConf.to_container(cfg[group], resolve=True))
            else:
                _set(merged, key, OmegaConf.select(cfg, key), is_new=parsed.is_add() or parsed.is_force_add())
        return merged

    def market(self, cfg: DictConfig) -> Bench:
        """Read the market, scaled as the run's model expects.

        Raises:
            RunError: The run has no market.
        """
        if not has_market(self.cfg):
            raise RunError(f"{self.directory}: was trained without a market, so there are no bars to decide on")
        return read_market(cfg, with_features=True, fitted=Scaler.load(self.directory / SCALER))

    def require_unseen(self, bench: Bench) -> None:
        """Refuse a test range that reaches into the bars on which the run was trained and chosen.

        Raises:
            RunError: Symbols are shared and the test range starts too early.
        """
        own = read_market(self.cfg, with_features=False)
        seen_until = own.panel.ts_T[own.ranges.validation.stop - 1]
        first = bench.panel.ts_T[bench.ranges.test.start]
        if set(own.panel.symbols) & set(bench.panel.symbols) and first <= seen_until:
            raise RunError(
                f"{self.directory}: was trained and chosen on bars up to {seen_until}, but the test range starts at"
                f" {first}; choose a later data.split or data.start"
            )

    def require_same_instruments(self, bench: Bench) -> None:
        """Refuse other instruments, or another order, for an agent that trades all of them from one account.

        Raises:
            RunError: Its weights would go to other instruments than those it learned them for.
        """
        if class_attribute(str(self.cfg.env._target_), "is_joint") is not True:
            return
        own, given = read_market(self.cfg, with_features=False).panel.symbols, bench.panel.symbols
        if own != given:
            raise RunError(
                f"{self.directory}: its joint account trades {_listed(own)}, the data have {_listed(given)}; choose the"
                " same in the same order with data.symbols"
            )

    def strategy(self, cfg: DictConfig, bench: Bench) -> Strategy:
        """Build the run's agent with its best weights, for another market of the same features.

        Raises:
            RunError: A joint account would trade other instruments.
        """
        self.require_same_instruments(bench)
        return self.load(
            Context(
                cfg=cfg,
                directory=self.directory,
                resume=False,
                origin=self.origin,
                bench=bench,
                evaluation=build(cfg.evaluate, key="evaluate"),
            )
        )

    def load(self, context: BaseContext) -> Strategy:
        """Build the run's agent with its best weights in a context, with or without a market."""
        from tradewright.task.agent_learner import build_algorithm
        from tradewright.task.learner import learns_from_labels, make_learner
        from tradewright.task.train import load_weights

        if learns_from_labels(context.cfg):
            learner = make_learner(context)
            load_weights(learner.module, self.checkpoint)
            self.evidence = learner.conclude()
            forecast: Strategy = learner.strategy()
            return forecast
        algorithm = build_algorithm(context)
        load_weights(algorithm, self.checkpoint)
        strategy: Strategy = build(context.cfg.strategy, key="strategy", agent=algorithm, name=context.strategy_name)
        return strategy


MAX_LISTED = 5
"""Symbols named in a message."""


def _listed(symbols: tuple[str, ...]) -> str:
    more = f" and {len(symbols) - MAX_LISTED} more" if len(symbols) > MAX_LISTED else ""
    return ", ".join(symbols[:MAX_LISTED]) + more


def _set(cfg: DictConfig, key: str, value: Any, *, is_new: bool) -> None:
    """Set an existing key, or with ``+`` a new one.

    Raises:
        ConfigError: There is no such key.
    """
    parent, _, name = key.rpartition(".")
    owner = OmegaConf.select(cfg, parent)
    if not isinstance(owner, DictConfig) or (name not in owner and not is_new):
        known = [str(entry) for entry in owner] if isinstance(owner, DictConfig) else []
        raise ConfigError(f"{key}: the trained run has no such key{suggest(name, known)}")
    plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    OmegaConf.update(cfg, key, plain, force_add=is_new, merge=False)
