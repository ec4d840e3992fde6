"""Errors as scripts see and throw them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from moltler.codes import CODES, Blame
from moltler.errors import MoltlerError, PlanError, Span
from moltler.exec.values import shortened, text_of, value_error

_USER = CODES["PLN900"]
_LONGEST_CODE = 64


class UserError(PlanError):
    """What THROW raises: PLN900, or a code of the script's own."""

    def __init__(self, message: str, code: str | None = None, span: Span | None = None) -> None:
        super().__init__(_USER.code, message, span=span)
        if code is not None:
            if not 0 < len(code) <= _LONGEST_CODE or not code.isprintable():
                raise value_error(
                    f"`{shortened(code)}` is no error code", "write one such as 'OUT_OF_STOCK'"
                ).at(span)
            self.problems = (replace(self.problems[0], code=code),)

    # The code need not stand in the table, so what the table says is said here.

    @property
    def type(self) -> str:
        """Always ``user_error``."""
        return _USER.type

    @property
    def exit_code(self) -> int:
        """The exit status of the command line."""
        return _USER.exit

    @property
    def blame(self) -> Blame:
        """Whose fault it is."""
        return _USER.blame

    def is_a(self, type_name: str) -> bool:
        """Tell whether a CATCH of this type name catches it."""
        return type_name.lower() in {_USER.type, "error", "others"}


def user_error(value: object, code: object, span: Span) -> UserError:
    """Make the error that THROW raises for a value and a code, either of any kind."""
    message = value
    if isinstance(value, dict):
        document = cast("dict[str, object]", value)
        message = document.get("message", value)
        code = code if code is not None else document.get("code")
    return UserError(text_of(message), None if code is None else text_of(code), span)


def error_document(error: MoltlerError) -> dict[str, object]:
    """Give the document that CATCH calls ``error``."""
    context = error.context
    return {
        "code": error.code,
        "type": error.type,
        "message": error.message,
        "hint": error.hint,
        "connector": context.connector,
        "entity": context.entity,
        "action": context.action,
        "status": context.status,
        "retry_after": error.retry_after,
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "cause": context.cause,
        "stack": context.stack,
    }
