"""One table from Holdfast's errors to A2A's; what is not in it is our fault, and says nothing of the inside."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from a2a.utils import errors as a2a

from holdfast.checkpoints import errors

log = logging.getLogger("holdfast.server")

CODES: dict[type[Exception], type[a2a.A2AError]] = {
    errors.UnknownTask: a2a.TaskNotFoundError,
    errors.IllegalMove: a2a.UnsupportedOperationError,
    errors.SwitchedOff: a2a.UnsupportedOperationError,
    errors.LeaseHeld: a2a.UnsupportedOperationError,
    errors.MissingTypes: a2a.UnsupportedOperationError,
    errors.UnknownSubtask: a2a.InvalidParamsError,
    errors.UnknownQuestion: a2a.InvalidParamsError,
    errors.AlreadyAnswered: a2a.InvalidParamsError,
    errors.InvalidAnswer: a2a.InvalidParamsError,
    errors.BadInput: a2a.InvalidParamsError,
}
INSIDE = "the request could not be carried out inside the server, whose log has the reason; try again later"


@contextmanager
def translated(illegal: type[a2a.A2AError] = a2a.UnsupportedOperationError) -> Iterator[None]:
    """Turns what is raised inside into A2A's errors; ``illegal`` is the one for a move that the state forbids."""
    try:
        yield
    except a2a.A2AError:
        raise
    except Exception as error:
        kind = next((CODES[one] for one in type(error).__mro__ if one in CODES), None)
        if kind is None:
            log.exception("a request broke off")
            raise a2a.InternalError(message=INSIDE) from error
        if isinstance(error, errors.UnknownTask):
            raise kind(message=f"there is no task {error.task!r}") from error
        if isinstance(error, errors.IllegalMove):
            raise illegal(message=str(error), data={"state": error.state}) from error
        raise kind(message=str(error)) from error
