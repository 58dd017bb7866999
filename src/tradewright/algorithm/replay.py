"""``Replay``: the newest transitions of B environments in preallocated tensors, sampled with one gather per field.

Row q of all transitions ever added lies in slot q mod C. Rows come in steps of B, so the transition that follows row q
in its environment is row q + B, and an n-step return is summed when it is sampled: nothing waits to be added, and the
return ends exactly where the episode does. The observation after a step is stored beside the one before it, because
where an episode was cut off no later row begins with it.
Legend: B environments, C capacity, M rows, n steps of a return.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

NEXT = "next/"
"""Prefix of the fields of the observation after the step."""


class Replay:
    """A ring of transitions.

    The first rows decide which fields there are, and their shapes and types: ``action``, ``reward``, ``terminated``,
    ``truncated``, an observation by its keys, and the next observation by the same keys behind ``next/``.

    Args:
        capacity: C, most transitions kept, >= ``num_envs``.
        num_envs: B.
        n_step: n, steps of a return, >= 1.
        gamma: Discount per step within a return.
        device: Where transitions are kept.

    Raises:
        ValueError: ``capacity`` cannot hold one step of every environment.
    """

    def __init__(
        self, *, capacity: int, num_envs: int, n_step: int = 1, gamma: float = 1.0, device: torch.device | str = "cpu"
    ) -> None:
        if capacity < num_envs * n_step:
            raise ValueError(f"buffer_size must be >= num_envs * n_step = {num_envs * n_step}, was {capacity}")
        self.capacity, self.num_envs, self.n_step = capacity, num_envs, n_step
        self.device = torch.device(device)
        self.fields: dict[str, Tensor] = {}
        self.num_added = 0
        """Transitions ever added."""
        self._ahead_n = torch.arange(n_step, device=self.device)
        self._discount_n = torch.tensor([gamma**k for k in range(n_step)], device=self.device)

    def __len__(self) -> int:
        """Return the transitions kept."""
        return min(self.num_added, self.capacity)

    @property
    def num_bytes(self) -> int:
        """Bytes of the transitions kept; what a checkpoint grows by."""
        return sum(x[: len(self)].numel() * x.element_size() for x in self.fields.values())

    def add(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Add transitions, overwriting the oldest.

        Args:
            rows: By field, ``[M, ...]``; M is a multiple of B and at most C, environments vary fastest.

        Returns:
            The slots that were written, ``[M]`` int64.
        """
        if not self.fields:
            self._allocate({name: (x.shape[1:], x.dtype) for name, x in rows.items()})
        num = len(rows["reward"])
        assert num <= self.capacity
        assert num % self.num_envs == 0
        slots_M = (self.num_added + torch.arange(num, device=self.device)) % self.capacity
        for name, kept in self.fields.items():
            kept[slots_M] = rows[name]
        self.num_added += num
        return slots_M

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Return ``num`` slots, int64, each transition equally likely each time."""
        return torch.randint(len(self), (num,), generator=generator, device=self.device)

    def gather(self, slots_M: Tensor) -> dict[str, Tensor]:
        """Return the transitions that begin in these slots, ``[M, ...]``.

        Returns:
            The observation by its keys, ``action``, ``reward`` = Σ_k γ^k r_k over ``steps`` <= n steps, ``terminated``
            of the last of them and the observation after it. A return is shorter than n where the episode ended, by
            either way, and where nothing later was added yet: its value then bootstraps γ^steps earlier.
        """
        if self.n_step == 1:
            return {name: x[slots_M] for name, x in self.fields.items() if name != "truncated"}
        slots_Mn = (slots_M[:, None] + self.num_envs * self._ahead_n) % self.capacity
        age_M = (self.num_added - 1 - slots_M) % self.capacity
        is_done_Mn = self.fields["terminated"][slots_Mn] | self.fields["truncated"][slots_Mn]
        is_past_Mn = torch.cumsum(is_done_Mn, dim=1) - is_done_Mn.long() > 0
        is_used_Mn = ~is_past_Mn & (self.num_envs * self._ahead_n <= age_M[:, None])
        steps_M = is_used_Mn.sum(1)
        last_M = slots_Mn.gather(1, steps_M[:, None] - 1)[:, 0]
        reward_M = (torch.where(is_used_Mn, self.fields["reward"][slots_Mn], 0.0) * self._discount_n).sum(1)
        return {
            **{name: x[slots_M] for name, x in self.fields.items() if not _is_of_last(name)},
            **{name: x[last_M] for name, x in self.fields.items() if name.startswith(NEXT)},
            "reward": reward_M,
            "terminated": self.fields["terminated"][last_M],
            "steps": steps_M,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the transitions kept and the count; what was never written is left out."""
        return {
            "fields": {name: x[: len(self)].clone() for name, x in self.fields.items()},
            "num_added": self.num_added,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state of the same capacity."""
        self._allocate({name: (x.shape[1:], x.dtype) for name, x in state["fields"].items()})
        self.num_added = state["num_added"]
        for name, saved in state["fields"].items():
            self.fields[name][: len(saved)] = saved.to(self.device)

    def _allocate(self, kinds: Mapping[str, tuple[torch.Size, torch.dtype]]) -> None:
        self.fields = {
            name: torch.zeros((self.capacity, *shape), dtype=dtype, device=self.device)
            for name, (shape, dtype) in kinds.items()
        }


def _is_of_last(name: str) -> bool:
    """Whether a field of an n-step transition is read from its last step, or nowhere."""
    return name.startswith(NEXT) or name in ("reward", "terminated", "truncated")
