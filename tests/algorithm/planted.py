"""The planted-signal market: 128 accounts of one instrument each, judged by the backtester on bars nobody trained on.

Bars and fee are those of ``data=planted_signal`` at five basis points. Sharpe ratios are of all bars of all accounts
together, annualised: 128 accounts of 900 bars are 457 years, so that chance moves a ratio by 0.05.
Legend: T bars, N instruments, one account each.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from agents import trainer_of
from omegaconf import OmegaConf

from tradewright.algorithm.agent import AgentModule
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.setting import Setting
from tradewright.backtest.vectorized import Vectorized
from tradewright.callbacks.checkpoints import BestCheckpoint
from tradewright.config.build import build
from tradewright.data.panel import Panel
from tradewright.data.planted_signal import PlantedSignal, read_signal
from tradewright.data.ranges import Range, Ranges
from tradewright.env.world import Stage
from tradewright.evaluate.bench import Bench
from tradewright.features.features import Features
from tradewright.features.pipeline import build_features
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.metrics.ratios import sharpe
from tradewright.metrics.returns import simple_returns
from tradewright.paths import shipped
from tradewright.strategy.policy import Policy
from tradewright.strategy.strategy import Strategy
from tradewright.task.train import load_best

FEE_BPS = 5.0
EMBARGO_BARS = 5


def option(group: str, name: str, **overrides: Any) -> Any:
    """Return a shipped option of a group with keys replaced, as the command line would compose it."""
    node = OmegaConf.load(shipped("conf") / group / f"{name}.yaml")
    unknown = [key for key in overrides if key not in node]
    assert not unknown, f"{group}={name} has no {unknown}"
    return OmegaConf.merge(node, overrides)


def planted_bench(
    folder: Path,
    *,
    num_symbols: int = 128,
    train: int = 1500,
    validation: int = 300,
    test: int = 900,
    fee_bps: float = FEE_BPS,
    **keys: Any,
) -> Bench:
    """Return the market with the shipped features and so many bars of each range; other keys are the market's."""
    marks = np.cumsum([train, EMBARGO_BARS + validation, EMBARGO_BARS + test])
    panel = PlantedSignal(store=str(folder), num_bars=int(marks[2]), num_symbols=num_symbols, **keys).panel()
    ranges = Ranges(
        train=Range(0, int(marks[0])),
        validation=Range(int(marks[0]) + EMBARGO_BARS, int(marks[1])),
        test=Range(int(marks[1]) + EMBARGO_BARS, int(marks[2])),
    )
    feature_set = build(option("features", "price_volume"), key="features")
    features, scaler = build_features(feature_set, panel, ranges.train, folder / "features")
    return Bench(panel, features, ranges, Vectorized(costs=Costs(fee_bps=fee_bps)), scaler)


def accounts_sharpe(bench: Bench, strategy: Strategy, rows: Range) -> float:
    """Return the Sharpe ratio of all bars of all instruments' accounts, each backtested alone."""
    panel, num = bench.panel, len(bench.panel.instruments)
    weights_TN = strategy.decide(panel, bench.features, rows).weights_TN * num
    results = [
        bench.backtest.run(column(panel, n), Positions(weights_TN=weights_TN[:, [n]]), rows, name=strategy.name)
        for n in range(num)
    ]
    return sharpe(np.concatenate([simple_returns(result.equity_T) for result in results]), panel.periods_per_year)


def column(panel: Panel, n: int) -> Panel:
    """Return instrument ``n`` alone."""
    names = ("open_TN", "high_TN", "low_TN", "close_TN", "volume_TN", "tradable_TN")
    return replace(panel, instruments=(panel.instruments[n],), **{name: getattr(panel, name)[:, [n]] for name in names})


class Oracle:
    """Knows the signal: the weight follows ``size`` times it within the bounds, and moves when ``band`` away from it.

    Args:
        size: Weight of a signal of one.
        band: Distance from the target at which the position follows, only as far as the band's edge.
        lowest_weight: Of the environment.
        volatility: Of the market.
    """

    name = "oracle"

    def __init__(self, *, size: float, band: float, lowest_weight: float = -1.0, volatility: float = 0.16) -> None:
        self.size, self.band, self.lowest_weight, self.volatility = size, band, lowest_weight, volatility

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return the weights."""
        signal_TN = read_signal(panel, self.volatility)[rows.start : rows.stop]
        target_TN = np.clip(self.size * signal_TN, self.lowest_weight, 1.0)
        weights_TN = np.zeros_like(target_TN)
        held_N = np.zeros(target_TN.shape[1])
        for t, target_N in enumerate(target_TN):
            held_N = np.clip(held_N, target_N - self.band, target_N + self.band)
            weights_TN[t] = held_N
        return Positions(weights_TN=weights_TN / target_TN.shape[1])


class RandomWeights:
    """Draws a weight per bar, as an agent that knows nothing and explores."""

    name = "random"

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return the weights."""
        num = len(panel.instruments)
        return Positions(weights_TN=np.random.default_rng(self.seed).uniform(-1, 1, (len(rows), num)) / num)


def best_oracle(bench: Bench, *, lowest_weight: float = -1.0) -> Oracle:
    """Return the oracle whose size and band earn most on the validation bars."""
    grid = [
        Oracle(size=size, band=band, lowest_weight=lowest_weight)
        for size in (0.4, 0.7, 1.0, 1.5)
        for band in ((0.0, 0.05, 0.1) if lowest_weight < 0 else (0.0, 0.02))
    ]
    return max(grid, key=lambda oracle: accounts_sharpe(bench, oracle, bench.ranges.validation))


def train_on(
    bench: Bench, folder: Path, *, algorithm: str, env: str, seed: int, env_keys: dict[str, Any], **keys: Any
) -> AgentModule:
    """Train a shipped option and return its best checkpoint by the accounts' Sharpe ratio on the validation bars."""
    torch.set_num_threads(1)
    lightning.seed_everything(seed, verbose=False)
    stage = Stage(
        panel=bench.panel,
        features=bench.features,
        rows=bench.ranges.training,
        rules=bench.backtest.rules,
        reward=build(option("reward", "log_return"), key="reward"),
    )
    setting = Setting(
        env=build(option("env", env, **env_keys), key="env"),
        stage=stage,
        reward_name="log_return",
        validate=partial(_validate, bench),
        seed=seed,
    )
    model = build(option("model", "mlp"), key="model")
    agent: AgentModule = build(option("algorithm", algorithm, **keys), key="algorithm", setting=setting, model=model)
    best = BestCheckpoint(directory=folder)
    trainer_of(folder, agent.max_epochs, [best]).fit(agent, AgentDataModule(agent))
    assert load_best(agent, {"best": best})
    return agent


def _validate(bench: Bench, agent: AgentModule) -> dict[str, float]:
    return {"sharpe": accounts_sharpe(bench, Policy(agent=agent), bench.ranges.validation)}
