"""``Written``: one generated answer and what is known about it."""

from dataclasses import dataclass
from typing import Literal

Finish = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True)
class Written:
    """One answer.

    Args:
        text: Without special tokens and without the text that stopped it.
        num_tokens: Tokens that were written, the end included; None if a server does not say.
        finish: ``stop``: the model ended it or wrote a stop text; ``length``: it was cut off.
        log_probability: Of all written tokens under the model itself (temperature 1, no penalty), in nats; NaN if a
            server does not say.
        reasoning: What the model thought before it answered, where that is kept apart; may be empty.
        num_prompt_tokens: Tokens of the prompt; None if a server does not say.
        ids: The written tokens, the end included; empty if a server wrote them.
    """

    text: str
    num_tokens: int | None
    finish: Finish
    log_probability: float
    reasoning: str = ""
    num_prompt_tokens: int | None = None
    ids: tuple[int, ...] = ()
