"""The one state of readiness that both doors, the probes and the pipeline read.

    STARTING --(warm)--> READY --(signal)--> DRAINING --(drain delay over)--> STOPPING

A draining process still serves: endpoints take seconds to forget it. A stopping one refuses new
calls and finishes those that are open. `READY` may fall back to `STARTING` and rise again: in role
`http` readiness follows the far side.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class State(enum.Enum):
    """Where a process is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"


class Readiness:
    """Holds the state; listeners are told of each change, in the order they were added."""

    def __init__(self) -> None:
        self._state = State.STARTING
        self._listeners: list[Callable[[State], None]] = []

    @property
    def state(self) -> State:
        """Where the process is in its life."""
        return self._state

    @property
    def is_ready(self) -> bool:
        """Whether new traffic is wanted."""
        return self._state is State.READY

    @property
    def accepts_calls(self) -> bool:
        """Whether a call that arrives all the same is served."""
        return self._state is not State.STOPPING

    def listen(self, listener: Callable[[State], None]) -> None:
        """Call `listener` at once with the state, and again at each change."""
        self._listeners.append(listener)
        listener(self._state)

    def move_to(self, state: State) -> None:
        """Change the state; a draining process never becomes ready again."""
        ending = (State.DRAINING, State.STOPPING)
        if state is self._state or (self._state in ending and state not in ending):
            return
        self._state = state
        for listener in self._listeners:
            listener(state)
