"""What is refused, in OpenAI's form of an error."""

from dataclasses import dataclass

from tradewright.serve.protocol import Problem, Refusal

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


@dataclass
class ServeError(Exception):
    """A request that gets no answer.

    Args:
        status: HTTP status code.
        message: What was expected, what was found, what to do.
        code: A word for programs.
        param: The field.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None

    def body(self) -> bytes:
        """Return the error as JSON."""
        kind = KINDS.get(self.status, "server_error")
        problem = Problem(message=self.message, type=kind, param=self.param, code=self.code)
        return Refusal(error=problem).model_dump_json().encode()
