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

SMALL = ("algorithm.epochs=2", "report=none", "model.width=48", "model.heads=4", "model.feed_forward=64", "seed=7")
"""A language model that learns little, in seconds."""

SHORT = "generate.max_new_tokens=24"
"""Its answers."""

SWAPS = ("data.num_swaps=1500", "data.split.embargo_bars=20", "examples.max_samples=100")
"""A small pool."""

QUICK = ("evaluate.num_random=0", "evaluate.shuffled_control=false", "evaluate.analytic_reference=false")
"""A judgement without what is trained or drawn beside."""
