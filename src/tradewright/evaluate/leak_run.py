"""The checks of one run: what a rule's backtest and what a training must pass before their figures count.

Torch is imported only for what trains. Legend: T bars, N instruments.
"""

import time
from collections.abc import Iterator
from logging import getLogger
from typing import Any, Protocol

import numpy as np

from tradewright.data.ranges import Range
from tradewright.evaluate.bench import Bench
from tradewright.evaluate.evidence import Leaks
from tradewright.evaluate.leak_drift import warmup_drift
from tradewright.evaluate.leak_search import Check
from tradewright.evaluate.leak_split import check_split
from tradewright.evaluate.leaks import MAX_VALUES, check_features, check_strategy, require_clean, thin, verdict
from tradewright.features.pipeline import FeatureSet
from tradewright.strategy.strategy import Strategy

log = getLogger(__name__)


class Agent(Protocol):
    """What an environment is built from: an algorithm that learns to act."""

    env: Any
    rules: Any
    setting: Any


def check_rule(
    strategy: Strategy,
    bench: Bench,
    *,
    num_cuts: int = 8,
    seed: int = 0,
    max_values: int | None = MAX_VALUES,
    embargo_bars: int = 0,
) -> Leaks:
    """Check a rule and the ranges before they are judged; costs a few hundredths of a second.

    Args:
        strategy: The rule.
        bench: Its market; it is checked on the bars that it will be judged on.
        num_cuts: Random cuts, >= 8.
        seed: Of cuts and futures.
        max_values: Most bars x instruments looked at; None: all.
        embargo_bars: Unused bars that the ranges promise.

    Raises:
        RunError: A leak was found, or the strategy cannot be checked; the message names the culprit and the bar.
    """
    return _conclude(rule_checks(strategy, bench, num_cuts, seed, max_values, embargo_bars), num_cuts)


def check_training(
    bench: Bench,
    feature_set: FeatureSet,
    agent: Agent,
    *,
    num_cuts: int = 8,
    seed: int = 0,
    max_values: int | None = MAX_VALUES,
    embargo_bars: int = 0,
) -> Leaks:
    """Check features, scaler, environment and ranges before an agent is trained on them.

    Args:
        bench: The market; its scaler is the one that the agent will see.
        feature_set: Computes the features.
        agent: The algorithm, for its environment, account rules and reward.
        num_cuts: Random cuts of each check, >= 8.
        seed: Of cuts and futures.
        max_values: Most bars x instruments looked at; None: all.
        embargo_bars: Unused bars that the ranges promise.

    Raises:
        RunError: A leak was found, or something cannot be checked; the message names the culprit and the bar.
    """
    checks = training_checks(bench, feature_set, agent, num_cuts, seed, max_values, embargo_bars)
    part = thin(bench.panel, max_values, np.random.default_rng(seed))
    return _conclude(checks, num_cuts, drift=warmup_drift(feature_set, part))


def check_features_and_ranges(
    bench: Bench,
    feature_set: FeatureSet,
    *,
    num_cuts: int = 8,
    seed: int = 0,
    max_values: int | None = MAX_VALUES,
    embargo_bars: int = 0,
) -> Leaks:
    """Check features, scaler and ranges before a model is fitted to examples of them; see ``check_training``."""

    def checks() -> Iterator[Check]:
        yield _split(bench, embargo_bars)
        yield from check_features(feature_set, bench.panel, num_cuts=num_cuts, seed=seed, max_values=max_values)

    part = thin(bench.panel, max_values, np.random.default_rng(seed))
    return _conclude(checks(), num_cuts, drift=warmup_drift(feature_set, part))


def rule_checks(
    strategy: Strategy, bench: Bench, num_cuts: int, seed: int, max_values: int | None, embargo_bars: int
) -> Iterator[Check]:
    """Yield the checks of a rule's backtest."""
    yield _split(bench, embargo_bars)
    rows = Range(min(bench.ranges.validation.start, bench.ranges.test.start), bench.panel.num_bars)
    yield check_strategy(strategy, bench.panel, rows, num_cuts=num_cuts, seed=seed, max_values=max_values)


def training_checks(
    bench: Bench,
    feature_set: FeatureSet,
    agent: Agent,
    num_cuts: int,
    seed: int,
    max_values: int | None,
    embargo_bars: int,
) -> Iterator[Check]:
    """Yield the checks of a training, without the policy that it will give."""
    from tradewright.evaluate.leak_rollout import check_environment, trading_simulator

    yield _split(bench, embargo_bars)
    yield from check_features(feature_set, bench.panel, num_cuts=num_cuts, seed=seed, max_values=max_values)
    assert bench.scaler is not None
    make = trading_simulator(agent.env, agent.rules, agent.setting.stage.reward)
    yield check_environment(
        make, feature_set, bench.scaler, bench.panel, window=agent.env.window, num_cuts=num_cuts, seed=seed
    )


def _split(bench: Bench, embargo_bars: int) -> Check:
    in_order = not bench.ranges.train_parts  # cross-validation trains on both sides of a test block
    return check_split(bench.ranges, bench.panel.ts_T, embargo_bars=embargo_bars, in_order=in_order)


def _conclude(checks: Iterator[Check], num_cuts: int, **evidence: Any) -> Leaks:
    start = time.perf_counter()
    found = verdict(checks, num_cuts, **evidence)
    require_clean(found)
    seconds = time.perf_counter() - start
    log.info("no leak in %s (%d random cuts each, %.1f s)", ", ".join(found.checked), num_cuts, seconds)
    return found
