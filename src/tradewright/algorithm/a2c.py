"""``algorithm=a2c``: advantage actor-critic with TorchRL's loss, one gradient step per rollout.

L = E[-ln π(a|s) A] + c_v (V - V_target)² - c_e H(π), A: generalised advantage estimate (λ = 1: the n-step advantage of
the source, over what is left of the rollout). All environments step together: the synchronous form of A3C.
Source: Mnih et al., "Asynchronous methods for deep reinforcement learning", arXiv 1602.01783.
"""

from torch import nn
from torchrl.objectives import A2CLoss

from tradewright.algorithm.networks import Actor, Critic, ModelFactory, actor_module, critic_module
from tradewright.algorithm.on_policy import OnPolicyModule
from tradewright.algorithm.setting import Setting
from tradewright.config.runtime import Runtime


class A2C(OnPolicyModule):
    """A2C on parallel environments.

    Args:
        setting: World and goal.
        model: Trunk factory for actor and critic.
        total_frames: Environment steps of the whole training.
        episodes: Whole episodes of the training instead; None: ``total_frames``.
        num_envs: Parallel environments.
        rollout_steps: Steps per environment between updates; one rollout, and gradient step, is
            ``num_envs * rollout_steps`` frames.
        iterations_per_epoch: Rollouts between two validations.
        lr: Learning rate of Adam.
        lr_schedule: ``constant``, or ``linear`` from ``lr`` to 0 over the training.
        gamma: Discount per step, in (0, 1].
        gae_lambda: λ of generalised advantage estimation, in [0, 1].
        normalise_advantage: Scale the advantages of each rollout to mean 0 and deviation 1.
        entropy_coefficient: c_e >= 0.
        final_entropy_coefficient: c_e at the end of the training, reached linearly; None: the same.
        value_coefficient: c_v > 0.
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
        rollout_steps: int = 16,
        iterations_per_epoch: int = 20,
        lr: float = 7e-4,
        lr_schedule: str = "constant",
        gamma: float = 0.99,
        gae_lambda: float = 1.0,
        normalise_advantage: bool = False,
        entropy_coefficient: float = 0.0,
        final_entropy_coefficient: float | None = None,
        value_coefficient: float = 0.5,
        log_deviation: float = -0.5,
        compile: bool = False,
    ) -> None:
        super().__init__(
            setting=setting,
            model=model,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            rollout_steps=rollout_steps,
            num_minibatches=1,
            num_passes=1,
            iterations_per_epoch=iterations_per_epoch,
            lr=lr,
            lr_schedule=lr_schedule,
            gamma=gamma,
            gae_lambda=gae_lambda,
            normalise_advantage=normalise_advantage,
            entropy_coefficient=entropy_coefficient,
            final_entropy_coefficient=final_entropy_coefficient,
            value_coefficient=value_coefficient,
            value_clip=None,
            log_deviation=log_deviation,
            compile=compile,
        )

    def make_loss(
        self, actor: Actor, critic: Critic, *, value_coefficient: float, value_clip: float | None
    ) -> nn.Module:
        """Return TorchRL's loss."""
        loss = A2CLoss(
            actor_module(actor),
            critic_module(critic),
            entropy_coeff=self.entropy_coefficients[0],
            critic_coeff=value_coefficient,
            loss_critic_type="l2",
            functional=False,
        )
        loss.entropy_bonus = True  # TorchRL leaves the term out where the coefficient starts at 0
        return loss
