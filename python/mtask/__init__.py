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
from typing import Any, Mapping, Optional

__all__ = ["Record", "Worker", "find", "record", "worker"]


class Record:
    """The record that the current call is for."""

    __slots__ = ()

    @property
    def index(self) -> int:
        """The record's index, from 0: the same each time the record is sent."""
        return int(_record()["id"])

    @property
    def attempt(self) -> int:
        """1, and one more each time the record is tried again."""
        return int(_record().get("attempt", 1))


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
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", _user_scheme())]
    if "__file__" in globals():  # not where mtask itself has brought the module
        here = os.path.dirname(os.path.abspath(__file__))
        folders += [
            os.path.join(os.path.dirname(here), "bin"),  # pip install --target
            os.path.join(here, "..", "..", "..", "..", "bin"),  # pip install --prefix
        ]
    places = [os.path.normpath(os.path.join(folder, name)) for folder in folders]
    for place in places:
        if os.path.isfile(place):
            return place
    raise FileNotFoundError(f"the mtask program is not there: looked for {', '.join(places)}")


def _record() -> Mapping[str, Any]:
    # What runs the calls keeps a context variable there, which threads and tasks do not share.
    current = getattr(sys.modules.get("_mtask"), "current", None)
    record: Optional[Mapping[str, Any]] = current and current.get(None)
    if record is None:
        raise RuntimeError(
            "mtask.record is known only in a call of `mtask --python` for one record: not with "
            "--batch, and in a thread that the call starts only with contextvars.copy_context()"
        )
    return record


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
