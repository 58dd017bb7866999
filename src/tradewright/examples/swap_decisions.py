"""``examples=swap_decisions``: instruction and answer of some bars of a pool: figures in, BUY, SELL or HOLD out.

Answers are labels of a target; a target of rules labels a bar by what is known at it, so what a model learns here is
the rules, and its accuracy stands beside that of the majority class. Legend: T bars.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.errors import DataError
from tradewright.examples.example import Example, ExampleSets
from tradewright.examples.source import Market
from tradewright.examples.swap_prompt import TOLD, SwapPrompts, completion
from tradewright.target.labels import ACTIONS, Labels, Target, require_target

log = logging.getLogger(__name__)

Rows = npt.NDArray[np.int64]
SETS = ("train", "validation", "test")
RARE = 0.05
"""Share below which an action is too rare for a model to learn it from some hundred examples; a warning says so."""


class SwapDecisions:
    """Builds examples from the bars of one pool.

    Args:
        target: Labels the bars.
        max_samples: Most examples of all three sets together, >= 3; they share it by the length of their ranges.
        balance: ``natural`` keeps the shares of the actions, ``equal`` takes as many of each in the training set. The
            other sets are always natural, so that figures on them mean what they say.
        has_reason: Let answers give a reason behind the word.
        window: Swaps of the averages in the prompt.
        seed: Draws the bars.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    needs_market: ClassVar[bool] = True

    def __init__(
        self,
        *,
        target: Target,
        max_samples: int = 1_000,
        balance: Literal["natural", "equal"] = "natural",
        has_reason: bool = True,
        window: int = 50,
        seed: int = 0,
    ) -> None:
        require_target(target)
        if max_samples < len(SETS):
            raise ValueError(f"max_samples must be >= {len(SETS)}, was {max_samples}")
        if balance not in ("natural", "equal"):
            raise ValueError(f"balance must be 'natural' or 'equal', was {balance!r}")
        if window < 2:
            raise ValueError(f"window must be >= 2, was {window}")
        if seed < 0:
            raise ValueError(f"seed must be >= 0, was {seed}")
        self.target = target
        self.max_samples = max_samples
        self.balance = balance
        self.has_reason = has_reason
        self.window = window
        self.seed = seed

    def read(self, market: Market | None) -> ExampleSets:
        """Return the examples of the three ranges.

        Args:
            market: Bars with their swaps, and train, validation and test; the target is fitted to the first alone.

        Raises:
            DataError: The panel has no swaps, or a range no bar whose figures and label are known.
        """
        if market is None:
            raise DataError("examples=swap_decisions needs a market; use data=synthetic_swaps or data=swaps")
        panel, ranges = market.panel, market.ranges
        prompts = SwapPrompts.of(panel, window=self.window)
        labels = self.target.fit(panel, ranges.training).label(panel)
        is_known_T = prompts.is_defined(slice(None)) & ~np.isnan(labels.side_TN[:, 0])
        known = {name: _rows(part, is_known_T) for name, part in self._parts(ranges).items()}
        for name, rows in known.items():
            if not len(rows):
                raise DataError(
                    f"examples: no bar of the {name} range of '{panel.dataset}' has all figures and a label; use more"
                    " data or shorter windows"
                )
        total = sum(len(rows) for rows in known.values())
        sets: dict[str, tuple[Example, ...]] = {}
        for place, (name, rows) in enumerate(known.items()):
            rng = np.random.default_rng([self.seed, place])
            number = max(int(self.max_samples * len(rows) / total), 1)
            is_equal = self.balance == "equal" and name == "train"
            chosen = _equal(rows, labels, number, rng) if is_equal else _drawn(rows, number, rng)
            sets[name] = tuple(self._example(panel, prompts, labels, row) for row in chosen.tolist())
        self._warn(sets["train"])
        return ExampleSets(
            **sets,
            fingerprint=fingerprint(sets),
            name=f"decisions on {panel.dataset}",
            is_synthetic=panel.is_synthetic,
            note=panel.note,
        )

    def grade(self, example: Example, text: str) -> Mapping[str, float]:
        """Return nothing beside the label, which every judge reads itself."""
        return {}

    def _parts(self, ranges: Ranges) -> dict[str, tuple[Range, ...]]:
        return {"train": ranges.training, "validation": (ranges.validation,), "test": (ranges.test,)}

    def _example(self, panel: Panel, prompts: SwapPrompts, labels: Labels, row: int) -> Example:
        action = labels.words(np.array([row]))[0]
        cause = labels.causes[int(labels.cause_TN[row, 0])]
        facts = prompts.facts(row)
        answer = self._answer(action, cause, facts)
        return Example(
            id=f"{panel.symbols[0]} {panel.ts_T[row]} {row}",
            prompt=prompts.messages(row),
            completion=answer,
            known_at=panel.known_at_T[row],
            label=action,
            kind="decision",
            facts={**facts, "bar": row, "size": float(labels.size_TN[row, 0]), "rule": cause},
        )

    def _answer(self, action: str, cause: str, facts: Mapping[str, float]) -> str:
        return completion(action, cause, facts, TOLD[cause]) if self.has_reason else action

    def _warn(self, train: tuple[Example, ...]) -> None:
        for action, share in shares(train).items():
            if share < RARE:
                log.warning(
                    "examples: %.1f %% of the training examples are %s; a model may never learn it"
                    " (examples.balance=equal takes as many of each)", 100 * share, action,
                )  # fmt: skip


def shares(examples: tuple[Example, ...]) -> dict[str, float]:
    """Return the share of every action."""
    return {action: sum(one.label == action for one in examples) / max(len(examples), 1) for action in ACTIONS}


def fingerprint(sets: dict[str, tuple[Example, ...]]) -> str:
    """Return a hex digest of what the examples say."""
    digest = hashlib.blake2b(digest_size=16)
    for name, examples in sets.items():
        for one in examples:
            digest.update(json.dumps([name, one.id, one.prompt, one.completion], sort_keys=True).encode())
    return digest.hexdigest()


def _rows(parts: tuple[Range, ...], is_known_T: npt.NDArray[np.bool_]) -> Rows:
    rows = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    return rows[is_known_T[rows]].astype(np.int64)


def _drawn(rows: Rows, number: int, rng: np.random.Generator) -> Rows:
    """Draw rows without repetition, in time order."""
    return np.sort(rng.permutation(rows)[:number])


def _equal(rows: Rows, labels: Labels, number: int, rng: np.random.Generator) -> Rows:
    """Draw as many rows of every action as there are of the rarest, in time order."""
    sides = labels.side_TN[rows, 0]
    groups = [rng.permutation(rows[sides == side]) for side in (1.0, -1.0, 0.0)]
    groups = [group for group in groups if len(group)]
    each = min(max(number // len(groups), 1), *(len(group) for group in groups))
    return np.sort(np.concatenate([group[:each] for group in groups]))
