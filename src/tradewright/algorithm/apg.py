"""``algorithm=apg``: the analytic policy gradient, straight through the accounting.

Prices are exogenous: no order moves them, so the equity of an account is a differentiable function of its target
weights, costs included. S bars of B accounts are unrolled with a deterministic policy w = tanh(f(observation)), and the
objective climbs its exact gradient, instead of estimating one from sampled actions. Objectives, over all S·B bars of an
update with simple returns r:

    sharpe      mean(r) / std(r), ddof 1, per bar and not annualised. Undefined where no return differs from another:
                such an update changes nothing and logs NaN; nothing is added to the denominator.
    log_return  100 · mean(ln(1 + r)), percent per bar; the bar in which an account ends counts r itself.

It knows more than an agent that learns from rewards: the accounting itself. That makes it the upper line to measure
others by, and confines it to continuous actions, costs without jumps and no market impact. ``rebalance_threshold`` is
a jump as well: below it nothing is ordered and nothing passed back, so that a policy which starts out still never
learns to move. Training therefore orders every change of weight and pays for it; validation and test keep the
threshold.
Source: Wiedemann et al., "Training efficient controllers via analytic policy gradient", arXiv 2209.13052; the Sharpe
ratio as a differentiable objective: Moody and Saffell, "Learning to trade via direct reinforcement", IEEE Transactions
on Neural Networks 12 (2001).
"""

from copy import copy
from dataclasses import replace
from operator import attrgetter
from typing import ClassVar, cast

import torch
from torch import Tensor

from tradewright.algorithm.agent import NETWORK_STREAM, AgentModule, require_positive
from tradewright.algorithm.analytic_stream import AnalyticStream, OffGraph, Unrolled
from tradewright.algorithm.networks import Body, ModelFactory
from tradewright.algorithm.q_networks import DeterministicActor
from tradewright.algorithm.setting import Setting
from tradewright.config.runtime import Runtime
from tradewright.env.trading import Accounts, MarketEnv
from tradewright.env.world import Stage
from tradewright.errors import ConfigError, MarketError
from tradewright.strategy.policy import Acted

OBJECTIVES = ("sharpe", "log_return")
PERCENT = 100.0
HEAD_GAIN = 0.3
"""Of the initial output layer. The Sharpe ratio does not care for the size of positions, so they stay near where they
start: from 0.01, the gain of agents that explore, they earn half as much at the same ratio."""


class APG(AgentModule):
    """Analytic policy gradient on parallel accounts.

    Args:
        setting: Market, rules and goal; the reward is only logged.
        model: Trunk factory of the policy.
        total_frames: Environment steps of the whole training.
        episodes: Whole episodes of the training instead; None: ``total_frames``.
        num_envs: B, parallel accounts.
        horizon_bars: S, bars that one update unrolls; the graph is cut between two updates, the accounts go on.
        objective: ``sharpe`` or ``log_return``.
        iterations_per_epoch: Updates between two validations.
        lr: Learning rate of Adam.
        gamma: Discount per bar of what an action does later on, in (0, 1]; 1 is the exact gradient.
        compile: Compile the policy network.

    Raises:
        ValueError: An argument is out of range.
        ConfigError: The rules of the backtest have jumps that no gradient passes.
    """

    action_kinds: ClassVar[tuple[str, ...]] = ("continuous",)
    needs_market: ClassVar[bool] = True
    learns_from_reward: ClassVar[bool] = False
    must_be_off: ClassVar[tuple[str, ...]] = (
        "backtest.stop_loss",
        "backtest.take_profit",
        "backtest.trailing",
        "backtest.min_notional",
        "backtest.costs.fixed_fee",
        "backtest.costs.impact",
        "env.entry_signal",
    )
    """Keys that make the accounting jump, or prices answer to orders."""

    def __init__(
        self,
        *,
        setting: Runtime[Setting],
        model: Runtime[ModelFactory],
        total_frames: int,
        episodes: int | None = None,
        num_envs: int = 64,
        horizon_bars: int = 64,
        objective: str = "sharpe",
        iterations_per_epoch: int = 5,
        lr: float = 1e-3,
        gamma: float = 1.0,
        compile: bool = False,
    ) -> None:
        assert setting.stage is not None
        super().__init__(
            setting=replace(setting, stage=replace(setting.stage, reward=OffGraph(setting.stage.reward))),
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            iterations_per_epoch=iterations_per_epoch,
            lr=lr,
            gamma=gamma,
            compile=compile,
        )
        assert isinstance(self.env, MarketEnv)
        found = find_jumps(self.env, setting.stage)
        if found:
            raise ConfigError(f"algorithm=apg needs an accounting without jumps: {'; '.join(found)}")
        self.training_env = _without_threshold(self.env)
        require_positive(horizon_bars=horizon_bars)
        if objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}, was {objective!r}")
        self.horizon_bars, self.objective = horizon_bars, objective
        body = Body(inputs=self.inputs, model=model)
        self.actor = DeterministicActor(body=body, num_actions=self.env.num_actions, gain=HEAD_GAIN)
        self.decide = self.compiled(self._decide)

    @property
    def frames_per_iteration(self) -> int:
        """Environment steps of one update."""
        return self.num_envs * self.horizon_bars

    def stream(self) -> AnalyticStream:
        """Return the chunks of one epoch."""
        return AnalyticStream(
            world=cast(Accounts, self.world()),
            policy=self.decide,
            horizon_bars=self.horizon_bars,
            num_iterations=self.iterations_per_epoch,
            gamma=self.gamma,
            generator=self.generator(NETWORK_STREAM),
        )

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the action of every account; there is nothing random about it."""
        return Acted(self._decide(observation), None)

    def _decide(self, observation: dict[str, Tensor]) -> Tensor:
        return self.actor(*(observation[key] for key in self.inputs.in_keys))

    def training_step(self, batch: AnalyticStream, batch_idx: int) -> Tensor:
        """Unroll a chunk and return the objective with its sign turned."""
        with self.actor.body.encoded(self.frames_per_iteration):
            unrolled = batch.unroll()
        value = objective_of(unrolled, self.objective)
        is_defined = bool(torch.isfinite(value))
        loss = -value if is_defined else 0.0 * unrolled.return_SB.sum()
        self.log_terms({"loss": loss, self.objective: value}, batch, batch_idx)
        return loss

    def on_after_backward(self) -> None:
        """Refuse a gradient that is no number.

        Raises:
            MarketError: Something in the accounting passes back NaN or infinity.
        """
        gradients = {name: weight.grad for name, weight in self.named_parameters()}
        bad = [name for name, x in gradients.items() if x is not None and not bool(x.isfinite().all())]
        if bad:
            raise MarketError(
                f"algorithm=apg: the gradient of {', '.join(bad)} is not finite; look at prices and costs"
            )


def objective_of(unrolled: Unrolled, name: str) -> Tensor:
    """Return the objective of a chunk, float64, to be maximised; NaN where it is undefined."""
    return_SB, ended_SB = unrolled
    if name == "sharpe":
        deviation = return_SB.std(correction=1)
        return return_SB.mean() / deviation if bool(deviation > 0) else torch.full_like(deviation, torch.nan)
    growth_SB = torch.where(ended_SB, return_SB, torch.log1p(torch.where(ended_SB, 0.0, return_SB)))
    return PERCENT * growth_SB.mean()


def _without_threshold(env: MarketEnv) -> MarketEnv:
    smooth = copy(env)
    smooth.rebalance_threshold = 0.0
    return smooth


def find_jumps(env: MarketEnv, stage: Stage) -> list[str]:
    """Return what keeps the accounting of a market from being differentiated, one phrase each."""
    owners = {"backtest": stage.rules, "env": env}
    found = []
    for key in APG.must_be_off:
        group, _, name = key.partition(".")
        value = attrgetter(name)(owners[group])
        if value:
            found.append(f"{key} must be off, was {value}")
    lots = [instrument.symbol for instrument in stage.panel.instruments if instrument.lot]
    if lots:
        found.append(f"{', '.join(lots[:3])}{', ...' if lots[3:] else ''} can only be traded in whole lots")
    return found
