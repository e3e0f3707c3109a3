"""Something done by an HTTP request: `get`, `post`, `put`, `patch`, `delete`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, ClassVar

from pydantic import Field

from ...spi.activity import Activity
from ...spi.context import Surroundings
from .._shared.http_address import ActionUrl
from .settings import HttpActivitySettings, WithBody


class _Opened(HttpActivitySettings):
    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Activity]:
        """Yield what makes the request; nothing is asked yet. Raises TargetError if `ca_file` is no use."""
        from .request import open_request

        return open_request(self, surroundings)


class GetConfig(_Opened):
    """Settings of a request by GET. Redirects aren't followed, with any method."""

    method: ClassVar = "GET"
    live: ClassVar = frozenset({"get", "headers"})

    get: Annotated[ActionUrl, Field(description="address to ask; can hold placeholders")]


class PostConfig(_Opened, WithBody):
    """Settings of a request by POST."""

    method: ClassVar = "POST"
    live: ClassVar = frozenset({"post", "headers", "json", "form", "body"})

    post: Annotated[ActionUrl, Field(description="address to post to; can hold placeholders")]


class PutConfig(_Opened, WithBody):
    """Settings of a request by PUT."""

    method: ClassVar = "PUT"
    live: ClassVar = frozenset({"put", "headers", "json", "form", "body"})

    put: Annotated[ActionUrl, Field(description="address to put it at; can hold placeholders")]


class PatchConfig(_Opened, WithBody):
    """Settings of a request by PATCH."""

    method: ClassVar = "PATCH"
    live: ClassVar = frozenset({"patch", "headers", "json", "form", "body"})

    patch: Annotated[ActionUrl, Field(description="address of what is changed; can hold placeholders")]


class DeleteConfig(_Opened, WithBody):
    """Settings of a request by DELETE."""

    method: ClassVar = "DELETE"
    live: ClassVar = frozenset({"delete", "headers", "json", "form", "body"})

    delete: Annotated[ActionUrl, Field(description="address of what is deleted; can hold placeholders")]
