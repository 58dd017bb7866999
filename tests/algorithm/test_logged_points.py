"""Curves of training: one point per iteration, at the frames it ended with, whatever the gradient steps in between."""

from pathlib import Path

import pytest
from agents import ppo_of, trainer_of
from off_policy_cases import agent_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_apg import apg_of
from test_offline import offline_of

from tradewright.algorithm.bc import BC
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.callbacks.curves import Curves
from tradewright.callbacks.tensorboard import TensorBoard

EPOCHS, ITERATIONS = 2, 3
KEYS = {"iterations_per_epoch": ITERATIONS, "total_frames": 4_096}


class Watch(Curves):
    """Notes what ``callback_metrics`` say at the end of every iteration, at the frames so far."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, float] = {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if (batch_idx + 1) % module.stream_in_use.batches_per_iteration == 0:
            self.seen[module.frames] = float(trainer.callback_metrics["train/loss"])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda setting_of: ppo_of(setting_of(), num_passes=2, **KEYS), id="ppo"),
        pytest.param(lambda setting_of: agent_of("dqn", setting_of, **KEYS), id="dqn"),
        pytest.param(lambda setting_of: offline_of(BC, setting_of(), **KEYS), id="bc"),
        pytest.param(lambda setting_of: apg_of(setting_of(), **KEYS), id="apg"),
    ],
)
def test_loggers_get_one_point_per_iteration_at_rising_frames(setting_of, tmp_path: Path, make) -> None:
    agent, watch = make(setting_of), Watch()
    logger = TensorBoard(directory=tmp_path)
    logger.step_of = lambda: agent.frames
    trainer = trainer_of(tmp_path, EPOCHS, [watch], log_every_n_steps=1)
    trainer.loggers = [logger]
    trainer.fit(agent, AgentDataModule(agent))
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path)).Reload()
    for name in ("train/loss", "train/lr", "train/mean_reward"):
        assert [point.step for point in events.Scalars(name)] == list(watch.seen), name
    assert len(watch.seen) == EPOCHS * ITERATIONS
    assert sorted(watch.seen) == list(watch.seen)
    assert [point.value for point in events.Scalars("train/loss")] == pytest.approx(list(watch.seen.values()))
    steps, values = watch.curves["train/loss"]
    assert len(steps) == EPOCHS
    assert values == [watch.seen[step] for step in steps]
