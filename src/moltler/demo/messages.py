"""What goes in and out of the shop's API: requests, answers and refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from moltler.schema import JsonValue


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read and taken apart."""

    method: str
    path: str
    """Percent-decoded, without the query and without a quirk's prefix."""
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    body: bytes = b""
    target: str = ""
    """Path and query exactly as they were sent."""
    root: str = ""
    """Where the API starts for this client: ``http://127.0.0.1:8765/quirks/offset-token``."""

    def asking(self, **parameters: str | None) -> Request:
        """Give the same request with other query parameters; ``None`` takes one out."""
        merged = {**self.query, **{k: v for k, v in parameters.items() if v is not None}}
        kept = {k: v for k, v in merged.items() if parameters.get(k, v) is not None}
        return replace(self, query=kept)

    def saying(self, **headers: str | None) -> Request:
        """Give the same request with other headers; ``None`` takes one out."""
        kept = {k: v for k, v in self.headers.items() if k not in headers}
        return replace(self, headers=kept | {k: v for k, v in headers.items() if v is not None})

    def sending(self, document: Mapping[str, JsonValue]) -> Request:
        """Give the same request with another body."""
        return replace(self, body=json.dumps(dict(document)).encode())

    def document(self) -> dict[str, JsonValue]:
        """Read the body as a JSON object.

        Raises:
            Refusal: 400, it is not one.
        """
        try:
            found: JsonValue = json.loads(self.body)
        except ValueError as error:
            raise Refusal(400, f"the body is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise Refusal(400, "the body must be a JSON object")
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """One response; `body` ``None`` means there is none."""

    status: int
    body: JsonValue = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def document(self) -> dict[str, JsonValue]:
        """The body if it is an object, else an empty one."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def rows(self) -> list[dict[str, JsonValue]]:
        """The rows of a list answer, else none."""
        items = self.document.get("items")
        return [row for row in items if isinstance(row, dict)] if isinstance(items, list) else []

    def showing(self, rows: list[dict[str, JsonValue]]) -> Answer:
        """Give the same list answer with other rows."""
        return replace(self, body={**self.document, "items": [*rows]})


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """The shop answers with an error status.

    Args:
        status: The HTTP status.
        message: One sentence for the body's ``error``.
        headers: Of the response.
        more: Further keys of the body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"error": message, **(more or {})}, headers or {})
