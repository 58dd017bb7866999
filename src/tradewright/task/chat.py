"""``task=chat``: a conversation in the terminal or from a pipe.

With the run of an agent: questions about its logged decisions, answered from the log, also in scripted sessions.
Without: a language model answers freely, see :mod:`tradewright.task.free_chat`.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from tradewright.config.runtime import Runtime
from tradewright.explain.answers import Answer, DecisionTools
from tradewright.explain.answers import Chat as Conversation
from tradewright.explain.log_tools import LOOK_UPS, require_offered
from tradewright.explain.sessions import Rated, mean_ratings, ratings_by_category, read_sessions, run_sessions
from tradewright.output import write_text
from tradewright.task.author import Author, OfAgent, Write, author, require_tries, trained_prompt
from tradewright.task.decided import DecidedRun, decided_run, print_means, results_lines
from tradewright.task.free_chat import ENDS, free_session, talk

LOG, REPORT = "chat.jsonl", "chat_report.txt"


class Chat(OfAgent):
    """Answers from an agent's log, where what a language model phrases is checked, or lets a language model answer.

    Args:
        run: A run directory with a trained agent; None: a free conversation with a language model.
        llm: Run directory of a trained language model, which phrases answers or talks; None: the templates phrase, and
            the configured backend or model talks.
        write: A callable from prompts to texts in its place, with ``run``; None: none.
        sessions: A YAML file of scripted sessions, which are rated, with ``run``; None: questions from the terminal or
            a pipe.
        num_tries: Phrasings asked for before the template is given, >= 1.
        system: Instruction of a free conversation; None: none.
        decisions: A ``decisions.jsonl`` that the model of a free conversation may look up; None: no tools.
        tools: Which of the tools it may call.
        max_turns: Exchanges before the question that it sees again, >= 0; fewer where its context is full.
        folder: Where files go; None: ``explanations`` in the run directory, without an agent the run directory of the
            language model, or here.

    Raises:
        ValueError: A value is out of range, or has no effect beside another.
    """

    def __init__(
        self,
        *,
        run: str | None = None,
        llm: str | None = None,
        write: Runtime[Write | None] = None,
        sessions: str | None = None,
        num_tries: int = 3,
        system: str | None = None,
        decisions: str | None = None,
        tools: list[str] | None = None,
        max_turns: int = 20,
        folder: str | None = None,
    ) -> None:
        require_tries(num_tries)
        if max_turns < 0:
            raise ValueError(f"max_turns must be >= 0, was {max_turns}")
        if run is None and sessions is not None:
            raise ValueError(f"sessions must be null without run, whose log they are rated by, was {sessions!r}")
        for key, value in {"system": system, "decisions": decisions}.items():
            if run is not None and value is not None:
                raise ValueError(f"{key} must be null with run, whose log answers, was {value!r}")
        super().__init__(run=run, llm=llm, write=write, folder=folder)
        self.num_tries = num_tries
        self.sessions = None if sessions is None else read_sessions(Path(sessions))
        self.system, self.decisions, self.max_turns = system, decisions, max_turns
        self.tools = list(LOOK_UPS) if tools is None else tools
        require_offered(self.tools)

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Talk; return the ratings of scripted sessions, or the number of questions."""
        if self.agent is None:
            return self._talk_freely(cfg)
        who = author(cfg, llm=self.llm, write=self.write)
        decided = decided_run(self.trained, cfg)
        results = {name: replace(found, cutoff=who.cutoff) for name, found in decided.performance.items()}
        tools = DecisionTools(decided.states, results)
        for line in results_lines(decided, who.cutoff):
            Console().print(line, soft_wrap=True, markup=False, highlight=False)
        decided.write_log(self.folder)
        if self.sessions is None:
            return self._talk(tools, who)
        rated = run_sessions(
            self.sessions,
            tools,
            write=who.write,
            num_tries=self.num_tries,
            trained_prompt=trained_prompt(self.llm),
        )
        self._log("scripted", [one.answer for one in rated])
        self._report(decided, who, rated)
        means = mean_ratings(rated)
        print_means("Chat answers, 1 to 5", means)
        expected = sum(one.is_as_expected for one in rated) / len(rated)
        return {**{f"chat/{name}": value for name, value in means.items()}, "chat/as_expected": expected}

    def _talk_freely(self, cfg: DictConfig) -> dict[str, float]:
        session = free_session(
            cfg,
            llm=self.llm,
            system=self.system,
            decisions=None if self.decisions is None else Path(self.decisions),
            offered=self.tools,
            max_turns=self.max_turns,
            log=self.folder / LOG,
        )
        return {"chat/num_questions": float(talk(session))}

    def _talk(self, tools: DecisionTools, who: Author) -> dict[str, float]:
        asked = trained_prompt(self.llm)
        chat = Conversation(tools=tools, write=who.write, num_tries=self.num_tries, trained_prompt=asked)
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
