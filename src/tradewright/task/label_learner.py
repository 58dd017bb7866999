"""``LabelLearner``: a network that learns a target's labels; its forecasts are judged, and its positions."""

import logging
from collections.abc import Callable
from functools import partial

import lightning

from tradewright.algorithm.label_batches import LabelDataModule
from tradewright.algorithm.multitask import Multitask
from tradewright.config.build import build
from tradewright.errors import ConfigError
from tradewright.evaluate.evidence import Leaks
from tradewright.evaluate.forecasts import FORECASTS, ForecastJudgement, confusion_of, forecast_figures
from tradewright.evaluate.leak_run import check_features_and_ranges
from tradewright.features.features import Features
from tradewright.features.swap_windows import swaps_of
from tradewright.strategy.strategy import Strategy
from tradewright.target.label_sets import LabelledMarket
from tradewright.task.context import BaseContext, Context

log = logging.getLogger(__name__)

JUDGED = ("test", "validation")


class LabelLearner:
    """A ``Learner``, see there.

    Args:
        context: The run or fold.

    Raises:
        ConfigError: There is no market to label.
        DataError: It is no pool with swaps, by which the filters of risk decide.
    """

    module: Multitask

    def __init__(self, context: BaseContext) -> None:
        if not isinstance(context, Context):
            raise ConfigError("algorithm: labels are of the bars of a market; use env=auto")
        self.context = context
        cfg, bench = context.cfg, context.bench
        swaps_of(bench.panel)  # said now, not at the first validation
        target = build(cfg.target, key="target")
        self.module = build(
            cfg.algorithm,
            key="algorithm",
            market=LabelledMarket(bench.panel, self._features, bench.ranges, target),
            model=build(cfg.model, key="model"),
            seed=cfg.seed,
            validate=self._validate,
        )
        sizes = (len(self.module.sets.train), len(self.module.sets.validation), len(self.module.sets.test))
        log.info("%d labelled bars to train on, %d to validate, %d to test", *sizes)

    @property
    def _features(self) -> Features:
        features = self.context.bench.features
        assert features is not None
        return features

    @property
    def name(self) -> str:
        """Option of the algorithm, for tables."""
        return self.context.origin.choices.get("algorithm", "multitask")

    def data(self) -> lightning.LightningDataModule:
        """Return the batches of labelled windows."""
        return LabelDataModule(self.module)

    def strategy(self) -> Strategy:
        """Return the network, as it is now, as the configured strategy."""
        strategy: Strategy = build(self.context.cfg.strategy, key="strategy", forecaster=self.module, name=self.name)
        return strategy

    def conclude(self) -> dict[str, object]:
        """Return how well the network says side, size and return; its checkpoint is what later commands load."""
        if self.context.fit:
            return {}
        metrics: dict[str, float] = {}
        for name in JUDGED:
            metrics |= {f"{name}/{key}": value for key, value in self._figures(name).items()}
        sets = self.module.sets
        log.info("probabilities are calibrated by the temperature %.3g", self.module.calibration)
        judgement = ForecastJudgement(
            name=self.name,
            metrics=metrics,
            num_examples={name: len(getattr(sets, name)) for name in JUDGED},
            confusion=confusion_of(sets.test, self.module.predict(self._features, sets.test.row_B)),
        )
        return {FORECASTS: judgement}

    def _figures(self, name: str) -> dict[str, float]:
        sets = self.module.sets
        known = getattr(sets, name)
        said = self.module.predict(self._features, known.row_B)
        return forecast_figures(sets, known, said, temperature=self.module.calibration)

    def _validate(self, module: Multitask) -> dict[str, float]:
        """Return the figures of forecasts and of a backtest on the validation range."""
        return {**self._figures("validation"), **self.context.validate(self.strategy())}

    def leak_check(self) -> Callable[..., Leaks] | None:
        """Return the check of features and ranges; labels are cut at the end of every range by construction."""
        context = self.context
        feature_set = build(context.cfg.features, key="features")
        embargo_bars = 0 if context.fit else int(context.cfg.data.split.embargo_bars)
        return partial(check_features_and_ranges, context.bench, feature_set, embargo_bars=embargo_bars)
