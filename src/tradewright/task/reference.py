"""The upper line of a report: the analytic gradient on the run's own bars, features, model and costs.

Its keys are those of ``conf/algorithm/apg.yaml``; a discrete environment becomes the continuous one with the same
weights. It is no trial: nobody chooses it.
"""

from copy import deepcopy
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.env.auto import Auto
from tradewright.env.world import Stage
from tradewright.evaluate.bench import Bench
from tradewright.paths import shipped

CONTINUOUS = "tradewright.env.continuous.Continuous"


def analytic_config(cfg: DictConfig) -> DictConfig:
    """Return the run's configuration with the analytic gradient as its algorithm; logged to nothing but its folder."""
    merged = deepcopy(cfg)
    merged.algorithm = OmegaConf.load(shipped("conf") / "algorithm" / "apg.yaml")
    if class_attribute(str(merged.env._target_), "action_kind") == "discrete":
        merged.env._target_ = CONTINUOUS
    merged.env.entry_signal = False
    merged.env.cost_range = None
    merged.env.cost_curriculum_frames = 0
    merged.trainer.devices = 1  # the accounts of apg live in one process
    merged.trainer.strategy = "auto"
    merged.logger = {}
    merged.strategy.is_deterministic = True
    return merged


def find_obstacle(cfg: DictConfig, bench: Bench) -> str:
    """Return why there is no analytic gradient of a configuration's market; "" if there is one.

    Args:
        cfg: From ``analytic_config``.
        bench: The market.
    """
    from tradewright.algorithm.apg import APG, find_jumps

    if class_attribute(str(cfg.model._target_), "is_recurrent") is True:
        return "the model is recurrent"
    node: Any = build(cfg.env, key="env")
    env = node.choose(APG.action_kinds) if isinstance(node, Auto) else node
    assert bench.features is not None
    stage = Stage(
        panel=bench.panel,
        features=bench.features,
        rows=bench.ranges.training,
        rules=bench.backtest.rules,
        reward=build(cfg.reward, key="reward"),
    )
    return "; ".join(find_jumps(env, stage))
