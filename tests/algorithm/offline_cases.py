"""What the tests of offline algorithms share: agents, a batch of their log, a rule that knows the optimum."""

from functools import partial

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from tradewright.algorithm.bc import BC
from tradewright.algorithm.cql import CQL
from tradewright.algorithm.iql import IQL
from tradewright.algorithm.replay import NEXT
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.discrete9 import Discrete9
from tradewright.market.positions import Positions
from tradewright.model.mlp import MLP
from tradewright.strategy.buy_and_hold import BuyAndHold
from tradewright.strategy.momentum import Momentum

MODEL = partial(MLP, hidden=[16])
RULES = {"momentum": Momentum(lookback=20), "buy_and_hold": BuyAndHold()}
DISCRETE, CONTINUOUS = Discrete9(window=2, episode_bars=64), Continuous(window=2, episode_bars=64)
ALGORITHMS = [BC, IQL, CQL]
TORCHRL = pytest.mark.filterwarnings(
    "ignore:No target network updater:UserWarning", "ignore:The name .* wasn't part of the annotations:UserWarning"
)
"""What TorchRL's losses say of themselves."""


class Follower:
    """A rule that sides with the sign of the last return: optimal on an autoregressive market."""

    name = "follower"

    def decide(self, panel, features, rows: Range) -> Positions:
        close = panel.close_TN
        signs = np.sign(np.diff(np.log(close), axis=0, prepend=np.log(close[:1])))
        return Positions(weights_TN=np.maximum(signs[rows.start : rows.stop], 0.0))


def offline_of(algorithm, setting, **keys):
    known = {"total_frames": 2048, "num_envs": 8, "batch_size": 32, "updates_per_iteration": 8}
    known |= {"iterations_per_epoch": 2, "log_frames": 512, "behaviours": RULES}
    return algorithm(setting=setting, model=MODEL, **{**known, **keys})


def batch_of(agent) -> dict[str, torch.Tensor]:
    return next(agent.stream().iteration())


def as_tensordict(batch: dict[str, torch.Tensor]) -> TensorDict:
    """The layout of TorchRL's losses."""
    after = {name.removeprefix(NEXT): x for name, x in batch.items() if name.startswith(NEXT)}
    terminated = batch["terminated"][:, None]
    before = {name: batch[name] for name in ("index", "portfolio", "action")}
    after |= {"reward": batch["reward"][:, None], "terminated": terminated, "done": terminated}
    return TensorDict({**before, "next": after}, batch_size=[len(terminated)])
