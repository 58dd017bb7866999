"""``Setting``: everything a reinforcement-learning algorithm is given by the spine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tradewright.env.auto import Auto
from tradewright.env.world import Env, Stage


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The world and the goal of one agent.

    Args:
        env: Builds the training environments.
        stage: The market; None for environments that are none.
        reward_name: Option name of the reward, for messages.
        validate: Returns the figures by which the agent is chosen, without prefix: of a backtest on the validation
            range, or of episodes of its own.
        seed: Seed of everything random in training.
    """

    env: Env | Auto
    stage: Stage | None
    reward_name: str
    validate: Callable[[Any], dict[str, float]]
    seed: int
