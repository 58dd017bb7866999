"""What clients send and get: OpenAI's chat and text completions, and decisions between labels.

A field that is not here is refused, never ignored: whoever asks for log-probabilities must not take their absence for
an answer.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from tradewright.examples.example import Message, Messages
from tradewright.generate.decoding import LARGEST_SEED

Choice = TypeVar("Choice")

MAX_MESSAGES = 256
MAX_LABELS = 64
MAX_STOPS = 16
MAX_CHARACTERS = 200_000
"""Of one text."""
PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
"""No control characters but tab and line ends."""

Text = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS, pattern=PLAIN)]
Label = Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """A request, or a part of one."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ChatMessage(Strict):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: Text


class TextFormat(Strict):
    """No form."""

    type: Literal["text"]


class JsonSchema(Strict):
    """The form of an answer."""

    name: Annotated[str, Field(max_length=64)]
    description: str | None = None
    definition: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = Field(None, description="Answers keep to the schema in any case.")


class JsonSchemaFormat(Strict):
    """JSON of a schema, by grammar."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class StreamOptions(Strict):
    """What a stream tells besides the text."""

    include_usage: bool = False


class Sampling(Strict):
    """How an answer is drawn; null takes the server's own setting."""

    model: str | None = Field(None, description="The served model, or null.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] | None = Field(
        None, description="With a seed, or at temperature 0, the same request gets the same answer."
    )
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = Field(None, description="One answer per request.")
    user: str | None = Field(None, description="Without influence.")


class ChatRequest(Sampling):
    """A conversation to be continued."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="OpenAI's newer name of max_tokens; give one of the two."
    )
    response_format: Annotated[TextFormat | JsonSchemaFormat, Field(discriminator="type")] | None = None
    logprobs: Literal[False] | None = Field(None, description="Not offered.")

    def conversation(self) -> Messages:
        """Return the turns."""
        return tuple(Message(role=one.role, content=one.content) for one in self.messages)


class CompletionRequest(Sampling):
    """A text to be answered; it is one message of the user, since the model was fitted to conversations."""

    prompt: Text
    logprobs: Literal[0] | None = Field(None, description="Not offered.")
    echo: Literal[False] | None = Field(None, description="Not offered.")

    def conversation(self) -> Messages:
        """Return the text as a conversation."""
        return (Message(role="user", content=self.prompt),)


class DecideRequest(Strict):
    """A question whose answer is one of a few labels: ``prompt`` or ``messages``, not both."""

    prompt: Text | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    labels: Annotated[list[Label], Field(min_length=2, max_length=MAX_LABELS)] | None = Field(
        None, description="Possible answers, all different; null takes the server's own."
    )
    model: str | None = Field(None, description="The served model, or null.")

    def conversation(self) -> Messages | None:
        """Return the question; None if there are none or two."""
        if (self.prompt is None) == (self.messages is None):
            return None
        if self.prompt is not None:
            return (Message(role="user", content=self.prompt),)
        assert self.messages is not None
        return tuple(Message(role=one.role, content=one.content) for one in self.messages)


class Usage(BaseModel):
    """Tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Reply(BaseModel):
    """The model's turn."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(BaseModel):
    """One answer."""

    index: int = 0
    message: Reply
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class TextChoice(BaseModel):
    """One answer."""

    index: int = 0
    text: str
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class Completed(BaseModel, Generic[Choice]):
    """What both kinds of answer have in common."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class ChatCompletion(Completed[ChatChoice]):
    """The answer to a conversation."""

    object: Literal["chat.completion"] = "chat.completion"


class Completion(Completed[TextChoice]):
    """The answer to a text."""

    object: Literal["text_completion"] = "text_completion"


class Decision(BaseModel):
    """The most probable label."""

    label: str
    confidence: float = Field(description="Probability of the label.")
    probabilities: dict[str, float] = Field(description="Of every label; they add up to 1.")
    model: str


class ServedModel(BaseModel):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "tradewright"


class ServedModels(BaseModel):
    """The models of the server."""

    object: Literal["list"] = "list"
    data: list[ServedModel]


class CacheState(BaseModel):
    """The cache of equal requests."""

    size: int
    hits: int
    misses: int


class Health(BaseModel):
    """Whether the server answers, and how busy it is."""

    status: Literal["ok"] = "ok"
    model: str
    num_running: int = Field(description="Requests that use the model or wait for it.")
    num_answered: int
    cache: CacheState


class Problem(BaseModel):
    """Why there is no answer."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Refusal(BaseModel):
    """An error, in OpenAI's form."""

    error: Problem
