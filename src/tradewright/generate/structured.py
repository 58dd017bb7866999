"""JSON by grammar: tokens that would leave the schema cannot be written.

No white space between tokens of JSON (``any_whitespace=False``): a model that is not sure writes it for ever. A grammar
does not make an answer end: one that reaches the length limit is no JSON, and is an error here, never repaired.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tradewright.errors import ConfigError
from tradewright.examples.example import Messages
from tradewright.generate.forward import base_of
from tradewright.generate.loop import end_tokens
from tradewright.generate.writer import Writer
from tradewright.generate.written import Written
from tradewright.model.loaded_model import LoadedModel


@dataclass(frozen=True, kw_only=True)
class JsonAnswer:
    """One answer of a model that was asked for JSON.

    Args:
        written: The text.
        value: What it says; None where there is an error (or where it says ``null``).
        error: Why it is not JSON; None if it is.
    """

    written: Written
    value: Any = None
    error: str | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the answer is JSON of the schema."""
        return self.error is None


@dataclass(frozen=True)
class JsonAnswers:
    """Answers in the order of their prompts."""

    answers: tuple[JsonAnswer, ...]

    @property
    def num_invalid(self) -> int:
        """How many are no JSON of the schema."""
        return sum(not answer.is_valid for answer in self.answers)


class JsonCompiler:
    """Makes grammars for one model's tokens, which it reads once.

    Args:
        loaded: Whose tokens.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        import xgrammar

        self.num_rows = int(base_of(loaded.model).get_output_embeddings().weight.shape[0])
        ends = sorted(end_tokens(loaded.model, loaded.tokenizer))
        tokens = xgrammar.TokenizerInfo.from_huggingface(
            loaded.tokenizer, vocab_size=self.num_rows, stop_token_ids=ends
        )
        self._compiler = xgrammar.GrammarCompiler(tokens, max_threads=1)

    def compile(self, schema: Mapping[str, Any]) -> "JsonGrammar":
        """Return the grammar of a JSON schema.

        Raises:
            ConfigError: The schema is not valid, or has what grammars do not know.
        """
        try:
            compiled = self._compiler.compile_json_schema(json.dumps(schema), any_whitespace=False)
        except (RuntimeError, TypeError, ValueError) as error:
            text = " ".join(str(error).split())
            raise ConfigError(f"schema: cannot be made into a grammar ({text}); simplify it") from error
        return JsonGrammar(compiled, self.num_rows)


@dataclass(frozen=True)
class JsonGrammar:
    """A JSON schema, compiled.

    Args:
        compiled: xgrammar's form of it.
        num_rows: Logits of the model, unused ones included.
    """

    compiled: Any
    num_rows: int

    def constraint(self) -> "GrammarConstraint":
        """Return the constraint of one answer."""
        return GrammarConstraint(self)


class GrammarConstraint:
    """What a grammar lets one answer continue with.

    Args:
        grammar: The compiled schema.
    """

    def __init__(self, grammar: JsonGrammar) -> None:
        import xgrammar

        self.matcher = xgrammar.GrammarMatcher(grammar.compiled)
        self.bits = xgrammar.allocate_token_bitmask(1, grammar.num_rows)

    def forbid(self, logits_V: Tensor) -> None:
        """Set the logits of tokens that the grammar does not allow to ``-inf``, in place."""
        import xgrammar

        self.matcher.fill_next_token_bitmask(self.bits)
        xgrammar.apply_token_bitmask_inplace(logits_V.unsqueeze(0), self.bits.to(logits_V.device))

    def accept(self, token: int) -> None:
        """Advance by a token that was allowed."""
        is_accepted = self.matcher.accept_token(token)
        assert is_accepted, f"token {token} was drawn though the grammar forbids it"


def write_json(
    writer: Writer, prompts: Sequence[Messages], schema: Mapping[str, Any], *, seed: int | None = None
) -> JsonAnswers:
    """Return answers that follow a JSON schema, each with its value or with the reason why it has none.

    Args:
        writer: Writes.
        prompts: Conversations; they should say what is asked for, the grammar only keeps to the form.
        schema: JSON schema.
        seed: Of the draws; None: that of the writer's settings.

    Raises:
        ConfigError: The schema cannot be made into a grammar.
        RunError: A prompt fills the context.
    """
    grammar = JsonCompiler(writer.loaded).compile(schema)
    written = writer.write(prompts, seed=seed, constraint=grammar.constraint)
    return JsonAnswers(tuple(read_json_answer(one) for one in written))


def read_json_answer(written: Written) -> JsonAnswer:
    """Return the value of an answer, or why it has none."""
    try:
        return JsonAnswer(written=written, value=json.loads(written.text))
    except json.JSONDecodeError as error:
        cut = f"cut off after {written.num_tokens} tokens: " if written.finish == "length" else ""
        return JsonAnswer(written=written, error=f"{cut}not JSON: {error}")
