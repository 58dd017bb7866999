"""The Modelfile beside a GGUF file: with it ``ollama create`` answers in the template that the model was trained in."""

from typing import TYPE_CHECKING

from tradewright.errors import ConfigError
from tradewright.examples.example import Messages
from tradewright.model.chat_templates import TEMPLATES, ChatTemplate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PROBES: tuple[Messages, ...] = (
    ({"role": "user", "content": "a"},),
    ({"role": "system", "content": "s"}, {"role": "user", "content": "a"}),
    (
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ),
)
"""Conversations by which a template is recognised."""


def modelfile(tokenizer: "PreTrainedTokenizerFast", *, file: str, max_length: int) -> str:
    """Return the text of a Modelfile.

    Args:
        tokenizer: Holds the chat template.
        file: Name of the GGUF file beside it.
        max_length: Tokens of prompt and answer together.

    Raises:
        ConfigError: The chat template is none that is known in Ollama's language.
    """
    template = known_template(tokenizer)
    end = tokenizer.eos_token
    assert isinstance(end, str)
    go = template.go.replace("EOS", end)
    return (
        f"# ollama create mine -f Modelfile\nFROM ./{file}\n"
        f'TEMPLATE """{go}"""\n'
        f'PARAMETER stop "{end}"\nPARAMETER num_ctx {max_length}\n'
    )


def known_template(tokenizer: "PreTrainedTokenizerFast") -> ChatTemplate:
    """Return the one of our templates that writes what the tokenizer's own writes.

    Raises:
        ConfigError: None does.
    """
    own = [_text(tokenizer, messages, None) for messages in PROBES]
    for template in TEMPLATES.values():
        if [_text(tokenizer, messages, template.jinja) for messages in PROBES] == own:
            return template
    raise ConfigError(
        f"Modelfile: the model's chat template is none of {', '.join(TEMPLATES)}, which can be written in Ollama's"
        " language; train with one of them (model.chat_template) or export as safetensors"
    )


def _text(tokenizer: "PreTrainedTokenizerFast", messages: Messages, template: str | None) -> str:
    from jinja2 import TemplateError

    try:
        text = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=True,
        )
    except TemplateError as error:
        return f"refused: {error}"  # equal only to a template that refuses it too
    assert isinstance(text, str)
    return text
