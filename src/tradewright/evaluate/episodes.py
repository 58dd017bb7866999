"""``evaluate=episodes``: an agent without a market, judged by whole episodes on the real Gymnasium environment.

The policy acts as it would be used: deterministic unless ``strategy.is_deterministic=false``. Validation and test have
seeds of their own, so that the episodes that choose a checkpoint are not those that judge it.
Legend: E episodes, S numbers of an observation.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from tradewright.env.classic import StateEnv
from tradewright.evaluate.intervals import mean_interval, require_resampling
from tradewright.strategy.policy import Policy

MAX_EPISODES = 500_000
"""Episodes of one range; the seeds of the next begin after so many."""
TEST_OFFSET = MAX_EPISODES

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EpisodeBench:
    """Where an agent without a market is judged.

    Args:
        env: Makes the environment; its attributes define it.
    """

    env: StateEnv

    @property
    def fingerprint(self) -> str:
        """Identity of the task: runs are comparable where it is equal."""
        keys = {key: repr(value) for key, value in sorted(vars(self.env).items()) if not key.startswith("_")}
        return hashlib.sha256(f"{type(self.env).__qualname__} {keys}".encode()).hexdigest()[:16]

    @property
    def facts(self) -> dict[str, Any]:
        """What the provenance of a run says of the data."""
        return {"dataset": self.env.name, "fingerprint": self.fingerprint}


@dataclass(frozen=True)
class Played:
    """Episodes from their first step to their last.

    Args:
        seeds: Of the environment, one per episode.
        return_E: Undiscounted sum of rewards.
        length_E: Steps.
    """

    seeds: tuple[int, ...]
    return_E: Float
    length_E: npt.NDArray[np.int64]


@dataclass(frozen=True)
class EpisodeJudgement:
    """The episodes of both ranges and the figures taken from them.

    Args:
        name: Of the policy.
        validation: The episodes that choose.
        test: Those that judge.
        metrics: All figures.
    """

    name: str
    validation: Played
    test: Played
    metrics: dict[str, float]


class EpisodeEvaluation:
    """Plays whole episodes.

    Args:
        num_episodes: E of the test, >= 2.
        num_validation_episodes: E of every validation, >= 1; more choose better and take longer.
        num_resamples: Of the bootstrap of the mean return, >= 100.
        confidence: Level of its interval, in (0.5, 1).
        seed: Of all episodes and of the bootstrap, >= 0.

    Raises:
        ValueError: An argument is out of range.
    """

    judges: ClassVar[str] = "episodes"

    def __init__(
        self,
        *,
        num_episodes: int = 100,
        num_validation_episodes: int = 20,
        num_resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        if not 2 <= num_episodes <= MAX_EPISODES:
            raise ValueError(f"num_episodes must be from 2 to {MAX_EPISODES}, was {num_episodes}")
        if not 1 <= num_validation_episodes <= MAX_EPISODES:
            raise ValueError(f"num_validation_episodes must be from 1 to {MAX_EPISODES}, was {num_validation_episodes}")
        require_resampling(num_resamples, confidence, seed)
        self.num_episodes, self.num_validation_episodes = num_episodes, num_validation_episodes
        self.num_resamples, self.confidence, self.seed = num_resamples, confidence, seed

    def validate(self, policy: Policy, bench: EpisodeBench) -> dict[str, float]:
        """Return the figures of the validation episodes, without prefix."""
        return figures(self.play_validation(policy, bench))

    def judge(self, policy: Policy, bench: EpisodeBench) -> EpisodeJudgement:
        """Play the validation and the test episodes."""
        validation = self.play_validation(policy, bench)
        test = play(policy, bench, self._seeds(self.num_episodes, TEST_OFFSET))
        interval = mean_interval(test.return_E, self.num_resamples, self.confidence, self.seed)
        metrics = {f"validation/{name}": value for name, value in figures(validation).items()}
        metrics |= {f"test/{name}": value for name, value in figures(test).items()}
        metrics |= {"test/mean_return_low": interval.low, "test/mean_return_high": interval.high}
        return EpisodeJudgement(policy.name, validation, test, metrics)

    def play_validation(self, policy: Policy, bench: EpisodeBench) -> Played:
        """Play the episodes that choose."""
        return play(policy, bench, self._seeds(self.num_validation_episodes, 0))

    def _seeds(self, num: int, offset: int) -> tuple[int, ...]:
        first = self.seed * 2 * MAX_EPISODES + offset
        return tuple(range(first, first + num))


@torch.no_grad()
def play(policy: Policy, bench: EpisodeBench, seeds: tuple[int, ...]) -> Played:
    """Play one episode per seed; those that still run act together.

    Args:
        policy: Its agent acts; sampled actions come from the policy's own seed.
        bench: The environment.
        seeds: Of the environment.
    """
    agent = policy.agent
    generator = None if policy.is_deterministic else torch.Generator(device=agent.device).manual_seed(policy.seed)
    codec, envs = bench.env.codec, [bench.env.make() for _ in seeds]
    return_E, length_E = np.zeros(len(seeds)), np.zeros(len(seeds), dtype=np.int64)
    shown = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
    running = list(range(len(seeds)))
    try:
        with agent.deciding(None) as decide:
            while running:
                state_BS = codec.encode(np.stack([shown[e] for e in running])).to(agent.device)
                action = codec.decode(decide({"state": state_BS}, generator).action)
                places = []
                for place, e in enumerate(running):
                    shown[e], reward, terminated, truncated, _ = envs[e].step(action[place])
                    return_E[e] += float(reward)
                    length_E[e] += 1
                    if not (terminated or truncated):
                        places.append(place)
                if len(places) < len(running):
                    decide.keep(places)
                    running = [running[place] for place in places]
    finally:
        for env in envs:
            env.close()
    return Played(seeds, return_E, length_E)


def figures(played: Played) -> dict[str, float]:
    """Return mean and deviation (ddof 1, NaN of one episode) of the returns, and the mean length in steps."""
    has_two = len(played.return_E) > 1
    return {
        "mean_return": float(played.return_E.mean()),
        "std_return": float(played.return_E.std(ddof=1)) if has_two else float("nan"),
        "mean_length": float(played.length_E.mean()),
    }
