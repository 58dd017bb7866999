"""``OfflineModule``: what the algorithms share that learn from logged decisions, without trying anything out.

The log is made once, before the first gradient step: decisions of a file, or of rules with some exploration, on the
training bars, replayed through the environment with the configured reward (see ``offline_log``). After that a frame is
a transition sampled from the log: ``total_frames`` of them are learned from, whatever the log's size. Validation is the
usual backtest, so the checkpoint that is tested is chosen as for any other agent.
Legend: K behaviours, T bars, N symbols.
"""

import logging
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from tradewright.algorithm.agent import NETWORK_STREAM, require_positive
from tradewright.algorithm.networks import ModelFactory
from tradewright.algorithm.offline_log import Decided, Log
from tradewright.algorithm.offline_stream import OfflineStream
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import LOSS, Batch, TransitionModule
from tradewright.data.decisions import read_decisions
from tradewright.env.trading import Accounts, MarketEnv
from tradewright.strategy.strategy import Strategy

log = logging.getLogger(__name__)

EXPLORATION_STREAM = 3


class OfflineModule(TransitionModule):
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
            model=model,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            iterations_per_epoch=iterations_per_epoch,
            updates_per_iteration=updates_per_iteration,
            batch_size=batch_size,
            lr=lr,
            gamma=gamma,
            tau=tau,
            compile=compile,
        )
        require_positive(log_frames=log_frames)
        if not 0 <= exploration < 1:
            raise ValueError(f"exploration must be in [0, 1), was {exploration}")
        if decisions is None and not behaviours:
            raise ValueError("behaviours must name at least one rule where decisions is null, had none")
        self.decisions, self.behaviours = decisions, behaviours
        self.log_frames, self.exploration = log_frames, exploration
        self._terms: Any = None

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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; the terms of the last batch of an iteration are logged."""
        if self._terms is None:
            self._terms = self.compiled(self.terms)
        terms: dict[str, Tensor] = self._terms(batch)
        self.log_terms(terms, batch["reward"], batch_idx)
        return terms[LOSS]
