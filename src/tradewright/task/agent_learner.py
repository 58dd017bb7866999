"""``AgentLearner``: an algorithm that learns to act, and the policy that comes of it."""

from collections.abc import Callable
from functools import partial

import lightning

from tradewright.algorithm.agent import AgentModule
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.setting import Setting
from tradewright.config.build import build
from tradewright.env.world import Stage
from tradewright.evaluate.evidence import Leaks
from tradewright.evaluate.leak_run import check_training
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import BaseContext, Context


class AgentLearner:
    """A ``Learner``, see there.

    Args:
        context: The run or fold.
    """

    module: AgentModule

    def __init__(self, context: BaseContext) -> None:
        self.context = context
        self.module = build_algorithm(context)

    def data(self) -> lightning.LightningDataModule:
        """Return the training stream."""
        return AgentDataModule(self.module)

    def strategy(self) -> Strategy:
        """Return the agent, as it is now, as the configured strategy."""
        return _as_strategy(self.context, self.module)

    def conclude(self) -> dict[str, object]:
        """Return nothing: an agent is its positions, and its checkpoint is what later commands load."""
        return {}

    def leak_check(self) -> Callable[..., Leaks] | None:
        """Return the check of features, scaler, environment and ranges; without a market nothing can look ahead."""
        context = self.context
        if not isinstance(context, Context):
            return None
        feature_set = build(context.cfg.features, key="features")
        embargo_bars = 0 if context.fit else int(context.cfg.data.split.embargo_bars)  # folds keep one of their own
        return partial(check_training, context.bench, feature_set, self.module, embargo_bars=embargo_bars)


def _as_strategy(context: BaseContext, algorithm: AgentModule) -> Strategy:
    strategy: Strategy = build(context.cfg.strategy, key="strategy", agent=algorithm, name=context.strategy_name)
    return strategy


def build_algorithm(context: BaseContext) -> AgentModule:
    """Build the algorithm that the configuration names, for the context's market or environment."""
    cfg = context.cfg
    stage = _stage(context) if isinstance(context, Context) else None
    setting = Setting(
        env=build(cfg.env, key="env"),
        stage=stage,
        reward_name=context.origin.choices.get("reward", type(stage.reward).__name__) if stage else "none",
        validate=lambda agent: context.validate(_as_strategy(context, agent)),
        seed=cfg.seed,
    )
    model = build(cfg.model, key="model")
    algorithm: AgentModule = build(cfg.algorithm, key="algorithm", setting=setting, model=model)
    return algorithm


def _stage(context: Context) -> Stage:
    bench = context.bench
    assert bench.features is not None
    return Stage(
        panel=bench.panel,
        features=bench.features,
        rows=bench.ranges.training,
        rules=bench.backtest.rules,
        reward=build(context.cfg.reward, key="reward"),
    )
