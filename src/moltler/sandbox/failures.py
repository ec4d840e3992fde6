"""What a handler threw, or a process died of, as the error a user sees (LANGUAGE §14)."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from moltler.errors import ErrorContext, MoltlerError, Problem, ScriptPosition, error_class
from moltler.flow.connector import CallLimits
from moltler.flow.http import FetchFailure
from moltler.model import Handler
from moltler.sandbox.call import Call, Death
from moltler.sandbox.frames import MAX_MESSAGE, MAX_STACK, Thrown
from moltler.sandbox.positions import Module, end_of, first_place, in_script, place
from moltler.secret import Secret, redact_start

_CODES = {
    "auth": "API002",
    "rate": "API003",
    "connection": "API001",
    "timeout": "JSR002",
    "connector": "API004",
    "fetch": "API001",
    "mock": "TST002",
    "json": "API007",
    "native": "JSR006",
    "plain": "JSR001",
    "data": "JSR004",
    "stuck": "JSR007",
    "compile": "DEF005",
    "unbound": "DEF003",
    "import": "DEF005",
    "default": "DEF005",
}
_MOCK_CODES = {"MOCK_EXHAUSTED": "TST003", "MOCK_MISMATCH": "TST007"}
_EGRESS = frozenset({"EGRESS_BLOCKED", "SECRET_OVER_HTTP"})
_UNDEFINED = re.compile(r"^(\S+) is not defined$")
_OUT_OF_MEMORY = frozenset(
    {-signal.SIGABRT, -signal.SIGTRAP, -signal.SIGILL, -signal.SIGSEGV, 133, 134}
)
_SIGNATURES = {
    "query": "async function query(config, filters, options)",
    "execute": "async function execute(config, params)",
    "test": "async function test(config)",
}


@dataclass(frozen=True, slots=True)
class Failing:
    """What a failing call was for."""

    connector: str
    secrets: tuple[Secret, ...]
    limits: CallLimits
    handler: Handler
    entity: str | None = None
    action: str | None = None

    @property
    def place(self) -> ScriptPosition:
        """Where the handler begins, for failures that no line of it stands for."""
        return ScriptPosition(self.handler.file, self.handler.line)


def of_thrown(
    thrown: Thrown, call: Call, failing: Failing, modules: Mapping[int, Module]
) -> MoltlerError:
    """Give the error for something a handler threw."""

    def clean(text: str, limit: int) -> str:
        return redact_start(text, limit, failing.secrets)

    code = _CODES[thrown.kind]
    hint = clean(thrown.hint, MAX_MESSAGE) if thrown.hint else None
    if thrown.kind == "fetch":
        if thrown.code in _EGRESS:
            code = "API005"
        elif thrown.code == "TOO_LARGE":
            code = "API006"
        hint = _hint_of(call.failures, thrown.code)
    elif thrown.kind == "mock":
        code = _MOCK_CODES.get(thrown.code or "", code)
        hint = _hint_of(call.failures, thrown.code)
    elif egress := [f for f in call.failures if f.code in _EGRESS]:
        # The handler turned the refusal into an error of its own; the remedy stays the same.
        hint = hint or egress[-1].hint
    elif thrown.kind == "native":
        undefined = _UNDEFINED.match(thrown.message)
        hint = f"define `{undefined[1]}` in the handler" if undefined else None
    elif thrown.kind == "json":
        hint = "check `response.ok` before `response.json()`: the API sent something else"
    message = clean(thrown.message, MAX_MESSAGE)
    if thrown.kind == "stuck":
        message = "the handler waits for a promise that nothing can settle any more"
        hint = "see that every promise the handler makes is resolved or rejected"
    elif thrown.kind in {"compile", "unbound", "import"} and (module := modules.get(call.id)):
        return MoltlerError.of((of_source(thrown, module.handler, ""),))
    stack = clean(thrown.stack, MAX_STACK)
    return error_class(code)(
        code,
        message or f"the handler threw {clean(thrown.name, 200) or 'an error'} without a message",
        hint=hint,
        span=first_place(stack, modules) or failing.place,
        retry_after=max(thrown.retry_after, 0.0) if thrown.retry_after is not None else None,
        context=_context(
            failing,
            status=thrown.status,
            cause=clean(thrown.cause, MAX_MESSAGE) if thrown.cause else None,
            stack=in_script(stack, modules) or None,
        ),
    )


def of_death(death: Death, call: Call, failing: Failing) -> MoltlerError:
    """Give the error for a call whose process is no more."""
    limits = failing.limits
    code, hint = "JSR003", None
    is_culprit = call.id in death.culprits
    match death.cause:
        case "time" if is_culprit:
            code = "JSR002"
            subject = "the handler's top-level code" if call.kind == "load" else "the handler"
            message = f"{subject} did not finish within {limits.timeout_s:g} seconds"
            hint = "ask the API for less, or raise OPTIONS `timeout_seconds`"
        case "died" | "memory" if death.cause == "memory" or death.returncode in _OUT_OF_MEMORY:
            message = f"the handler needed more than {limits.memory_mb} MB of memory"
            hint = "yield rows page by page from a generator, or raise OPTIONS `memory_mb`"
        case "died":
            message = f"the connector's process died {_how(death.returncode)}"
        case "forged":
            message = "the connector's process was ended because it broke the protocol"
        case "start":
            message = "the JavaScript runtime did not start"
            if death.detail:
                message += f": {death.detail}"
            hint = "run `moltler doctor`"
        case "closed":
            message = "the connector's process was ended because the session was closed"
        case _:
            message = "the connector's process was ended because another call did not stop"
            hint = "run it again"
    return error_class(code)(
        code, message, hint=hint, span=failing.place, context=_context(failing)
    )


def session_closed() -> MoltlerError:
    """Give the error for a call that comes after the end."""
    return error_class("JSR003")(
        "JSR003", "the session was closed, so no handler can run", hint="open a new session"
    )


def of_source(thrown: Thrown, handler: Handler, entry: str) -> Problem:
    """Give the problem of a handler that does not compile or does not bind its entry."""
    # It has not been stripped of types yet, so the columns of TypeScript are right as well.
    module = Module(0, handler)
    where = place(module, thrown.line or 1, thrown.column or 1)
    if thrown.kind == "import":
        return Problem(
            "DEF005",
            "`import` is not available in connectors",
            "put what the handler needs into its text; `fetch` and the web's globals are there",
            where,
        )
    if thrown.kind == "default":
        return Problem(
            "DEF005",
            "`export default` is not available in connectors",
            "declare the function without it: it is found by its name",
            where,
        )
    if thrown.kind == "unbound":
        return Problem(
            "DEF003",
            f"the handler does not define `{entry}`",
            f"declare it: {_SIGNATURES.get(entry, entry)}",
            place(module, 1, 1),
        )
    if where.column is None:
        where = end_of(handler)
        message = "the handler ends too early: a bracket, quote or comment is not closed"
    else:
        message = f"the handler does not compile: {thrown.message[:500]}"
    return Problem("DEF005", message, None, where)


def _hint_of(failures: list[FetchFailure], code: str | None) -> str | None:
    return next((f.hint for f in reversed(failures) if f.code == code), None)


def _how(returncode: int | None) -> str:
    if returncode is None:
        return "unexpectedly"
    if returncode < 0:
        return f"of signal {signal.Signals(-returncode).name}"
    return f"with status {returncode}"


def _context(
    failing: Failing,
    *,
    status: int | None = None,
    cause: str | None = None,
    stack: str | None = None,
) -> ErrorContext:
    return ErrorContext(failing.connector, failing.entity, failing.action, status, cause, stack)
