"""``strategy=language_model``: a language model that decides by the probabilities of BUY, SELL and HOLD.

Every few bars it is asked with the template that it was trained on. It does not generate: a scorer gives the
probability of each word, so that every answer is a decision with a confidence, and nothing has to be parsed. Bars whose
figures are unknown, and answers whose probabilities are undefined, give no order and are counted; they are no HOLD.
Legend: R decided bars, B prompts, L = 3 words in the order of ``ACTIONS``.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tradewright.config.runtime import Runtime
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.examples.example import Messages
from tradewright.examples.swap_prompt import SwapPrompts
from tradewright.features.features import Features
from tradewright.market.positions import Positions
from tradewright.metrics.temperature import tempered
from tradewright.risk.decisions import Blocked, Decisions
from tradewright.risk.filter import RiskFilter, require_filter
from tradewright.target.labels import ACTIONS, SIDES

log = logging.getLogger(__name__)

Float = npt.NDArray[np.float64]
Scorer = Callable[[Sequence[Messages]], Float]
"""Returns the probabilities ``[B, L]`` of the words ``ACTIONS``; a row of NaN where it has none."""
SUM_TOLERANCE = 1e-3
"""Probabilities in half precision add up to one only nearly."""


@dataclass(frozen=True)
class Answers:
    """What a language model said, whatever became of it; calibration and accuracy against labels are taken from here.

    Args:
        row_B: Rows of the panel that were asked about.
        probabilities_BL: Calibrated probabilities of ``ACTIONS``; a row of NaN where there is no answer.
    """

    row_B: npt.NDArray[np.int64]
    probabilities_BL: Float


class LanguageModelStrategy:
    """Asks a language model at every few bars.

    Args:
        scorer: Probabilities of the words after a prompt.
        risk: Turns decisions into orders; its threshold makes unsure ones HOLD.
        every_bars: Bars between two questions, counted from the beginning of the data, >= 1.
        size: Fraction of equity per entry, in (0, 1].
        window: Swaps of the averages in the prompt, as in the examples.
        batch_size: Prompts scored at once, >= 1.
        temperature: What the probabilities are calibrated with, > 0, from ``metrics.temperature``; 1: as they are.
        name: Name in tables.

    Attributes:
        blocked: What ``risk`` blocked in the last call of ``decide``.
        answers: What the model said in that call, before any filter.
        num_asked, num_undefined, num_unanswered: Prompts of that call, questions left out because a figure was unknown,
            and answers without probabilities.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    is_learned: ClassVar[bool] = True
    decides_by: ClassVar[str] = "language_model"

    def __init__(
        self,
        *,
        scorer: Runtime[Scorer],
        risk: RiskFilter,
        every_bars: int = 5,
        size: float = 0.05,
        window: int = 50,
        batch_size: int = 64,
        temperature: Runtime[float] = 1.0,
        name: Runtime[str] = "language_model",
    ) -> None:
        require_filter(risk)
        for key, value in (("every_bars", every_bars), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{key} must be >= 1, was {value}")
        if not 0 < size <= 1:
            raise ValueError(f"size must be in (0, 1], was {size}")
        if window < 2:
            raise ValueError(f"window must be >= 2, was {window}")
        if not temperature > 0:
            raise ValueError(f"temperature must be > 0, was {temperature}")
        self.scorer = scorer
        self.risk = risk
        self.every_bars = every_bars
        self.size = size
        self.window = window
        self.batch_size = batch_size
        self.temperature = temperature
        self.name = name
        self.blocked: tuple[Blocked, ...] = ()
        self.answers = Answers(np.zeros(0, dtype=np.int64), np.zeros((0, len(ACTIONS))))
        self.num_asked = self.num_undefined = self.num_unanswered = 0

    def calibrated(self, temperature: float) -> "LanguageModelStrategy":
        """Return the strategy with another temperature, found on the validation range."""
        other = copy.copy(self)
        other.temperature = temperature
        return other

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return orders where the model is sure enough and the filters agree; see ``Strategy.decide``.

        Raises:
            DataError: The panel has no swaps, or the scorer returned something else than probabilities.
        """
        prompts = SwapPrompts.of(panel.slice(0, rows.stop), window=self.window)
        due = np.arange(rows.start, rows.stop)
        due = due[due % self.every_bars == 0]
        asked = due[prompts.is_defined(due)]
        probabilities_BL = tempered(self._scores([prompts.messages(row) for row in asked.tolist()]), self.temperature)
        self.answers = Answers(asked, probabilities_BL)
        has_answer_B = ~np.isnan(probabilities_BL).any(axis=1)
        self.num_asked, self.num_undefined = len(asked), len(due) - len(asked)
        self.num_unanswered = int((~has_answer_B).sum())
        if self.num_unanswered:
            log.warning("%s: %d of %d answers have no probabilities", self.name, self.num_unanswered, self.num_asked)
        side_R, confidence_R = np.full((2, len(rows)), np.nan)
        answered = asked[has_answer_B] - rows.start
        choice_B = np.argmax(probabilities_BL[has_answer_B], axis=1)
        side_R[answered] = np.array([SIDES[action] for action in ACTIONS])[choice_B]
        confidence_R[answered] = np.clip(np.max(probabilities_BL[has_answer_B], axis=1, initial=0.0), 0.0, 1.0)
        decisions = Decisions(side_R=side_R, size_R=np.full(len(rows), self.size), confidence_R=confidence_R)
        positions, self.blocked = self.risk.apply(decisions, panel, rows)
        return positions

    def _scores(self, prompts: Sequence[Messages]) -> Float:
        """Return the checked probabilities ``[B, L]`` of all prompts."""
        parts = [np.zeros((0, len(ACTIONS)))]
        for start in range(0, len(prompts), self.batch_size):
            batch = prompts[start : start + self.batch_size]
            part = np.asarray(self.scorer(batch), dtype=np.float64)
            if part.shape != (len(batch), len(ACTIONS)):
                raise DataError(
                    f"strategy.scorer returned shape {part.shape} for {len(batch)} prompts, expected"
                    f" {(len(batch), len(ACTIONS))}: one probability each of {', '.join(ACTIONS)}"
                )
            parts.append(part)
        probabilities_BL = np.concatenate(parts)
        is_none_B = np.isnan(probabilities_BL).any(axis=1)
        known = probabilities_BL[~is_none_B]
        is_fine = (known >= 0).all(axis=1) & (np.abs(known.sum(axis=1) - 1.0) <= SUM_TOLERANCE)
        if not is_fine.all():
            row = known[int(np.argmin(is_fine))]
            raise DataError(f"strategy.scorer returned {row.tolist()}, expected probabilities that add up to 1")
        probabilities_BL[is_none_B] = np.nan
        return probabilities_BL
