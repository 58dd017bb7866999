"""Chat messages become tokens here and nowhere else: training, generation, scoring and serving agree by construction.

What a model learns is found by the prefix rule: the tokens of the prompt must begin the tokens of prompt and answer;
what follows, up to and including EOS, is the target. No template needs marks for it, and no mask can be all zero.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewright.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from tradewright.examples.example import Messages  # a type of a floor above; nothing is imported from there

SHOWN = 60
"""Characters of a prompt that a message shows."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """An example in tokens.

    Args:
        ids: Prompt, answer and EOS.
        num_prompt: Tokens of the prompt; the others are targets.
    """

    ids: list[int]
    num_prompt: int

    @property
    def num_targets(self) -> int:
        """Tokens to be learned, EOS included, >= 1."""
        return len(self.ids) - self.num_prompt


def encode_prompt(tokenizer: "PreTrainedTokenizerFast", messages: "Messages") -> list[int]:
    """Return the tokens after which the model answers.

    Args:
        tokenizer: Holds the chat template.
        messages: At least one; none may contain a control token.

    Raises:
        DataError: There are no messages, one contains a control token, or the template refuses them.
    """
    _require_plain(tokenizer, messages)
    return _ids(tokenizer, _render(tokenizer, messages, is_prompt=True))


def encode_example(
    tokenizer: "PreTrainedTokenizerFast", messages: "Messages", completion: str, *, name: str = ""
) -> Encoded:
    """Return prompt and answer in tokens, ended by EOS.

    Args:
        tokenizer: Holds the chat template.
        messages: The prompt.
        completion: The answer, without a mark of its end.
        name: Of the example, for errors; empty: its prompt is shown.

    Raises:
        DataError: The prompt's tokens do not begin the whole, the template changes the answer, there is no target or
            no EOS.
    """
    where = f"example {name!r}" if name else f"the example that starts {_beginning(messages)!r}"
    answered: Messages = (*messages, {"role": "assistant", "content": completion})
    _require_plain(tokenizer, answered)
    prompt = _ids(tokenizer, _render(tokenizer, messages, is_prompt=True))
    ids = _ids(tokenizer, _render(tokenizer, answered, is_prompt=False))
    if ids[: len(prompt)] != prompt:
        raise DataError(
            f"{where}: the chat template does not continue its own prompt (their tokens differ from number"
            f" {_first_difference(prompt, ids)} on); choose another with model.chat_template, or start the answer"
            " with something else than white space"
        )
    if tokenizer.eos_token_id not in ids[len(prompt) :]:
        raise DataError(
            f"{where}: the chat template does not end the answer with the model's end token"
            f" {tokenizer.eos_token!r}; choose another with model.chat_template"
        )
    end = len(prompt) + ids[len(prompt) :].index(tokenizer.eos_token_id)
    learned = decode(tokenizer, ids[len(prompt) : end])
    if learned.strip() != completion.strip():
        raise DataError(
            f"{where}: the chat template changes the answer to {learned[:SHOWN]!r}; choose another with"
            " model.chat_template"
        )
    if not completion.strip():
        raise DataError(f"{where}: the answer is empty, so there is nothing to learn; leave the example out")
    return Encoded(ids=ids[: end + 1], num_prompt=len(prompt))


def decode(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> str:
    """Return the text of tokens without control tokens, white space as it was."""
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text


def plain(messages: "Messages") -> list[dict[str, str]]:
    """Return messages as chat templates take them."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def control_tokens(tokenizer: "PreTrainedTokenizerFast") -> tuple[str, ...]:
    """Return the texts that stand for a control token wherever they occur, longest first."""
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return tuple(sorted(special, key=lambda text: (-len(text), text)))


def _require_plain(tokenizer: "PreTrainedTokenizerFast", messages: "Messages") -> None:
    """Refuse messages that would be read as turns of their own."""
    if not messages:
        raise DataError("prompt: there are no messages; expected at least one of the user")
    forbidden = control_tokens(tokenizer)
    for number, message in enumerate(messages, start=1):
        found = next((token for token in forbidden if token in message["content"]), None)
        if found is not None:
            raise DataError(
                f"message {number} ({message['role']}): contains the control token {found!r}, which would end or start"
                " a turn; remove it"
            )


def _render(tokenizer: "PreTrainedTokenizerFast", messages: "Messages", *, is_prompt: bool) -> str:
    from jinja2 import TemplateError

    try:
        text = tokenizer.apply_chat_template(plain(messages), tokenize=False, add_generation_prompt=is_prompt)
    except TemplateError as error:
        raise DataError(f"prompt that starts {_beginning(messages)!r}: the chat template refuses it: {error}") from None
    assert isinstance(text, str)
    return text


def _ids(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    # the template has written BOS where the model wants one
    return list(tokenizer.encode(text, add_special_tokens=False))


def _beginning(messages: "Messages") -> str:
    return messages[-1]["content"][:SHOWN] if messages else ""


def _first_difference(prompt: list[int], ids: list[int]) -> int:
    return next((n for n, (a, b) in enumerate(zip(prompt, ids, strict=False)) if a != b), min(len(prompt), len(ids)))
