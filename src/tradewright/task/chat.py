"""``task=chat``: questions about a trained run's logged decisions, in the terminal or from scripted sessions."""

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from omegaconf import DictConfig
from rich.console import Console

from tradewright.config.runtime import Runtime
from tradewright.explain.answers import Answer, DecisionTools
from tradewright.explain.answers import Chat as Conversation
from tradewright.explain.sessions import Rated, mean_ratings, ratings_by_category, read_sessions, run_sessions
from tradewright.output import write_text
from tradewright.task.author import Author, Write, author, refuse_two
from tradewright.task.decided import DecidedRun, decided_run, print_means, results_lines
from tradewright.task.generate_data import FOLDER
from tradewright.task.trained import TrainedRun

LOG, REPORT = "chat.jsonl", "chat_report.txt"
ENDS = ("exit", "quit", "bye")


class Chat:
    """Answers questions from the log; what a language model phrases is checked against it.

    Args:
        run: A run directory with a trained agent.
        llm: Run directory of a trained language model, which phrases answers; None: the templates.
        write: A callable from prompts to texts in its place; None: none.
        sessions: A YAML file of scripted sessions, which are rated; None: questions from the terminal or a pipe.
        num_tries: Phrasings asked for before the template is given, >= 1.
        folder: Where files go; None: ``explanations`` in the run directory.

    Raises:
        ValueError: A value is out of range.
    """

    needs_run_directory: ClassVar[bool] = False
    language_model_key: ClassVar[str] = "llm"

    def __init__(
        self,
        *,
        run: str,
        llm: str | None = None,
        write: Runtime[Write | None] = None,
        sessions: str | None = None,
        num_tries: int = 3,
        folder: str | None = None,
    ) -> None:
        refuse_two(llm, write)
        if num_tries < 1:
            raise ValueError(f"num_tries must be >= 1, was {num_tries}")
        self.trained = TrainedRun(Path(run))
        self.llm, self.write, self.num_tries = llm, write, num_tries
        self.sessions = None if sessions is None else read_sessions(Path(sessions))
        self.folder = self.trained.directory / FOLDER if folder is None else Path(folder)

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Talk; return the ratings of scripted sessions, or the number of questions."""
        who = author(cfg, llm=self.llm, write=self.write)
        decided = decided_run(self.trained, cfg)
        results = {name: replace(found, cutoff=who.cutoff) for name, found in decided.performance.items()}
        tools = DecisionTools(decided.states, results)
        for line in results_lines(decided, who.cutoff):
            Console().print(line, soft_wrap=True, markup=False, highlight=False)
        decided.write_log(self.folder)
        if self.sessions is None:
            return self._talk(tools, who)
        rated = run_sessions(self.sessions, tools, write=who.write, num_tries=self.num_tries)
        self._log("scripted", [one.answer for one in rated])
        self._report(decided, who, rated)
        means = mean_ratings(rated)
        print_means("Chat answers, 1 to 5", means)
        expected = sum(one.is_as_expected for one in rated) / len(rated)
        return {**{f"chat/{name}": value for name, value in means.items()}, "chat/as_expected": expected}

    def _talk(self, tools: DecisionTools, who: Author) -> dict[str, float]:
        chat = Conversation(tools=tools, write=who.write, num_tries=self.num_tries)
        out = Console()
        if sys.stdin.isatty():
            out.print("Ask about the decisions; an empty line or 'exit' ends.")
        answers = []
        for line in sys.stdin:
            text = line.strip()
            if not text or text.lower() in ENDS:
                break
            answers.append(chat.ask(text))
            out.print(_marked(answers[-1]), markup=False, highlight=False, soft_wrap=True)
        self._log("terminal", answers)
        return {"chat/num_questions": float(len(answers))}

    def _log(self, session: str, answers: Iterable[Answer]) -> None:
        rows = [
            {
                "session": session,
                "ask": answer.question.text,
                "answer": answer.text,
                "category": answer.question.category,
                "ids": answer.ids,
                "calls": [{"name": call.name, "arguments": dict(call.arguments)} for call in answer.calls],
                "origin": answer.origin,
                "is_refused": answer.is_refused,
                "num_rejected": answer.num_rejected,
            }
            for answer in answers
        ]
        write_text(self.folder / LOG, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def _report(self, decided: DecidedRun, who: Author, rated: list[Rated]) -> None:
        lines = [*results_lines(decided, who.cutoff), ""]
        for category, means in ratings_by_category(rated).items():
            lines.append(f"{category}: " + ", ".join(f"{name} {value:.2f}" for name, value in means.items()))
        for one in rated:
            marks = ", ".join(f"{name} {value:.1f}" for name, value in one.ratings.items())
            state = "as expected" if one.is_as_expected else "NOT as expected"
            lines += ["", f"[{one.session}] {one.turn.ask}", _marked(one.answer), f"({marks}; {state})"]
        write_text(self.folder / REPORT, "\n".join(lines) + "\n")


def _marked(answer: Answer) -> str:
    """Return the answer; where no phrasing was faithful, say so."""
    if answer.origin == "fallback":
        return f"{answer.text} [template: {answer.num_rejected} phrasings of the model were not faithful]"
    return answer.text
