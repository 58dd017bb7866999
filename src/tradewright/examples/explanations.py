"""``examples=explanations``: from the decisions of a trained agent, prompts and true answers for a language model.

Sizes are exact, the cut lies between two moments, answers pass the fact check, and an edited answer wins over the
generated one. The evaluation part is cut once more: its earlier half chooses, its later half is scored once.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from tradewright.errors import ConfigError, DataError
from tradewright.examples.example import Example, ExampleSets, Message, Messages
from tradewright.examples.explanation_edits import apply_edits
from tradewright.examples.json import sets_of
from tradewright.examples.rows import SPLITS, to_row, write_rows
from tradewright.examples.set_checks import SetChecks
from tradewright.examples.source import Market
from tradewright.explain.commentary import (
    MarketState,
    describe_market,
    market_states,
    write_commentary,
)
from tradewright.explain.decision_log import read_decisions
from tradewright.explain.facts import Faithfulness, check
from tradewright.explain.grades import grade_text, render, stated, states_in
from tradewright.explain.lexicon import indicators
from tradewright.explain.phrases import describe, instructions
from tradewright.explain.slots import fill
from tradewright.explain.state import ACTIONS, State, to_json
from tradewright.explain.writer import explain, seeded

TRAIN_FILE, EVAL_FILE = "train_data.json", "eval_data.json"
KINDS = ("explanation", "commentary")
NEEDED = ("rsi_14", "macd_histogram", "sma_50_distance", "bollinger_place", "volatility_20", "return_20")
"""Indicators without which a decision is left out: those of the first bars could be explained by nothing."""
SYSTEM = {
    "explanation": "You explain the decisions of a trading agent. Use only the facts that are given; state the action.",
    "commentary": "You write market commentary. Use only the facts that are given; cover horizons and both sides.",
}
MIN_MOMENTS = 8
log = logging.getLogger(__name__)


class Explanations:
    """Makes example sets of decisions.

    Args:
        num_samples: Examples in all, >= 4.
        split_ratio: Fraction that trains, in (0, 1); the rest evaluates.
        tasks: Weight of each kind of example: ``explanation``, ``commentary``.
        balance: Draw every action equally often, where it occurs; else as often as the agent chose it.
        min_share: Share of an action below which a warning is given, in [0, 1/3].
        decisions: Log of decisions that ``read`` makes the sets of, ``decisions.jsonl``; None: states are handed over.
        run: Run directory of the agent whose decisions are handed over in a training; None: the newest in
            ``outputs/default``, which is trained first where there is none.
        edits: JSON or JSONL file of edited examples, which win by id; None: none.
        figures: ``written`` digit by digit, or ``filled``: answers name them (``{rsi_14}``) and the log fills them in.
        seed: Of samples, words and instructions.

    Raises:
        ValueError: A value is out of range.
    """

    needs_market: ClassVar[bool] = False
    explains_agents: ClassVar[bool] = True
    """Whether it is made of the decisions of an agent's run."""

    def __init__(
        self,
        *,
        num_samples: int = 10_000,
        split_ratio: float = 0.9,
        tasks: dict[str, float] | None = None,
        balance: bool = False,
        min_share: float = 0.1,
        decisions: str | None = None,
        run: str | None = None,
        edits: str | None = None,
        figures: Literal["written", "filled"] = "written",
        seed: int = 0,
    ) -> None:
        if num_samples < 4:
            raise ValueError(f"num_samples must be >= 4, was {num_samples}")
        if not 0 < split_ratio < 1:
            raise ValueError(f"split_ratio must be a fraction in (0, 1), was {split_ratio}")
        if not 0 <= min_share <= 1 / len(ACTIONS):
            raise ValueError(f"min_share must be in [0, 1/3], was {min_share}")
        if seed < 0:
            raise ValueError(f"seed must be >= 0, was {seed}")
        self.tasks = {"explanation": 0.8, "commentary": 0.2} if tasks is None else dict(tasks)
        for kind, weight in self.tasks.items():
            if kind not in KINDS:
                raise ValueError(f"tasks must be weights of {', '.join(KINDS)}, had {kind!r}")
            if not weight >= 0:
                raise ValueError(f"tasks must be weights >= 0, {kind} was {weight}")
        if not sum(self.tasks.values()) > 0:
            raise ValueError("tasks must give a weight > 0 to at least one kind")
        self.num_train = int(num_samples * split_ratio + 0.5)
        if not 2 <= self.num_train <= num_samples - 2:
            raise ValueError(f"split_ratio must leave 2 samples on either side, was {split_ratio} of {num_samples}")
        self.num_samples, self.balance, self.min_share, self.seed = num_samples, balance, min_share, seed
        self.split_ratio, self.has_slots = split_ratio, figures == "filled"
        if decisions is not None and run is not None:
            raise ValueError(f"run must be null where decisions names a log, was {run!r}")
        self.agent_run = run
        self.decisions = None if decisions is None else Path(decisions).expanduser()
        self.edits = None if edits is None else Path(edits).expanduser()

    def read(self, market: Market | None = None) -> ExampleSets:
        """Return the sets of the logged decisions.

        Raises:
            ConfigError: No log was named.
            DataError: The log, or an edit, is wrong.
        """
        if self.decisions is None:
            raise ConfigError(
                "examples.decisions must name a decisions.jsonl, was null; `tradewright generate_data run=<run>` writes"
                " it"
            )
        return self.sets(read_decisions(self.decisions))

    def grade(self, example: Example, text: str) -> Mapping[str, float]:
        """Grade a written answer by the facts of its decision; see ``explain.grades``."""
        return grade_text(example, text)

    def render(self, example: Example, text: str) -> str:
        """Return a written answer as people read it; see ``explain.grades``."""
        return render(example, text)

    def stated(self, example: Example, text: str, labels: Sequence[str]) -> str | None:
        """Return the action that a written answer states; see ``explain.grades``."""
        return stated(example, text, labels)

    def sets(self, states: Sequence[State], *, name: str = "explanations", is_synthetic: bool = False) -> ExampleSets:
        """Return the sets.

        Args:
            states: Decisions of the agent, of one or several instruments.
            name: Of the data set.
            is_synthetic: Whether the bars are generated.

        Raises:
            DataError: There are too few decisions, or an edit is wrong.
        """
        usable = [state for state in states if all(name in state.indicators for name in NEEDED)]
        markets = market_states(usable)
        if len(markets) < MIN_MOMENTS:
            raise DataError(
                f"explanations need decisions of at least {MIN_MOMENTS} moments whose indicators are known, had"
                f" {len(markets)} of {len(states)} decisions; use more bars"
            )
        first = min(max(int(len(markets) * self.split_ratio + 0.5), 1), len(markets) - 2)
        second = first + (len(markets) - first + 1) // 2
        num_eval = self.num_samples - self.num_train
        sizes = {"train": self.num_train, "validation": num_eval - num_eval // 2, "test": num_eval // 2}
        cuts = {"train": markets[:first], "validation": markets[first:second], "test": markets[second:]}
        parts = {split: self._examples(cuts[split], sizes[split]) for split in SPLITS}
        if self.edits is not None:
            apply_edits(parts, self.edits, usable, markets)
        left_out = len(states) - len(usable)
        note = "Answers are generated from the decisions and true of them by the fact check, unless people edited them."
        if self.has_slots:
            note += " They name their figures; the digits are filled in from the log, not drawn by the model."
        note += f" {left_out:,} decisions of the first bars are left out." if left_out else ""
        found = sets_of(parts, name=name, is_synthetic=is_synthetic, note=note)
        everything = (*found.train, *found.validation, *found.test)
        for warning in self._warnings(_action_shares(everything)):
            log.warning("examples: %s", warning)
        return found

    def _examples(self, markets: Sequence[MarketState], size: int) -> list[Example]:
        """Return ``size`` examples of different states as far as there are any, in time order."""
        total = sum(self.tasks.values())
        num_commentaries = int(size * self.tasks.get("commentary", 0.0) / total + 0.5)
        states = [state for market in markets for state in market.states]
        rng = seeded("samples", self.seed, markets[0].id, size)
        found = []
        for state, copy in self._drawn(states, size - num_commentaries, rng):
            found.append((state.known_at, self._explanation(state, copy)))
        for place, copy in _rounds(len(markets), num_commentaries, rng):
            found.append((markets[place].known_at, self._commentary(markets[place], copy)))
        return [example for _, example in sorted(found, key=lambda entry: (entry[0], entry[1].id))]

    def _explanation(self, state: State, copy: int) -> Example:
        rng = seeded("instruction", state.id, copy, self.seed)
        instruction = str(rng.choice(instructions("explanation")))
        return Example(
            id=f"{state.id}-explanation-{copy}",
            prompt=explanation_prompt(state, instruction),
            completion=explain(state, self.seed * 1_000 + copy, has_slots=self.has_slots),
            known_at=state.known_at,
            label=state.action,
            kind="explanation",
            facts={"states": [to_json(state)]},
        )

    def _commentary(self, market: MarketState, copy: int) -> Example:
        rng = seeded("instruction", market.id, copy, self.seed)
        instruction = str(rng.choice(instructions("commentary")))
        return Example(
            id=f"{market.id}-commentary-{copy}",
            prompt=commentary_prompt(market, instruction),
            completion=write_commentary(market, self.seed * 1_000 + copy, has_slots=self.has_slots),
            known_at=market.known_at,
            kind="commentary",
            facts={"states": [to_json(state) for state in market.states]},
        )

    def _drawn(self, states: Sequence[State], size: int, rng: np.random.Generator) -> list[tuple[State, int]]:
        """Return states with the number of their copy; with ``balance`` each action that occurs equally often."""
        if not self.balance:
            return [(states[place], copy) for place, copy in _rounds(len(states), size, rng)]
        pools = [pool for action in ACTIONS if (pool := [state for state in states if state.action == action])]
        found = []
        for number, pool in enumerate(pools):
            share = size // len(pools) + (number < size % len(pools))
            found += [(pool[place], copy) for place, copy in _rounds(len(pool), share, rng)]
        return found

    def checks(self, sets: ExampleSets) -> SetChecks:
        """Check what a data set for explanations must have."""
        examples = {"train": sets.train, "validation": sets.validation, "test": sets.test}
        everything = [example for split in SPLITS for example in examples[split]]
        explained = [example for example in everything if example.kind == "explanation"]
        shares = _action_shares(everything)
        verdicts = [(example, _checked(example)) for example in everything]
        parsed = [found.action_agreement for example, found in verdicts if example.kind == "explanation"]
        missing, outside = _indicator_faults(explained)
        return SetChecks(
            num_examples={split: len(examples[split]) for split in SPLITS},
            mix=dict(Counter(example.kind for example in everything)),
            actions=shares,
            parsed=sum(parsed) / len(parsed) if parsed else 1.0,
            is_faithful=sum(found.is_faithful for _, found in verdicts) / len(verdicts),
            missing=missing,
            out_of_range=outside,
            warnings=self._warnings(shares),
        )

    def _warnings(self, shares: Mapping[str, float]) -> tuple[str, ...]:
        return tuple(
            f"{action} is {share:.1%} of the explanations, below min_share {self.min_share:.0%}; balance=true draws"
            " actions equally often"
            for action, share in shares.items()
            if share < self.min_share
        )


def _action_shares(examples: Sequence[Example]) -> dict[str, float]:
    """Return the share of each action among the explanations; empty without any."""
    counts = Counter(example.label for example in examples if example.kind == "explanation")
    return {action: counts[action] / counts.total() for action in ACTIONS} if counts else {}


def _rounds(count: int, size: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return ``size`` places among ``count``, none a second time before all had their turn, with that turn's number."""
    found: list[tuple[int, int]] = []
    turn = 0
    while len(found) < size:
        found += [(int(place), turn) for place in rng.permutation(count)[: size - len(found)]]
        turn += 1
    return found


def prompt_of(kind: str, facts: str, instruction: str) -> Messages:
    """Return the prompt of an explanation or commentary."""
    return (
        Message(role="system", content=SYSTEM[kind]),
        Message(role="user", content=f"{instruction}\n\n{facts}"),
    )


def explanation_prompt(state: State, instruction: str | None = None) -> Messages:
    """Return the prompt that asks for the explanation of a decision."""
    return prompt_of("explanation", describe(state), instruction or instructions("explanation")[0])


def commentary_prompt(market: MarketState, instruction: str | None = None) -> Messages:
    """Return the prompt that asks for a market commentary."""
    return prompt_of("commentary", describe_market(market), instruction or instructions("commentary")[0])


def _checked(example: Example) -> Faithfulness:
    states = states_in(example)
    return check(fill(example.completion, states), states)


def _indicator_faults(examples: Sequence[Example]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return explanations without their indicators, and values out of range."""
    missing, outside = [], []
    for example in examples:
        (state,) = states_in(example)
        if describe(state) not in example.prompt[-1]["content"] or any(n not in state.indicators for n in NEEDED):
            missing.append(example.id)
        for name, value in state.indicators.items():
            indicator = indicators().get(name)
            if indicator is None or not indicator.low - 1e-9 <= value <= indicator.high + 1e-9:
                outside.append(f"{example.id}: {name}")
    return tuple(missing), tuple(outside)


def write_sets(sets: ExampleSets, folder: Path) -> tuple[Path, Path]:
    """Write ``train_data.json`` and ``eval_data.json`` (validation and test, told apart by ``split``)."""
    train, evaluation = folder / TRAIN_FILE, folder / EVAL_FILE
    write_rows(train, [to_row(example, "train") for example in sets.train])
    rows = [to_row(example, "validation") for example in sets.validation]
    write_rows(evaluation, [*rows, *(to_row(example, "test") for example in sets.test)])
    return train, evaluation
