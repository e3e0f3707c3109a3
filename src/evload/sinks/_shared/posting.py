"""HTTP POST to somebody who wants to be told: from a thread of its own, with a limit to the time it takes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import IO, Annotated
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import AfterValidator, Field

from ...clients.web import check_headers, encode_target, excerpt, parse_url, reason_of
from ...spi.sink import SinkSettings
from ...units import NS_PER_S, Duration, format_duration

_MOST_OF_ANSWER = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a POST. `trouble` says why it was in vain, and is empty if it was not."""

    trouble: str = ""
    body: bytes = b""


class Recipient:
    """Somebody at an address. Credentials in the address become basic authentication; redirects aren't followed.

    Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`). `shown` names host and port alone, because the
    rest of such an address is often a secret.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout_ns: int) -> None:
        """`url` must be one that `parse_url` takes."""
        endpoint = parse_url(url)
        scheme = "https" if endpoint.secure else "http"
        self.shown = endpoint.authority
        self._url = f"{scheme}://{endpoint.authority}{encode_target(endpoint.target)}"
        self._headers = {"Content-Type": "application/json", **headers}
        if endpoint.basic_auth is not None:
            self._headers.setdefault("Authorization", endpoint.basic_auth)
        self._timeout_ns = timeout_ns

    def post(self, body: bytes, path: str = "") -> Answer:
        """POST JSON and wait for the answer, no longer than the time limit. `path` is put behind the address."""
        return self.answer_of(self.begin(body, path))

    def begin(self, body: bytes, path: str = "") -> Future[Answer]:
        """POST JSON from a thread that nobody has to wait for, not even the end of the process."""
        outcome: Future[Answer] = Future()

        def work() -> None:
            try:
                outcome.set_result(self._attempt(body, path))
            except BaseException as error:  # a bug, for whoever asks for the result
                outcome.set_exception(error)

        threading.Thread(target=work, name="evload-post", daemon=True).start()
        return outcome

    def answer_of(self, under_way: Future[Answer]) -> Answer:
        """The answer to what `begin` began, waited for no longer than the time limit."""
        try:
            return under_way.result(self._timeout_ns / NS_PER_S)
        except TimeoutError:
            return self._too_slow()

    def _attempt(self, body: bytes, path: str) -> Answer:
        request = Request(self._url.rstrip("/") + path if path else self._url, body, self._headers, method="POST")
        try:
            with build_opener(_NoRedirects).open(request, timeout=self._timeout_ns / NS_PER_S) as answer:
                return Answer(body=answer.read(_MOST_OF_ANSWER))
        except HTTPError as error:
            with error:
                told = excerpt(error.read(_MOST_OF_ANSWER))
            return Answer(f"HTTP {error.code}" + (f": {told}" if told else ""))
        except TimeoutError:
            return self._too_slow()
        except (OSError, HTTPException, UnicodeError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            if isinstance(reason, TimeoutError):
                return self._too_slow()
            return Answer(reason_of(reason) if isinstance(reason, BaseException) else reason)

    def _too_slow(self) -> Answer:
        return Answer(f"no answer within {format_duration(self._timeout_ns)}")


class _NoRedirects(HTTPRedirectHandler):
    """A redirected POST would become a GET."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class _HttpSettings(SinkSettings):
    """Of a sink that tells somebody over HTTP."""

    headers: Annotated[
        Mapping[str, str], AfterValidator(check_headers), Field(description="further headers, such as a token")
    ] = {}
    timeout: Annotated[Duration, Field(ge=10_000_000, description="longest wait for an answer")] = 10 * NS_PER_S
