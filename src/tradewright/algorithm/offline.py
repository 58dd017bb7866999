"""``OfflineModule``: what the algorithms share that learn from logged decisions, without trying anything out.

The log is made once, before the first gradient step: decisions of a file, or of rules with some exploration, on the
training bars, replayed through the environment with the configured reward (see ``offline_log``). After that a frame is
a transition sampled from the log: ``total_frames`` of them are learned from, whatever the log's size. Validation is the
usual backtest, so the checkpoint that is tested is chosen as for any other agent.
A gradient step draws no random numbers: noise comes with the batch, from the stream's generator.
Legend: M transitions of a batch.
"""

import logging
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tradewright.algorithm.agent import NETWORK_STREAM, AgentModule, require_positive
from tradewright.algorithm.networks import Body, ModelFactory
from tradewright.algorithm.offline_log import Decided, Log
from tradewright.algorithm.offline_stream import OfflineStream
from tradewright.algorithm.replay import NEXT
from tradewright.algorithm.setting import Setting
from tradewright.data.decisions import read_decisions
from tradewright.env.trading import Accounts, MarketEnv
from tradewright.strategy.strategy import Strategy

log = logging.getLogger(__name__)

EXPLORATION_STREAM = 3
Batch = dict[str, Tensor]
"""Transitions by field, see ``Replay.gather``, and the noise of the losses."""


class OfflineModule(AgentModule):
    """Base of the algorithms that learn from a log.

    Args:
        setting: World and goal.
        model: Trunk factory.
        total_frames: Transitions sampled from the log over the whole training.
        episodes: Whole episodes' worth of transitions instead; None: ``total_frames``.
        num_envs: Accounts that replay the decisions, from different bars on.
        iterations_per_epoch: Iterations between two validations.
        updates_per_iteration: Gradient steps of an iteration.
        batch_size: Transitions per gradient step.
        lr: Learning rate of Adam.
        gamma: Discount per bar, in (0, 1].
        decisions: CSV or Parquet file ``ts, symbol, weight``; None: ``behaviours`` decide.
        behaviours: Rules by name that decide on the training bars where no file is given.
        log_frames: Transitions in the log, >= 1.
        exploration: Probability per decision of a random weight instead of the decided one, in [0, 1).
        compile: Compile the loss.
        tau: Share of the trained weights that moves into the slow ones after each gradient step, in (0, 1].

    Raises:
        ValueError: An argument is out of range, or neither file nor rules are given.
    """

    action_kinds: ClassVar[tuple[str, ...]] = ("continuous", "discrete")
    needs_market: ClassVar[bool] = True

    def __init__(
        self,
        *,
        setting: Setting,
        model: ModelFactory,
        total_frames: int,
        episodes: int | None,
        num_envs: int,
        iterations_per_epoch: int,
        updates_per_iteration: int,
        batch_size: int,
        lr: float,
        gamma: float,
        decisions: str | None,
        behaviours: dict[str, Strategy],
        log_frames: int,
        exploration: float,
        compile: bool,
        tau: float = 1.0,
    ) -> None:
        super().__init__(
            setting=setting,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            iterations_per_epoch=iterations_per_epoch,
            lr=lr,
            gamma=gamma,
            compile=compile,
        )
        require_positive(updates_per_iteration=updates_per_iteration, batch_size=batch_size, log_frames=log_frames)
        if not 0 <= exploration < 1:
            raise ValueError(f"exploration must be in [0, 1), was {exploration}")
        if not 0 < tau <= 1:
            raise ValueError(f"tau must be in (0, 1], was {tau}")
        if decisions is None and not behaviours:
            raise ValueError("behaviours must name at least one rule where decisions is null, had none")
        self.updates_per_iteration, self.batch_size, self.log_frames = updates_per_iteration, batch_size, log_frames
        self.decisions, self.behaviours, self.exploration, self.tau = decisions, behaviours, exploration, tau
        self._model = model
        self._terms: Any = None

    def body(self, *, extra_features: int = 0) -> Body:
        """Return a fresh trunk over the observation.

        Raises:
            ValueError: The model is recurrent; a log keeps single steps.
        """
        body = Body(inputs=self.inputs, model=self._model, extra_features=extra_features)
        if body.is_recurrent:
            raise ValueError("model must not be recurrent: a log keeps single steps; use algorithm=ppo or a2c")
        return body

    @property
    def frames_per_iteration(self) -> int:
        """Transitions sampled in one iteration."""
        return self.batch_size * self.updates_per_iteration

    def decided(self) -> Decided:
        """Return the decisions of the file or of the rules.

        Raises:
            DataError: The file is malformed, or holds decisions outside the training bars.
        """
        stage = self.setting.stage
        assert stage is not None
        assert isinstance(self.env, MarketEnv)
        if self.decisions is not None:
            weights_KTN = read_decisions(self.decisions, stage.panel, stage.rows)[None]
        else:
            weights_KTN = np.full((len(self.behaviours), *stage.panel.close_TN.shape), np.nan)
            for k, strategy in enumerate(self.behaviours.values()):
                for part in stage.rows:
                    decided = strategy.decide(stage.panel, stage.features, part)
                    weights_KTN[k, part.start : part.stop] = decided.weights_TN
        return Decided(weights_KTN, self.env, self.device)

    def stream(self) -> OfflineStream:
        """Make the log and return its batches."""
        world: Any = self.world()
        accounts: Accounts = world
        made = Log(
            accounts=accounts,
            decided=self.decided(),
            num_transitions=self.log_frames,
            exploration=self.exploration,
            generator=self.generator(EXPLORATION_STREAM),
            gamma=self.gamma,
            reward_name=self.setting.reward_name,
        )
        log.info(
            "logged %d transitions of %s: mean reward %.4g; the environment could not follow %.1f%% of the decisions",
            len(made.replay),
            self.decisions or ", ".join(self.behaviours),
            made.mean_reward,
            100.0 * made.mismatch,
        )
        return OfflineStream(agent=self, log=made, generator=self.generator(NETWORK_STREAM))

    def noise(self, num: int, generator: torch.Generator) -> Batch:
        """Return the random numbers that the losses of ``num`` transitions take; none by default."""
        return {}

    @abstractmethod
    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss`` and what is to be logged, by name."""

    def followers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the target networks, each with the network it follows; none by default."""
        return []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; the terms of the last batch of an iteration are logged."""
        if self._terms is None:
            self._terms = self.compiled(self.terms)
        terms: dict[str, Tensor] = self._terms(batch)
        self.log_terms(terms, batch["reward"], batch_idx)
        return terms["loss"]

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update, then let the slow weights follow: θ' ← θ' + τ (θ - θ')."""
        super().optimizer_step(*args, **kwargs)
        with torch.no_grad():
            for slow, trained in self.followers():
                torch._foreach_lerp_(list(slow.parameters()), list(trained.parameters()), self.tau)

    def observed(self, batch: Batch, prefix: str = "") -> list[Tensor]:
        """Return the values of the observation, in the order in which networks take them."""
        return [batch[prefix + key] for key in self.inputs.in_keys]

    def following(self, batch: Batch) -> list[Tensor]:
        """Return the values of the observation after the transition."""
        return self.observed(batch, NEXT)

    def target(self, batch: Batch, value_M: Tensor) -> Tensor:
        """Return r + γ v, where an episode that terminated has no value to come."""
        return batch["reward"] + self.gamma * torch.where(batch["terminated"], 0.0, value_M)
