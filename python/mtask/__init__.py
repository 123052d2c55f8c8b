"""What mtask says to Python code: which record a call is for, which worker it runs in, and where
the mtask program is.

    import mtask

    mtask.record.index    # the record's index, from 0: the same each time the record is sent
    mtask.record.attempt  # 1, and one more each time the record is tried again
    mtask.worker.number   # the worker's number, from 0
    mtask.worker.count    # how many workers there are
    mtask.worker.process  # which of the worker's processes this is, from 0
    mtask.find()          # the path of the program that was installed with this package

Importing always works, so that code can be tested without mtask. What is not known is a
RuntimeError when it is asked for: `worker` outside a worker, `record` outside a call.
"""

import os
import sys
import sysconfig
from contextvars import ContextVar
from typing import Tuple

__all__ = ["Record", "Worker", "find", "record", "worker"]


#: The index and attempt of the record that is worked on. Whoever makes a call sets it: it is that
#: call's own in threads and in tasks.
call: "ContextVar[Tuple[int, int]]" = ContextVar("mtask.call")


class Record:
    """The record that the current call is for."""

    __slots__ = ()

    @property
    def index(self) -> int:
        """The record's index, from 0: the same each time the record is sent."""
        return _call()[0]

    @property
    def attempt(self) -> int:
        """1, and one more each time the record is tried again."""
        return _call()[1]


class Worker:
    """The worker that this process belongs to."""

    __slots__ = ()

    @property
    def number(self) -> int:
        """The worker's number, from 0."""
        return _variable("MTASK_WORKER")

    @property
    def count(self) -> int:
        """How many workers there are."""
        return _variable("MTASK_WORKERS")

    @property
    def process(self) -> int:
        """Which of the worker's processes this is, from 0: restarts add one."""
        return _variable("MTASK_PROCESS")


record = Record()
worker = Worker()


def find() -> str:
    """The path of the mtask program that was installed with this package."""
    name = "mtask" + (sysconfig.get_config_var("EXE") or "")
    here = os.path.dirname(os.path.abspath(__file__))
    folders = [
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", _user_scheme()),
        os.path.join(os.path.dirname(here), "bin"),  # pip install --target
        os.path.join(here, "..", "..", "..", "..", "bin"),  # pip install --prefix
    ]
    places = [os.path.normpath(os.path.join(folder, name)) for folder in folders]
    for place in places:
        if os.path.isfile(place):
            return place
    raise FileNotFoundError(f"the mtask program is not there: looked for {', '.join(places)}")


def _call() -> Tuple[int, int]:
    try:
        return call.get()
    except LookupError:
        raise RuntimeError(
            "mtask.record is known only within a call that `mtask --python` makes"
        ) from None


def _variable(name: str) -> int:
    try:
        return int(os.environ[name])
    except KeyError:
        raise RuntimeError(
            f"mtask.worker is known only in a worker of mtask: {name} is not set"
        ) from None


def _user_scheme() -> str:
    if sys.version_info >= (3, 10):
        return sysconfig.get_preferred_scheme("user")
    return f"{os.name}_user"
