"""The overrides of a training that takes seconds, on synthetic bars."""

TINY = (
    "data=synthetic",
    "data.num_bars=500",
    "algorithm.total_frames=2048",
    "algorithm.num_envs=16",
    "algorithm.rollout_steps=16",
    "algorithm.iterations_per_epoch=1",
    "algorithm.num_minibatches=4",
    "env.window=5",
    "evaluate.shuffled_control=false",
    "evaluate.analytic_reference=false",
)
"""A training of a few seconds: eight epochs of 256 frames."""

TRAINED = (*TINY, "seed=5")
"""The training that many tests share (fixture ``trained``); not the default seed, as what repeats it must find it."""

BRIEF = (*TINY, "trainer.max_epochs=2")
"""For tests of what does not depend on how long the training is."""
