"""Times gradient steps of one off-policy agent in a fresh process: ``python off_policy_runner.py <engine> <task>``.

Engines: ``eager`` and ``compiled`` (tradewright), ``peer`` (stable-baselines3, in an interpreter of its own that has no
tradewright). Tasks: ``sac-<width>-<batch>`` on Pendulum-v1 and ``dqn-<width>-<batch>`` on CartPole-v1, two hidden
layers of that width, rectified. Prints the least CPU milliseconds of a gradient step over several stretches of steps:
drawing the batch, losses, gradients, Adam, targets, and all that the trainer does around them; no environment steps.
"""

import logging
import sys
import time
import warnings
from functools import partial

import torch

NUM_STEPS, NUM_STRETCHES, WARM_UP_FRAMES = 200, 6, 1_000


def peer_ms(kind: str, width: int, batch: int) -> float:
    """Time stable-baselines3's ``train``."""
    from stable_baselines3 import DQN, SAC
    from stable_baselines3.common.logger import configure

    algorithm, task = {"sac": (SAC, "Pendulum-v1"), "dqn": (DQN, "CartPole-v1")}[kind]
    agent = algorithm(
        "MlpPolicy", task, policy_kwargs={"net_arch": [width, width]}, learning_starts=10**9, device="cpu"
    )
    agent.learn(WARM_UP_FRAMES)
    agent.set_logger(configure(None, []))
    marks = []
    for _ in range(NUM_STRETCHES):
        start = time.process_time()
        agent.train(gradient_steps=NUM_STEPS, batch_size=batch)
        marks.append(time.process_time() - start)
    return min(marks[1:]) / NUM_STEPS * 1e3


def own_ms(kind: str, width: int, batch: int, *, is_compiled: bool) -> float:
    """Time Lightning's epochs, without their one environment step and the validation."""
    import lightning

    from tradewright.algorithm.data_module import AgentDataModule
    from tradewright.algorithm.dqn import DQN
    from tradewright.algorithm.sac import SAC
    from tradewright.algorithm.setting import Setting
    from tradewright.env.cartpole import CartPole
    from tradewright.env.pendulum import Pendulum
    from tradewright.model.mlp import MLP

    algorithm, env = {"sac": (SAC, Pendulum()), "dqn": (DQN, CartPole())}[kind]
    setting = Setting(env=env, stage=None, reward_name="none", validate=lambda agent: {"episode_return": 0.0}, seed=0)
    agent = algorithm(
        setting=setting,
        model=partial(MLP, hidden=[width, width], activation="relu"),
        total_frames=WARM_UP_FRAMES + NUM_STRETCHES,
        num_envs=1,
        steps_per_iteration=1,
        updates_per_iteration=NUM_STEPS,
        iterations_per_epoch=1,
        batch_size=batch,
        learning_starts=WARM_UP_FRAMES,
        compile=is_compiled,
    )
    marks = []

    class Marks(lightning.Callback):
        def on_train_batch_start(self, trainer: lightning.Trainer, module: object, data: object, number: int) -> None:
            if number == 0:  # the environment step has been taken
                marks.append(-time.process_time())

        def on_train_epoch_end(self, trainer: lightning.Trainer, module: object) -> None:
            marks[-1] += time.process_time()

    trainer = lightning.Trainer(
        max_epochs=NUM_STRETCHES,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        callbacks=[Marks()],
    )
    trainer.fit(agent, AgentDataModule(agent))
    return min(marks[1:]) / NUM_STEPS * 1e3


def main() -> None:
    """Time what the command line says."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    engine, task = sys.argv[1:]
    kind, width, batch = task.split("-")
    timed = peer_ms if engine == "peer" else partial(own_ms, is_compiled=engine == "compiled")
    print(f"ms={timed(kind, int(width), int(batch)):.6f}")


if __name__ == "__main__":
    main()
