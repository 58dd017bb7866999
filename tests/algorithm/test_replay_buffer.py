"""Replay: capacity, returns over several steps, priorities, and a bit-exact state."""

import math

import numpy as np
import pytest
import torch

from tradewright.algorithm.prioritised import BLOCK, EPSILON, Priorities
from tradewright.algorithm.replay import Replay


def step_of(t: int, num_envs: int, *, terminated=(), truncated=()) -> dict[str, torch.Tensor]:
    """Rows of step t: environment b sees 100 b + t and earns t + 0.1 b."""
    number_B = torch.arange(num_envs)

    def marked(which) -> torch.Tensor:
        return torch.tensor([b in which for b in range(num_envs)])

    return {
        "index": 100 * number_B + t,
        "next/index": 100 * number_B + t + 1,
        "action": number_B % 2,
        "reward": t + 0.1 * number_B,
        "terminated": marked(terminated),
        "truncated": marked(truncated),
    }


@pytest.mark.row("B24")
def test_buffer_keeps_the_newest_transitions_up_to_its_capacity() -> None:
    replay = Replay(capacity=100_000, num_envs=64)
    for t in range(2_000):
        replay.add(step_of(t, 64))
        assert len(replay) == min(64 * (t + 1), 100_000)
    assert all(len(x) == 100_000 for x in replay.fields.values())
    kept = torch.sort(replay.fields["index"]).values
    added = torch.cat([step_of(t, 64)["index"] for t in range(2_000)])
    assert torch.equal(kept, torch.sort(added[-100_000:]).values)


@pytest.mark.parametrize("n_step", [1, 2, 3, 5])
def test_returns_over_several_steps_equal_a_walk_along_each_episode(n_step: int) -> None:
    """Random ends, a capacity that is no multiple of the environments, and a ring that went round several times."""
    rng = np.random.default_rng(n_step)
    print("seed", n_step)
    num_envs, gamma, capacity, num_steps = 3, 0.9, 50, 61
    replay = Replay(capacity=capacity, num_envs=num_envs, n_step=n_step, gamma=gamma)
    history = []
    for t in range(num_steps):
        ends = rng.random((2, num_envs)) < 0.15
        row = step_of(t, num_envs, terminated=np.flatnonzero(ends[0]), truncated=np.flatnonzero(ends[1] & ~ends[0]))
        replay.add(row)
        history += [{name: x[b].item() for name, x in row.items()} for b in range(num_envs)]
    first = len(history) - capacity
    got = replay.gather(torch.arange(first, len(history)) % capacity)
    for i, q in enumerate(range(first, len(history))):
        total, steps, last = 0.0, 0, q
        for k in range(n_step):
            if q + k * num_envs >= len(history):
                break
            last = q + k * num_envs
            total += gamma**k * history[last]["reward"]
            steps += 1
            if history[last]["terminated"] or history[last]["truncated"]:
                break
        assert got["index"][i] == history[q]["index"]
        assert got["action"][i] == history[q]["action"]
        assert got["next/index"][i] == history[last]["next/index"]
        assert got["terminated"][i] == history[last]["terminated"]
        assert got["reward"][i].item() == pytest.approx(total, rel=1e-6)
        assert n_step == 1 or got["steps"][i] == steps


def test_uniform_draws_reach_every_transition_equally_and_nothing_else() -> None:
    replay = Replay(capacity=64, num_envs=2)
    for t in range(10):
        replay.add(step_of(t, 2))
    slots = replay.draw(100_000, torch.Generator().manual_seed(0))
    counts = torch.bincount(slots, minlength=64)
    assert counts[20:].sum() == 0
    np.testing.assert_allclose(counts[:20] / 100_000, 1 / 20, rtol=0.05)


def test_state_continues_bit_for_bit_and_holds_only_what_was_written(tmp_path) -> None:
    replay, other = (Replay(capacity=1_000, num_envs=2, n_step=3, gamma=0.5) for _ in range(2))
    for t in range(7):
        replay.add(step_of(t, 2, truncated=[t % 2]))
    torch.save(replay.state_dict(), tmp_path / "replay.pt")
    assert (tmp_path / "replay.pt").stat().st_size < 20 * 40 + 4_000
    assert replay.num_bytes == 14 * (8 + 8 + 8 + 4 + 1 + 1)
    other.load_state_dict(torch.load(tmp_path / "replay.pt", weights_only=True))
    for either in (replay, other):
        either.add(step_of(7, 2))
    slots = torch.arange(len(replay))
    ours, theirs = replay.gather(slots), other.gather(slots)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_too_small_a_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"buffer_size must be >= num_envs \* n_step = 24, was 20"):
        Replay(capacity=20, num_envs=8, n_step=3)


@pytest.mark.row("B26")
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_draws_follow_the_priorities(alpha: float) -> None:
    """Counts of 400,000 draws against |error|^α / Σ |error|^α, over three blocks and an unwritten end."""
    rng = np.random.default_rng(0)
    size = 2 * BLOCK + 100
    priorities = Priorities(capacity=3 * BLOCK, alpha=alpha)
    slots = torch.arange(size)
    priorities.add(slots)
    error = rng.exponential(size=size) * rng.choice([-1, 1], size=size)
    priorities.update(slots, torch.tensor(error))
    expected = (np.abs(error) + EPSILON) ** alpha
    expected /= expected.sum()
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([priorities.draw(256, generator) for _ in range(1_600)])
    counts = np.bincount(drawn, minlength=3 * BLOCK)
    assert counts[size:].sum() == 0
    chi_square = ((counts[:size] - 409_600 * expected) ** 2 / (409_600 * expected)).sum() / (size - 1)
    assert chi_square < 1.2


def test_importance_weights_undo_the_bias_of_drawing() -> None:
    priorities = Priorities(capacity=10, alpha=0.7)
    slots = torch.arange(4)
    priorities.add(slots)
    error = np.array([0.1, -2.0, 0.5, 1.0])
    priorities.update(slots, torch.tensor(error))
    probability = (np.abs(error) + EPSILON) ** 0.7 / ((np.abs(error) + EPSILON) ** 0.7).sum()
    expected = (4 * probability) ** -0.4
    weights = priorities.weights(slots, size=4, beta=0.4)
    np.testing.assert_allclose(weights, expected / expected.max(), rtol=1e-6)
    assert weights.max() == 1.0
    assert torch.equal(priorities.weights(slots, size=4, beta=0.0), torch.ones(4))


def test_new_transitions_get_the_largest_priority_so_far() -> None:
    priorities = Priorities(capacity=10, alpha=0.5)
    priorities.add(torch.tensor([0, 1]))
    assert priorities.p_KS[0, :2].tolist() == [1.0, 1.0]
    priorities.update(torch.tensor([0]), torch.tensor([-4.0]))
    priorities.update(torch.tensor([0]), torch.tensor([0.0]))
    priorities.add(torch.tensor([2]))
    assert priorities.p_KS[0, 2].item() == pytest.approx(math.sqrt(4.0 + EPSILON))


def test_priorities_continue_bit_for_bit() -> None:
    one, other = (Priorities(capacity=1_000, alpha=0.6) for _ in range(2))
    rng = torch.Generator().manual_seed(0)
    one.add(torch.arange(700))
    one.update(torch.arange(0, 700, 3), torch.randn(234, generator=rng))
    other.load_state_dict(one.state_dict())
    draws = [each.draw(64, torch.Generator().manual_seed(1)) for each in (one, other)]
    assert torch.equal(*draws)
    assert torch.equal(one.weights(draws[0], 700, 0.5), other.weights(draws[0], 700, 0.5))


def test_block_sums_do_not_drift() -> None:
    priorities = Priorities(capacity=2_000, alpha=0.6)
    generator = torch.Generator().manual_seed(0)
    priorities.add(torch.arange(2_000))
    for _ in range(500):
        slots = priorities.draw(64, generator)
        priorities.update(slots, torch.randn(64, generator=generator) * 1e3)
    assert torch.equal(priorities.sum_K, priorities.p_KS.sum(1))


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"priority_alpha must be in \[0, 1\], was"):
        Priorities(capacity=10, alpha=alpha)
