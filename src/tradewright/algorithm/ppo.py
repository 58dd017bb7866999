"""``algorithm=ppo``: proximal policy optimisation with TorchRL's clipped loss.

L = E[-min(r A, clip(r, 1-ε, 1+ε) A)] + c_v (V - V_target)² - c_e H(π), r = π/π_old, A: generalised advantage estimate.
Deviations of continuous actions do not depend on the state and weights start orthogonal, as in CleanRL and
Stable-Baselines3; on this stack that learns better than TorchRL's state-dependent default.
With ``target_kl``, the first minibatch whose estimate E[r - 1 - ln r] of the divergence between the collecting and the
present policy exceeds it is not learnt from, and neither is what is left of the iteration. Its batches are still handed
out, at no cost, so that an epoch keeps its length: they have no gradient and change neither weights nor moments.
Source: Schulman et al., "Proximal policy optimization algorithms", arXiv 1707.06347; the estimate:
http://joschu.net/blog/kl-approx.html.
"""

from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.objectives import ClipPPOLoss

from tradewright.algorithm.agent import require_positive
from tradewright.algorithm.networks import Actor, Critic, ModelFactory, actor_module, critic_module
from tradewright.algorithm.on_policy import LOGGED, OnPolicyModule
from tradewright.algorithm.setting import Setting
from tradewright.config.runtime import Runtime
from tradewright.errors import ConfigError


class PPO(OnPolicyModule):
    """PPO on parallel environments.

    Args:
        setting: World and goal.
        model: Trunk factory for actor and critic.
        total_frames: Environment steps of the whole training.
        episodes: Whole episodes of the training instead; None: ``total_frames``.
        num_envs: Parallel environments.
        rollout_steps: Steps per environment between updates; one rollout is ``num_envs * rollout_steps`` frames.
        num_minibatches: Minibatches per pass; must divide the rollout (``num_envs`` for a recurrent model).
        num_passes: Passes over each rollout.
        iterations_per_epoch: Rollouts between two validations.
        lr: Learning rate of Adam.
        lr_schedule: ``constant``, or ``linear`` from ``lr`` to 0 over the training.
        gamma: Discount per step, in (0, 1].
        gae_lambda: λ of generalised advantage estimation, in [0, 1].
        normalise_advantage: Scale the advantages of each minibatch to mean 0 and deviation 1.
        clip: ε, in (0, 1).
        target_kl: Divergence at which the rest of an iteration is skipped, > 0; None: never.
        entropy_coefficient: c_e >= 0.
        final_entropy_coefficient: c_e at the end of the training, reached linearly; None: the same.
        value_coefficient: c_v > 0.
        value_clip: Most that a value may move from what it was when collected and still lower the loss; None: any.
        log_deviation: Initial log-deviation of continuous actions.
        compile: Compile the loss with ``torch.compile``.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        setting: Runtime[Setting],
        model: Runtime[ModelFactory],
        total_frames: int,
        episodes: int | None = None,
        num_envs: int = 64,
        rollout_steps: int = 64,
        num_minibatches: int = 8,
        num_passes: int = 4,
        iterations_per_epoch: int = 5,
        lr: float = 3e-4,
        lr_schedule: str = "constant",
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        normalise_advantage: bool = True,
        clip: float = 0.2,
        target_kl: float | None = None,
        entropy_coefficient: float = 0.0,
        final_entropy_coefficient: float | None = None,
        value_coefficient: float = 0.5,
        value_clip: float | None = None,
        log_deviation: float = -0.5,
        compile: bool = False,
    ) -> None:
        if not 0 < clip < 1:
            raise ValueError(f"clip must be in (0, 1), was {clip}")
        if target_kl is not None:
            require_positive(target_kl=target_kl)
        self._clip = clip
        super().__init__(
            setting=setting,
            model=model,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            rollout_steps=rollout_steps,
            num_minibatches=num_minibatches,
            num_passes=num_passes,
            iterations_per_epoch=iterations_per_epoch,
            lr=lr,
            lr_schedule=lr_schedule,
            gamma=gamma,
            gae_lambda=gae_lambda,
            normalise_advantage=normalise_advantage,
            entropy_coefficient=entropy_coefficient,
            final_entropy_coefficient=final_entropy_coefficient,
            value_coefficient=value_coefficient,
            value_clip=value_clip,
            log_deviation=log_deviation,
            compile=compile,
        )
        self.target_kl = target_kl

    def make_loss(
        self, actor: Actor, critic: Critic, *, value_coefficient: float, value_clip: float | None
    ) -> nn.Module:
        """Return TorchRL's clipped loss."""
        return ClipPPOLoss(
            actor_module(actor),
            critic_module(critic),
            clip_epsilon=self._clip,
            entropy_bonus=True,
            entropy_coeff=self.entropy_coefficients[0],
            critic_coeff=value_coefficient,
            loss_critic_type="l2",
            clip_value=value_clip,
            log_explained_variance=False,
            functional=False,
        )

    def terms(self, batch: TensorDict) -> dict[str, Tensor]:
        """Return the terms of the loss, their sum, and the divergence from the collecting policy as ``kl``."""
        terms = super().terms(batch)
        terms["kl"] = terms["mean_ratio"] - 1.0 + terms["kl_approx"]
        # What else TorchRL describes is left out of a compiled loss.
        return {name: terms[name] for name in ("loss_objective", "loss_critic", "loss_entropy", "loss", *LOGGED)}

    def is_far_enough(self, terms: dict[str, Tensor]) -> bool:
        """Return whether the policy has moved by more than ``target_kl``."""
        return self.target_kl is not None and float(terms["kl"]) > self.target_kl

    def on_fit_start(self) -> None:
        """Refuse a stop that processes would not take at the same step.

        Raises:
            ConfigError: ``target_kl`` is set and there are several processes.
        """
        if self.target_kl is not None and self.trainer.world_size > 1:
            raise ConfigError(
                f"algorithm.target_kl must be null on several devices, was {self.target_kl}: each would stop at a step"
                " of its own; use trainer.devices=1"
            )
