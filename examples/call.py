"""Asks a service that allows only so many requests. For each record, a JSON value, it posts

    mtask -j16 --retries 5 --retry-delay 1s..60s --python call.py:ask < questions > answers

and prints the answer. A service that says 429 or 503 with Retry-After is asked again when it says so,
and all workers wait: that is no failure, and needs no code. What it cannot be asked is tried again up to
5 times. With several keys, `--worker-arg key=A --worker-arg key=B --python call.py:Client` keeps two
workers, or any multiple of that, each of which waits for its own key alone.
"""

import json
import os
import urllib.request

import mtask

URL = os.environ.get("URL", "http://localhost:8000/")


class Client:
    def __init__(self, key=None):
        self.key = key or os.environ.get("KEY", "")

    def __call__(self, question):
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"{os.environ.get('RUN', 'run')}-{mtask.record.index}",
        }
        request = urllib.request.Request(URL, json.dumps(question).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


def ask(question, client=Client()):
    return client(question)
