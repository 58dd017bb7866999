"""``task=generate_pairs``: pairs of answers for preference training, from a trained language model's own answers.

The model answers prompts of the train part of its run several times; the fact check grades the answers, and the best
and the worst of a prompt become a pair where their grades differ. People judge the same answers: they rate them on the
sheet that is written beside, or correct them; a second call takes that in, without drawing anew. Pairs of the
validation part choose the checkpoint later. The test part is copied as it is, one answer per prompt, to be judged once:
no pair is made of it.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.errors import DataError, RunError, suggest
from tradewright.evaluate.language import TextBench
from tradewright.examples.example import Example, Preference
from tradewright.examples.pairing import (
    CHECK,
    SEPARATOR,
    SOURCES,
    Answer,
    edited_pairs,
    example_of,
    ranked_pairs,
    rated_pairs,
)
from tradewright.examples.rows import read_rows, to_row, write_rows
from tradewright.explain.grades import CRITERIA, grade_of, grade_text
from tradewright.explain.sheet import read_sheet, write_texts
from tradewright.output import CONFIG, write_json, write_text
from tradewright.task.language_model import load_model
from tradewright.task.texts import read_texts
from tradewright.task.trained import require_run_directory

FOLDER = "preferences"
PAIRS, ANSWERS, SHEET, FIGURES = "preferences.json", "answers.jsonl", "human_scores.csv", "preferences_data.json"
PARTS = ("train", "validation")
"""Of the run's examples, whose prompts are answered."""
PER_VALIDATION = 4
"""Prompts of the train part for each one of the validation part."""
BATCH_SIZE = 64
"""Answers written at once."""


class GeneratePairs:
    """Writes ``preferences.json``, ``answers.jsonl``, ``human_scores.csv`` and ``preferences_data.json``.

    Args:
        run: Run directory of a trained language model.
        num_answers: Drawn per prompt, >= 2.
        temperature: Of the draws, > 0; tokens are drawn from all.
        num_prompts: Of the train part, drawn at random, >= 1, and a quarter as many of the validation part; None: all.
        min_gap: Least difference of the grades of a pair, of 1 to 5, in [0, 4].
        criteria: By which answers are graded; None: all that apply to their kind.
        edits: JSON or JSONL of corrected answers, rows of ``answers.jsonl`` or of the run's examples with another
            completion; None: those that the run's own examples name, if any.
        ratings: A filled-in ``human_scores.csv``; None: none.
        num_rated: Prompts on the sheet for people, >= 0.
        folder: Where files go; None: ``preferences`` in the run directory.
        seed: Of the drawn prompts and answers, >= 0.

    Raises:
        ValueError: A value is out of range.
    """

    needs_run_directory: ClassVar[bool] = False
    needs_market: ClassVar[bool] = False
    language_model_key: ClassVar[str] = "run"

    def __init__(
        self,
        *,
        run: str,
        num_answers: int = 6,
        temperature: float = 0.8,
        num_prompts: int | None = 400,
        min_gap: float = 0.25,
        criteria: list[str] | None = None,
        edits: str | None = None,
        ratings: str | None = None,
        num_rated: int = 20,
        folder: str | None = None,
        seed: int = 0,
    ) -> None:
        if num_answers < 2:
            raise ValueError(f"num_answers must be >= 2, was {num_answers}")
        if not temperature > 0:
            raise ValueError(f"temperature must be > 0, was {temperature}: all answers would be the same")
        if num_prompts is not None and num_prompts < 1:
            raise ValueError(f"num_prompts must be >= 1 or null, was {num_prompts}")
        if not 0 <= min_gap <= 4:
            raise ValueError(f"min_gap must be in [0, 4], was {min_gap}")
        for name in criteria or ():
            if name not in CRITERIA:
                raise ValueError(f"criteria: unknown criterion {name!r}{suggest(name, CRITERIA)}")
        if num_rated < 0 or seed < 0:
            raise ValueError(f"num_rated and seed must be >= 0, were {num_rated} and {seed}")
        self.run = Path(run)
        require_run_directory(self.run)
        self.num_answers, self.temperature, self.num_prompts = num_answers, temperature, num_prompts
        self.min_gap, self.criteria, self.num_rated, self.seed = min_gap, criteria or CRITERIA, num_rated, seed
        self.edits = None if edits is None else Path(edits)
        self.ratings = None if ratings is None else Path(ratings)
        self.folder = self.run / FOLDER if folder is None else Path(folder)

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Answer, grade, pair and write; return the figures of the data set.

        Raises:
            RunError: The run's examples cannot be read without a market, or it has no language model.
            DataError: No pair comes about, or an edit or rating is wrong.
        """
        bench, edits = self._examples()
        answers = self._read_answers(bench) if self._is_judged else self._draw(cfg, bench)
        by_part = self._pairs(answers, bench, edits)
        for part in PARTS:
            if not by_part[part]:
                raise DataError(
                    f"{self.run}: no pair of the {part} part: graded answers of one prompt never differ by"
                    f" {self.min_gap}; lower task.min_gap, raise task.num_answers, or give task.ratings or task.edits"
                )
        rows = [to_row(one, part) for part in PARTS for one in by_part[part]]
        rows += [to_row(one, "test") for one in bench.sets.test]
        write_rows(self.folder / PAIRS, rows)
        figures = _figures(by_part, answers)
        write_json(self.folder / FIGURES, {**figures, "run": str(self.run), "test": len(bench.sets.test)})
        out = Console()
        for name, value in figures.items():
            out.print(f"{name}: {value:,.4g}", highlight=False)
        out.print(f"{self.folder / PAIRS}\n{self.folder / SHEET}", soft_wrap=True, highlight=False)
        return figures

    @property
    def _is_judged(self) -> bool:
        """Whether people judged answers that were drawn before."""
        return self.ratings is not None or (self.edits is not None and (self.folder / ANSWERS).is_file())

    def _examples(self) -> tuple[TextBench, Path | None]:
        """Return the run's examples as generated, without edits, and the file of its edits."""
        path = self.run / CONFIG
        if not path.is_file():
            raise RunError(f"{self.run}: no {CONFIG}; expected a run directory such as outputs/trading_llm/<run>")
        cfg = OmegaConf.load(path)
        assert isinstance(cfg, DictConfig)
        target = str(cfg.examples.get("_target_", ""))
        if class_attribute(target, "needs_market") is not False or class_attribute(target, "is_unused") is True:
            raise RunError(
                f"{self.run}: its examples need a market or are none; expected a run on examples=explanations or json"
            )
        edits = cfg.examples.get("edits")
        if edits is not None:
            cfg.examples.edits = None
        return read_texts(cfg), self.edits or (None if edits is None else Path(edits))

    def _draw(self, cfg: DictConfig, bench: TextBench) -> list[Answer]:
        """Let the model answer, grade its answers, and write them with the sheet."""
        from tradewright.generate.decoding import Decoding
        from tradewright.generate.writer import Writer

        rng = np.random.default_rng(self.seed)
        chosen = []
        for part, share in zip(PARTS, (1, PER_VALIDATION), strict=True):
            examples: tuple[Example, ...] = getattr(bench.sets, part)
            num = len(examples) if self.num_prompts is None else min(len(examples), -(-self.num_prompts // share))
            chosen += [examples[place] for place in sorted(rng.permutation(len(examples))[:num])]
        decoding = Decoding(
            temperature=self.temperature,
            repetition_penalty=1.0,
            max_new_tokens=int(build(cfg.generate, key="generate").max_new_tokens),
            num_candidates=self.num_answers,
            seed=self.seed,
        )
        writer = Writer(load_model(cfg, str(self.run)), decoding, batch_size=BATCH_SIZE)
        written = writer.candidates([one.prompt for one in chosen])
        answers = [
            self._answer(f"{example.id}{SEPARATOR}{number}", example, one.text)
            for example, group in zip(chosen, written, strict=True)
            for number, one in enumerate(group, start=1)
        ]
        parts = _parts(bench)
        lines = [to_row(replace(one.example, id=one.id, completion=one.text), parts[one.example.id]) for one in answers]
        write_text(self.folder / ANSWERS, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        asked = {chosen[place].id for place in rng.permutation(len(chosen))[: self.num_rated]}
        sheet = [(one.id, one.text, grade_text(one.example, one.text)) for one in answers if one.example.id in asked]
        write_texts(self.folder / SHEET, sheet)
        return answers

    def _answer(self, name: str, example: Example, text: str) -> Answer:
        return Answer(id=name, example=example, text=text, grade=grade_of(example, text, self.criteria))

    def _read_answers(self, bench: TextBench) -> list[Answer]:
        """Return the answers that were drawn before.

        Raises:
            DataError: There are none, or they are of other examples.
        """
        path = self.folder / ANSWERS
        if not path.is_file():
            raise DataError(f"{path}: no such file; draw answers first: `tradewright generate_pairs run={self.run}`")
        by_id = {one.id: one for part in PARTS for one in getattr(bench.sets, part)}
        found = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            row = json.loads(line)
            example = by_id.get(row["id"].rpartition(SEPARATOR)[0])
            if example is None:
                raise DataError(f"{path.name} row {number}: {row['id']} answers no example of the run; draw anew")
            found.append(self._answer(row["id"], example, row["completion"]))
        return found

    def _pairs(self, answers: Sequence[Answer], bench: TextBench, edits: Path | None) -> dict[str, list[Preference]]:
        """Return the pairs of each part, people's first; the fact check has no say where people judged."""
        examples = {one.id: one for part in PARTS for one in getattr(bench.sets, part)}
        pairs: list[Preference] = []
        if edits is not None:
            texts = {one.id: (one.example, one.text) for one in answers}
            texts |= {name: (one, one.completion) for name, one in examples.items()}
            rows = read_rows(edits)
            if (
                self.edits is None
            ):  # of the run's own edits those of its other parts and of unused decisions have no say
                rows = [row for row in rows if row.example.id in texts]
            pairs += edited_pairs(rows, texts, [one.id for one in bench.sets.test])
        if self.ratings is not None:
            scores = read_sheet(self.ratings, [one.id for one in answers])
            pairs += rated_pairs(answers, {one.id: float(np.mean(list(one.values.values()))) for one in scores})
        judged = {example_of(one) for one in pairs}
        left = [one for one in answers if one.example.id not in judged]
        pairs += ranked_pairs(left, min_gap=self.min_gap)
        parts = _parts(bench)
        found: dict[str, list[Preference]] = {part: [] for part in PARTS}
        for one in pairs:
            found[parts[example_of(one)]].append(one)
        return found


def _parts(bench: TextBench) -> dict[str, str]:
    return {one.id: part for part in PARTS for one in getattr(bench.sets, part)}


def _figures(by_part: Mapping[str, Sequence[Preference]], answers: Sequence[Answer]) -> dict[str, float]:
    """Return counts, grades and lengths: preferred answers that are longer teach length."""
    pairs = [one for part in PARTS for one in by_part[part]]
    checked = [one for one in pairs if one.source == CHECK]
    graded = [one.grade for one in answers if np.isfinite(one.grade)]
    figures: dict[str, Any] = {f"data/num_{part}": float(len(by_part[part])) for part in PARTS}
    sources = Counter(one.source for one in pairs)
    figures |= {f"data/num_{source}": float(sources[source]) for source in SOURCES}
    figures["data/num_answers"] = float(len(answers))
    figures["data/mean_grade"] = float(np.mean(graded)) if graded else float("nan")
    if checked:
        for name in ("completion", "rejected"):
            grades = [grade_of(one, getattr(one, name)) for one in checked]
            figures[f"data/grade_{'chosen' if name == 'completion' else name}"] = float(np.mean(grades))
    figures["data/characters_chosen"] = float(np.mean([len(one.completion) for one in pairs]))
    figures["data/characters_rejected"] = float(np.mean([len(one.rejected) for one in pairs]))
    figures["data/chosen_longer"] = float(np.mean([len(one.completion) > len(one.rejected) for one in pairs]))
    return figures
