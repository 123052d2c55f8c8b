"""Exceptions that say "not now": which they are, and for how long.

An exception says so with an attribute `retry_after`, in seconds, or with a header Retry-After: in
`headers`, as those of urllib have it, or in `response.headers`, as those of httpx and requests do.
Nothing of these is imported.
"""

import time

from _mtask.library import library

MOST = 1e9  # seconds


def wait_of(error):
    """For how many seconds, or None where it says nothing of that."""
    try:
        wait = getattr(error, "retry_after", None)
        if wait is None:
            wait = header_of(error)
        return None if wait is None else seconds(wait)
    except BaseException:
        return None  # anything may raise anything


def header_of(error):
    for holder in (getattr(error, "response", None), error):
        headers = getattr(holder, "headers", None)
        if headers is not None and hasattr(headers, "get"):
            # The names of headers are the same in capitals, but in a mere dict.
            for name in ("Retry-After", "retry-after"):
                wait = headers.get(name)
                if wait is not None:
                    return wait
    return None


def seconds(wait):
    """A number, a timedelta, or what the header holds: a number or a date."""
    if hasattr(wait, "total_seconds"):
        wait = wait.total_seconds()
    if isinstance(wait, bytes):
        wait = wait.decode()
    if isinstance(wait, str):
        try:
            wait = float(wait)
        except ValueError:
            wait = library.load("email.utils").utils.parsedate_to_datetime(wait).timestamp()
            wait = max(0.0, wait - time.time())
    if isinstance(wait, bool):
        return None
    wait = float(wait)
    return min(wait, MOST) if wait >= 0 else None
