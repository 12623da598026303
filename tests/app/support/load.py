"""Steady load, while something else happens."""

import threading
from collections import Counter
from typing import Self

import httpx


class Load:
    """A few clients that ask for the same prediction over and over; counts status and version of every answer."""

    def __init__(self, url: str, path: str, body: object, clients: int = 3) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.errors: list[str] = []
        self._url, self._path, self._body = url, path, body
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def answered_by(self, version: str) -> int:
        """How many predictions this version has made so far."""
        return self.answers[200, version]

    def failures(self) -> list[str]:
        """Whatever was not a prediction."""
        return self.errors + [str(answer) for answer in self.answers if answer[0] != 200]

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as http:
            while not self._stop.is_set():
                try:
                    response = http.post(self._path, json=self._body)
                except httpx.HTTPError as error:
                    self.errors.append(repr(error))
                    return
                self.answers[response.status_code, response.headers.get("x-model-version", "")] += 1
