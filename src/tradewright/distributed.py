"""Several processes that train one agent: sums over them, states of them all, and one answer for all.

Every process steps environments of its own; gradients are averaged by Lightning's strategy. In a single process each
function gives back what it was given.
"""

from typing import Any

import torch
from torch import distributed


def num_processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if num_processes() > 1 else 0


def total(values: tuple[float, ...], device: torch.device) -> tuple[float, ...]:
    """Return the sums over all processes; all of them must call."""
    if num_processes() == 1:
        return values
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(summed)
    return tuple(summed.tolist())


def mean_of_all(values: list[float], device: torch.device) -> list[float]:
    """Return the means over all processes; all of them must call."""
    return [value / num_processes() for value in total(tuple(values), device)]


def gathered(state: Any) -> list[Any]:
    """Return the states of all processes by rank; all of them must call."""
    if num_processes() == 1:
        return [state]
    states: list[Any] = [None] * num_processes()
    distributed.all_gather_object(states, state)
    return states


def from_first(value: Any) -> Any:
    """Return what process 0 passes; all of them must call."""
    if num_processes() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]
