"""``task=explain``: explanations of a trained run's test decisions, graded mechanically."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from tradewright.backend.backend import Backend
from tradewright.config.runtime import Runtime
from tradewright.errors import RunError
from tradewright.examples.explanations import explanation_prompt
from tradewright.explain.facts import check
from tradewright.explain.findings import text_findings
from tradewright.explain.phrases import describe
from tradewright.explain.scores import CRITERIA, Gate, Score, gate, score
from tradewright.explain.sheet import HumanScore, Judged, ask_judge, read_sheet, write_sheet
from tradewright.explain.state import State
from tradewright.explain.writer import explain
from tradewright.generate.decoding import Decoding
from tradewright.output import write_json, write_text
from tradewright.task.author import Author, Checked, OfAgent, Write, author, checked_texts, require_tries, truth_line
from tradewright.task.decided import (
    DecidedRun,
    decided_run,
    print_means,
    require_states,
    results_lines,
)

RESULTS, LOG, SHEET, FIGURES = "evaluation_results.txt", "explanations.jsonl", "human_scores.csv", "explanations.json"

JUDGE_TOKENS = 1024
"""A grade is one short JSON object; models that reason first need the room."""


@dataclass(frozen=True, kw_only=True)
class Graded:
    """All texts with their scores, the gate over a sample, and what people and a judge gave."""

    scores: tuple[Score, ...]
    gate: Gate
    human: tuple[HumanScore, ...] = ()
    judged: Judged | None = None


class Explain(OfAgent):
    """Writes ``explanations.jsonl``, ``evaluation_results.txt``, ``human_scores.csv`` and ``explanations.json``.

    Args:
        run: A run directory with a trained agent.
        llm: Run directory of a trained language model, which writes; None: the templates (our generator of true texts,
            the reference that a model is held against).
        write: A callable from prompts to texts in its place; None: none.
        judge: Who scores beside the formulas: a backend, or a callable from prompts to texts; None: nobody.
        num_tries: Draws of an explanation at most; one that the fact check refuses is drawn again, >= 1.
        num_explanations: Decisions of the test range that are explained, drawn at random, >= 10.
        num_judged: Size of the gate's sample, 10 to 20.
        target: What the sample's mean must exceed, in [1, 5).
        must_pass: End with an error where it does not.
        human_scores: A filled-in ``human_scores.csv``; None: none.
        folder: Where files go; None: ``explanations`` in the run directory.
        seed: Of the drawn decisions, words and sample.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        *,
        run: str,
        llm: str | None = None,
        write: Runtime[Write | None] = None,
        judge: Write | Backend | None = None,
        num_tries: int = 3,
        num_explanations: int = 20,
        num_judged: int = 15,
        target: float = 4.0,
        must_pass: bool = False,
        human_scores: str | None = None,
        folder: str | None = None,
        seed: int = 0,
    ) -> None:
        require_tries(num_tries)
        if num_explanations < 10:
            raise ValueError(f"num_explanations must be >= 10, was {num_explanations}")
        if not 10 <= num_judged <= 20:
            raise ValueError(f"num_judged must be 10 to 20, was {num_judged}")
        if not 1 <= target < 5:
            raise ValueError(f"target must be in [1, 5), was {target}")
        super().__init__(run=run, llm=llm, write=write, folder=folder)
        self.judge, self.num_tries = judge, num_tries
        self.num_explanations, self.num_judged = num_explanations, num_judged
        self.target, self.must_pass, self.seed = target, must_pass, seed
        self.human_scores = None if human_scores is None else Path(human_scores)

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Explain, grade, write; return the figures.

        Raises:
            RunError: ``must_pass`` is set and the sample is not good enough.
        """
        who = author(cfg, llm=self.llm, write=self.write)
        decided = decided_run(self.trained, cfg)
        states = decided.states_by_range["test"]
        require_states(states, self.num_explanations, "task.num_explanations")
        rng = np.random.default_rng(self.seed)
        chosen = [states[place] for place in sorted(rng.permutation(len(states))[: self.num_explanations])]
        written = self._texts(who, chosen)
        graded = self._grade(chosen, written.texts, states, rng)
        figures = {**figures_of(graded), "explain/faithful_first": written.first}
        self._write(decided, who, chosen, graded, figures)
        print_means("Explanations, 1 to 5", {**graded.gate.means, "mean": graded.gate.mean})
        truth = truth_line(figures["explain/faithful"], written.first)
        for line in (f"Written by: {who.name}", truth, *results_lines(decided, who.cutoff)):
            Console().print(line, soft_wrap=True, markup=False, highlight=False)
        Console().print(str(self.folder / RESULTS), soft_wrap=True, highlight=False)
        for finding in text_findings(figures):
            Console().print(f"{finding.name}: {finding.message}; {finding.advice}", soft_wrap=True, highlight=False)
        if self.must_pass and not graded.gate.has_passed:
            raise RunError(
                f"explanations: the mean of {len(graded.gate.ids)} is {graded.gate.mean:.2f}, must exceed {self.target}"
            )
        return figures

    def _texts(self, who: Author, states: Sequence[State]) -> Checked:
        def passes(place: int, text: str) -> bool:
            found = check(text, states[place])
            return found.is_faithful and found.action_agreement

        return checked_texts(
            who,
            [explanation_prompt(state) for state in states],
            [[state] for state in states],
            template=lambda place: explain(states[place], self.seed),
            passes=passes,
            num_tries=self.num_tries,
        )

    def _grade(
        self, chosen: Sequence[State], texts: Sequence[str], states: Sequence[State], rng: np.random.Generator
    ) -> Graded:
        scores = []
        for state, text in zip(chosen, texts, strict=True):
            others = [states[place] for place in rng.permutation(len(states))[:16] if states[place].id != state.id]
            scores.append(score(text, state, others))
        facts = {state.id: describe(state) for state in chosen}
        return Graded(
            scores=tuple(scores),
            gate=gate(scores, num=self.num_judged, target=self.target, seed=self.seed),
            human=() if self.human_scores is None else read_sheet(self.human_scores, list(facts)),
            judged=None if self.judge is None else ask_judge(_asking(self.judge), scores, facts),
        )

    def _write(
        self, decided: DecidedRun, who: Author, chosen: Sequence[State], graded: Graded, figures: dict[str, float]
    ) -> None:
        rows = [
            {
                "id": one.id,
                "action": state.action,
                "writer": who.name,
                "text": one.text,
                "scores": one.values,
                "is_faithful": one.facts.is_faithful,
                "faults": one.facts.faults,
                "coverage": one.facts.coverage,
            }
            for one, state in zip(graded.scores, chosen, strict=True)
        ]
        write_text(self.folder / LOG, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        if self.human_scores is None or self.human_scores.resolve() != (self.folder / SHEET).resolve():
            write_sheet(self.folder / SHEET, graded.scores)
        write_json(self.folder / FIGURES, figures)
        lines = [f"Explanations of {decided.trained.directory.name}, written by: {who.name}", ""]
        lines += [*results_lines(decided, who.cutoff), ""]
        lines += [f"{name}: {value:.4g}" for name, value in figures.items()]
        for one, state in zip(graded.scores, chosen, strict=True):
            marks = ", ".join(f"{name} {value:.1f}" for name, value in one.values.items())
            lines += ["", f"[{one.id}] {state.action}", one.text, f"({marks})"]
            lines += [f"  fault: {fault}" for fault in one.facts.faults]
        write_text(self.folder / RESULTS, "\n".join(lines) + "\n")


def _asking(judge: Write | Backend) -> Write:
    """Return a judge as a callable; a backend answers with its most probable words, so that grades repeat."""
    if callable(judge):
        return judge
    decoding = Decoding(temperature=0.0, repetition_penalty=1.0, max_new_tokens=JUDGE_TOKENS)
    return lambda prompts: [one.text for one in judge.complete_all(prompts, decoding)]


def figures_of(graded: Graded) -> dict[str, float]:
    """Return the figures: over all texts, over the gate's sample, and of people and the judge where they scored."""
    facts = [one.facts for one in graded.scores]
    known = [one.claim_precision for one in facts if one.checked]
    figures = {
        "explain/num_explanations": float(len(facts)),
        "explain/faithful": float(np.mean([one.is_faithful and one.action_agreement for one in facts])),
        "explain/claim_precision": float(np.mean(known)) if known else float("nan"),
        "explain/ungrounded_numbers": float(sum(one.ungrounded_numbers for one in facts)),
        "explain/action_agreement": float(np.mean([one.action_agreement for one in facts])),
        "explain/coverage": float(np.nanmean([one.coverage for one in facts])) if known else float("nan"),
        **{f"explain/{name}": float(np.mean([one.values[name] for one in graded.scores])) for name in CRITERIA},
        "explain/gate_mean": graded.gate.mean,
        "explain/gate_passed": float(graded.gate.has_passed),
    }
    if graded.human:
        figures["explain/num_human"] = float(len(graded.human))
        for name in CRITERIA:
            given = [one.values[name] for one in graded.human if name in one.values]
            if given:
                figures[f"explain/human_{name}"] = float(np.mean(given))
    if graded.judged is not None:
        figures["explain/judge_unreadable"] = float(graded.judged.num_unreadable)
        for name in CRITERIA if graded.judged.values else ():
            figures[f"explain/judge_{name}"] = float(np.mean([v[name] for v in graded.judged.values.values()]))
    return figures
