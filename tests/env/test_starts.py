"""The length of training episodes, as it is said beforehand and as it comes out."""

import numpy as np
import pytest
import torch

from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio import Portfolio
from tradewright.env.world import Stage
from tradewright.features.features import Features
from tradewright.market.rules import AccountRules
from tradewright.reward.log_return import LogReturn


@pytest.mark.parametrize("env", [Continuous, Portfolio])
@pytest.mark.parametrize("episode_bars", [None, 5, 1_000])
@pytest.mark.parametrize("ready_from", [0, 13])
def test_most_steps_of_an_episode_are_those_of_the_longest_that_runs(
    panel_of, env: type, episode_bars: int | None, ready_from: int
) -> None:
    """The oracle runs episodes until each account has ended three: parts of 30 and 25 bars, a window of 4."""
    panel = panel_of(70, 2)
    x_TNF = np.zeros((*panel.close_TN.shape, 1), dtype=np.float32)
    features = Features(x_TNF=x_TNF, names_F=("zero",), ready_from=ready_from)
    stage = Stage(
        panel=panel, features=features, rows=(Range(0, 30), Range(40, 65)), rules=AccountRules(), reward=LogReturn()
    )
    made = env(window=4, episode_bars=episode_bars).on(stage)
    market = MarketTensors.build(panel, features)
    world = made.world(num_envs=20, generator=torch.Generator().manual_seed(0), stage=stage, market=market)
    longest, length_B = 0, torch.zeros(20, dtype=torch.int64)
    for _ in range(80):
        moved = world.step(torch.zeros(20, made.num_actions))
        length_B += 1
        done_B = moved.terminated_B | moved.truncated_B
        longest = max(longest, *length_B[done_B].tolist(), 0)
        length_B[done_B] = 0
        world.restart(done_B)
    assert made.episode_steps(stage) == longest
