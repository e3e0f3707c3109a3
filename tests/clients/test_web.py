"""What HTTP adapters share: addresses and headers of a config, answers as expressions see them, words for errors."""

from __future__ import annotations

import contextlib
import errno
import gzip
import socket
import ssl
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from evload.clients.web import (
    Answer,
    Endpoint,
    NotJson,
    Url,
    check_headers,
    check_method,
    encode_target,
    excerpt,
    has_control,
    parse_url,
    reason_of,
    tls_context,
)
from evload.model.statuses import Statuses, expand_statuses


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "endpoint"),
        [
            ("http://h", Endpoint(False, "h", 80, "/", "h", None, "http://h/")),
            ("https://h/a/b?c=d", Endpoint(True, "h", 443, "/a/b?c=d", "h", None, "https://h/a/b")),
            ("HTTPS://Host:8443/", Endpoint(True, "host", 8443, "/", "Host:8443", None, "HTTPS://Host:8443/")),
            ("http://h?x=/1", Endpoint(False, "h", 80, "/?x=/1", "h", None, "http://h/")),
            ("http://h:1/{id}?{q}", Endpoint(False, "h", 1, "/{id}?{q}", "h:1", None, "http://h:1/{id}")),
            (
                "http://[::1]:65535/x",
                Endpoint(False, "::1", 65535, "/x", "[::1]:65535", None, "http://[::1]:65535/x"),
            ),
            ("http://u:p@h/x", Endpoint(False, "h", 80, "/x", "h", ("u", "p"), "http://h/x")),
            ("http://u@h/", Endpoint(False, "h", 80, "/", "h", ("u", ""), "http://h/")),
            ("http://a%3Ab:c%40d@h/", Endpoint(False, "h", 80, "/", "h", ("a:b", "c@d"), "http://h/")),
            ("http://u@x:p@h:81/", Endpoint(False, "h", 81, "/", "h:81", ("u@x", "p"), "http://h:81/")),
            (
                "https://Bücher.example:8443/ü?x",
                Endpoint(
                    True,
                    "xn--bcher-kva.example",
                    8443,
                    "/ü?x",
                    "xn--bcher-kva.example:8443",
                    None,
                    "https://Bücher.example:8443/ü",
                ),
            ),
            (
                "http://u:p@faß.de/",
                Endpoint(False, "xn--fa-hia.de", 80, "/", "xn--fa-hia.de", ("u", "p"), "http://faß.de/"),
            ),
            (
                "http://例え。jp",
                Endpoint(False, "xn--r8jz45g.jp", 80, "/", "xn--r8jz45g.jp", None, "http://例え。jp/"),
            ),
            ("http://my_host/", Endpoint(False, "my_host", 80, "/", "my_host", None, "http://my_host/")),
            ("http://h/a b?u=me@there", Endpoint(False, "h", 80, "/a b?u=me@there", "h", None, "http://h/a b")),
        ],
    )
    def test_an_address_is_taken_apart(self, text: str, endpoint: Endpoint) -> None:
        assert parse_url(text) == endpoint

    @pytest.mark.parametrize(
        ("text", "basic"),
        [
            ("http://h/", None),
            ("http://me:pa%3Ass@h/", "Basic bWU6cGE6c3M="),
            ("http://me@h/", "Basic bWU6"),
            ("http://l%C3%A4nge:x@h/", "Basic bMOkbmdlOng="),
        ],
    )
    def test_credentials_in_an_address_are_a_login(self, text: str, basic: str | None) -> None:
        assert parse_url(text).basic_auth == basic

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("h:80/x", "'h:80/x' has no scheme"),
            ("ftp://h/x", "'ftp://h/x' is not an http or https address"),
            ("://h/x", "'://h/x' is not an http or https address"),
            ("http://{h}/x", "'http://{h}/x' has a placeholder in its host; only the path and the query"),
            ("http://h}/x", "'http://h}/x' has a placeholder in its host"),
            ("http://{h/x", "'http://{h/x' has a placeholder in its host"),
            ("http://h/x#y", "'http://h/x#y' has a fragment, which is never sent; leave out what follows '#'"),
            ("http://h#y", "'http://h#y' has a fragment"),
            ("http://h /x", "'http://h /x' holds a space or a control character"),
            ("http://h\x7f/x", "holds a space or a control character"),
            ("http://h/x\ny", "holds a space or a control character"),
            ("http://h/x\x7fy", "holds a space or a control character"),
            ("http://h/\x00", "holds a space or a control character"),
            ("http://h:x/", "'http://h:x/' has an unusable host or port"),
            ("http://h:65536/", "'http://h:65536/' has an unusable host or port"),
            ("http://[::1/", "has an unusable host or port"),
            ("http:///x", "'http:///x' has no host; write an address"),
            ("http://☃ü..x/", "'http://☃ü..x/' has a host that is no domain name; write an address"),
            ("http://ü-" + "x" * 70 + "/", "has a host that is no domain name; write an address"),
            ("http://u:s3cret@ü\u200e.de/", "has a host that is no domain name; write an address"),
            ("http://:80/x", "'http://:80/x' has no host; write an address"),
            ("http://h:0/x", "'http://h:0/x' has no port that can be called; write an address"),
            ("http://me:s3cret@h:0/x", "'http://h:0/x' has no port that can be called"),
            ("http://me:s3cret@h#x", "'http://h#x' has a fragment"),
            (
                "http://me:a/s3cret@h/x",
                "'http://h/x' has an unusable host or port; write %2F for a /, %3F for a ? and",
            ),
            ("http://me:a?s3cret@h/x", "'http://h/x' has an unusable host or port; write %2F for a /"),
            ("http://me:a#s3cret@h/x", "'http://h/x' has an unusable host or port; write %2F for a /"),
            ("http://me:a/s3@cret/s3cret@h/x", "'http://h/x' has an unusable host or port"),
            ("http://h:x/me@s3", "'http://s3' has an unusable host or port; write %2F for a /"),
            ("http://h:0/me@s3", "'http://h:0/me@s3' has no port that can be called; write an address"),
            ("me:s3cret@h/x", "'h/x' has no scheme"),
        ],
    )
    def test_an_address_that_is_no_use_says_what_is_wrong_and_keeps_its_password(self, text: str, said: str) -> None:
        with pytest.raises(ValueError) as caught:
            parse_url(text)
        told = str(caught.value)
        assert said in told
        assert "; " in told, "what would be right stands behind it"
        assert "s3cret" not in told

    def test_a_tab_may_stand_in_a_path(self) -> None:
        assert encode_target(parse_url("http://h/a\tb").target) == "/a%09b"

    def test_what_would_be_right_is_said(self) -> None:
        for text in ("h", "ftp://h", "http://h :1", "http://h:x", "http://"):
            with pytest.raises(ValueError, match=r"; write an address such as http://localhost:8080/events$"):
                parse_url(text)

    def test_a_config_takes_an_address_as_it_is(self) -> None:
        adapter: TypeAdapter[str] = TypeAdapter(Url)
        assert adapter.validate_python("HTTP://me:p@h/{x}") == "HTTP://me:p@h/{x}"
        with pytest.raises(ValidationError, match="has no scheme"):
            adapter.validate_python("h")

    @pytest.mark.parametrize(
        ("target", "encoded"),
        [
            ("/a/b?c=d&e=f", "/a/b?c=d&e=f"),
            ("/!$&'()*+,-./:;=?@_~[]", "/!$&'()*+,-./:;=?@_~[]"),
            ("/ä b", "/%C3%A4%20b"),
            ("/%41%zz%4", "/%41%25zz%254"),
            ('/"<>\\^`{|}#', "/%22%3C%3E%5C%5E%60%7B%7C%7D%23"),
        ],
    )
    def test_a_target_is_encoded_where_it_must_be(self, target: str, encoded: str) -> None:
        assert encode_target(target) == encoded


class TestHeaders:
    @pytest.mark.parametrize("method", ["post", "PUT", "Patch", "M-SEARCH", "x!#$%&'*+-.^_`|~09"])
    def test_a_method_is_written_in_capitals(self, method: str) -> None:
        assert check_method(method) == method.upper()

    @pytest.mark.parametrize("method", ["", "HEAD", "connect", "PO ST", "POST\n", "P(", "PÖST"])
    def test_what_is_no_method_for_events(self, method: str) -> None:
        with pytest.raises(ValueError) as caught:
            check_method(method)
        assert str(caught.value) == (
            f"{method!r} is not a method that can carry an event; write POST, PUT, PATCH or the like"
        )

    def test_headers_that_can_be_sent_are_left_alone(self) -> None:
        headers = {"X-Team": "shop\tfloor ü", "accept": "", "te-x": "1"}
        assert check_headers(headers) is headers

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("", "v", "'' is not a header name; write letters, digits and dashes"),
            ("x y", "v", "'x y' is not a header name; write letters, digits and dashes"),
            ("x:", "v", "'x:' is not a header name; write letters, digits and dashes"),
            *[
                (name, "v", f"the header {name!r} is set for you; leave it out")
                for name in (
                    "Content-Length", "transfer-encoding", "Connection", "expect", "UPGRADE", "trailer", "TE",
                )
            ],
            *[
                ("x", f"a{char}b", "the header 'x' holds a line break or a control character; write it on one line")
                for char in "\r\n\x00\x08\x0b\x1f\x7f"
            ],
        ],
    )  # fmt: skip
    def test_a_header_that_can_not_be_sent_says_why(self, name: str, value: str, said: str) -> None:
        with pytest.raises(ValueError) as caught:
            check_headers({"fine": "f", name: value})
        assert str(caught.value) == said

    def test_what_ends_a_header(self) -> None:
        assert [char for char in map(chr, range(0x80)) if has_control(f"a{char}b")] == [
            *map(chr, range(9)), *map(chr, range(0x0A, 0x20)), "\x7f",
        ]  # fmt: skip


class TestStatuses:
    @pytest.mark.parametrize(
        ("written", "statuses"),
        [
            (200, ("200",)), ("2XX", ("2xx",)), (["2xx", 409], ("2xx", "409")), ((599, "5xx"), ("599", "5xx")),
        ],
    )  # fmt: skip
    def test_one_or_many_can_be_written(self, written: object, statuses: tuple[str, ...]) -> None:
        adapter: TypeAdapter[tuple[str, ...]] = TypeAdapter(Statuses)
        assert adapter.validate_python(written) == statuses

    @pytest.mark.parametrize("written", [100, "1xx", 600, "6xx", "20", "2000", "2x", True, None, [200, False], 20.5])
    def test_what_is_no_final_status(self, written: object) -> None:
        adapter: TypeAdapter[tuple[str, ...]] = TypeAdapter(Statuses)
        wrong = written[-1] if isinstance(written, list) else written
        said = f"{wrong!r} is not a final HTTP status; write status codes or classes, such as 2xx or [200, 202, 409] "
        with pytest.raises(ValidationError) as caught:
            adapter.validate_python(written)
        assert said in str(caught.value)

    def test_none_at_all_is_a_mistake(self) -> None:
        adapter: TypeAdapter[tuple[str, ...]] = TypeAdapter(Statuses)
        with pytest.raises(ValidationError, match="no status is expected; write status codes or classes"):
            adapter.validate_python([])

    def test_an_editor_is_told_what_can_be_written(self) -> None:
        number = {"type": "integer", "minimum": 200, "maximum": 599}
        text = {"type": "string", "pattern": r"[2-5](?:\d\d|xx)"}
        many = {"type": "array", "items": {"anyOf": [number, text]}, "minItems": 1}
        assert TypeAdapter(Statuses).json_schema() == {"anyOf": [number, text, many]}

    def test_a_class_is_all_of_its_codes(self) -> None:
        assert expand_statuses(("2xx", "409", "404")) == {*range(200, 300), 404, 409}
        assert expand_statuses(("5xx",)) == set(range(500, 600))


class TestAnswers:
    def test_an_expression_sees_status_headers_body_and_item(self) -> None:
        answer = Answer(201, [(b"X-A", b"1"), (b"x-b", b"\xe4"), (b"x-a", b"2"), (b"X-A", b"3")], b'{"n": [1]}')
        headers = {"x-a": "1, 2, 3", "x-b": "ä"}
        assert (answer.get("status"), answer.get("headers"), answer.get("body")) == (201, headers, {"n": [1]})
        assert answer.get("item") is None
        answer.item = {"id": 7}
        assert answer.get("item") == {"id": 7}
        assert answer.get("other") is None
        assert answer.as_dict() == {"status": 201, "headers": headers, "body": {"n": [1]}, "item": {"id": 7}}

    def test_headers_and_body_are_taken_apart_once(self) -> None:
        answer = Answer(200, iter([(b"a", b"1")]), b"[1]")
        assert answer.get("headers") == {"a": "1"}
        assert answer.get("headers") is answer.get("headers")
        assert answer.get("body") is answer.get("body")

    @pytest.mark.parametrize("body", [b"null", b"0", b'""', b"[]"])
    def test_an_empty_document_is_one_all_the_same(self, body: bytes) -> None:
        answer = Answer(200, [], body)
        assert [answer.get("body") for _ in range(2)] == [Answer(200, [], body).as_dict()["body"]] * 2

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"<html>\n no </html>", "HTTP 502 with a body that isn't JSON: <html> no </html>"),
            (b"", "HTTP 502 with an empty body, not JSON"),
            (b"\x00\x01", "HTTP 502 with 2 bytes of something, not JSON"),
        ],
    )
    def test_a_body_that_is_not_json_is_said_each_time_and_the_status_is_there_all_the_same(
        self, body: bytes, said: str
    ) -> None:
        answer = Answer(502, [], body)
        for ask in (lambda: answer.get("body"), answer.as_dict, lambda: answer.get("body")):
            with pytest.raises(NotJson) as caught:
                ask()
            assert str(caught.value) == said
        assert answer.get("status") == 502


class TestBodies:
    """A body is what its answer declares, and what isn't JSON is called by its name."""

    TEXT = '{"name": "Jörg", "n": 18446744073709551617}'
    FOUND: ClassVar[dict[str, object]] = {"name": "Jörg", "n": 18446744073709551617}

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (TEXT.encode(), ""),
            (TEXT.encode("utf-8-sig"), "application/json"),
            (TEXT.encode("utf-8-sig"), "application/json; charset=iso-8859-1"),
            (TEXT.encode("utf-16"), "application/json"),
            (TEXT.encode("utf-16-le"), ""),
            (TEXT.encode("utf-16-be"), ""),
            (TEXT.encode("utf-32"), ""),
            (TEXT.encode("latin-1"), "application/json; charset=ISO-8859-1"),
            (TEXT.encode("latin-1"), 'application/json;charset="windows-1252"'),
            # What many servers say of whatever they send.
            (TEXT.encode(), "application/json; charset=iso-8859-1"),
        ],
    )
    def test_it_is_read_in_its_character_set(self, body: bytes, kind: str) -> None:
        assert Answer(200, [(b"Content-Type", kind.encode())], body).get("body") == self.FOUND

    @pytest.mark.parametrize(
        ("body", "headers", "said"),
        [
            (b"", [], "an empty body, not JSON"),
            (
                TEXT.encode("latin-1"),
                [(b"content-type", b"application/json")],
                'a body that is neither UTF-8 nor in a character set that it declares: {"name": "Jörg",',
            ),
            (
                TEXT.encode("latin-1"),
                [(b"content-type", b"application/json; charset=utf-8")],
                "a body that is neither UTF-8 nor in a character set that it declares: {",
            ),
            (
                TEXT.encode("latin-1"),
                [(b"content-type", b"a/b; charset=punycode")],
                "a body that is neither UTF-8 nor",
            ),
            (
                "grün".encode("latin-1"),
                [(b"content-type", b"text/plain; charset=latin1")],
                "a body that isn't JSON: grün",
            ),
            (b"\xef\xbb\xbf<html>", [], "a body that isn't JSON: <html>"),
            (b"\xff\xfe", [], "2 bytes of something, not JSON"),
            (gzip.compress(b"{}", mtime=0), [], "a body in gzip, which it doesn't declare in content-encoding"),
            (b"\x0b\x02\x80{}\x03", [(b"Content-Encoding", b"br")], "a body in 'br', a content-encoding that nobody"),
            (
                b"\x08\x01\x12\x00",
                [(b"Content-Type", b"application/x-protobuf")],
                "4 bytes of application/x-protobuf",
            ),
            (b"\x00" * 10, [(b"Content-Type", b"x/y; charset=utf-16")], "10 bytes of x/y, not JSON"),
        ],
    )
    def test_what_it_is_otherwise_is_said(self, body: bytes, headers: list[tuple[bytes, bytes]], said: str) -> None:
        with pytest.raises(NotJson) as caught:
            Answer(200, headers, body).get("body")
        assert str(caught.value).startswith(f"HTTP 200 with {said}")

    @given(
        st.binary(max_size=40), st.sampled_from(["", "utf-8", "latin-1", "utf-16", "utf-7", "idna", "zip", "x" * 50])
    )
    def test_whatever_it_is_it_is_json_or_said_not_to_be(self, body: bytes, charset: str) -> None:
        answer = Answer(200, [(b"content-type", f"text/x; charset={charset}".encode())], body)
        with contextlib.suppress(NotJson):
            answer.get("body")


class TestExcerpts:
    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (b"", ""),
            (b" a\r\n\tb  ", "a b"),
            (b"\xef\xbb\xbfa", "a"),
            (b"a" * 10, "a" * 10),
            (b"a" * 11, "a" * 9 + "…"),
            ("ü".encode() * 10, "ü" * 10),
            ("ü".encode() * 40, "ü" * 9 + "…"),
            # The cut falls into a character of two, three and four bytes.
            (b"a" * 39 + "ü".encode(), "a" * 9 + "…"),
            (b"\n" * 38 + "€€".encode(), ""),
            (b"\n" * 37 + "😀".encode(), ""),
            (b"xy" + b"\n" * 35 + "😀".encode(), "xy"),
            (b"a" * 36 + b"\xff" + b"a" * 10, ""),
            (b"ab\xff", "ab"),
            (b"\xffabc", ""),
            (b"a\x00b", ""),
            (b"a\x1bb", ""),
        ],
    )
    def test_the_beginning_of_a_body_in_one_line(self, body: bytes, text: str) -> None:
        assert excerpt(body, 10) == text

    def test_a_hundred_and_twenty_characters_unless_told(self) -> None:
        assert excerpt(b"a" * 120) == "a" * 120
        assert excerpt(b"a" * 121) == "a" * 119 + "…"


class TestReasons:
    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
            (OSError(errno.EHOSTUNREACH, "x"), "no route to host"),
            (OSError(errno.ECONNRESET, "x"), "connection reset"),
            (ConnectionResetError(), "connection reset"),
            (BrokenPipeError(), "connection reset"),
            (OSError("Multiple exceptions: [Errno 111] Connect, [Errno 113] Connect"), "no route to host"),
            (OSError("Multiple exceptions: [Errno 111] Connect, [Errno 104] Connect"), "connection reset"),
            (OSError("Multiple exceptions: [Errno 104] a, [Errno 111] b, [Errno 113] c"), "no route to host"),
            (OSError("[Errno 111] alone"), "connection refused"),
            (OSError("of its own kind"), "of its own kind"),
            (OSError(), "OSError"),
            (TimeoutError(), "TimeoutError"),
            (ValueError("odd"), "odd"),
            (socket.gaierror(-2, "Name or service not known"), "the host name can't be resolved"),
            (UnicodeError("label too long"), "the host name is not valid"),
        ],
    )
    def test_an_error_is_said_in_the_words_of_the_field_without_addresses(
        self, error: BaseException, reason: str
    ) -> None:
        assert reason_of(error) == reason

    @pytest.mark.parametrize(
        ("reason", "said"), [("WRONG_VERSION_NUMBER", "TLS: wrong version number"), ("", "TLS: it says so")]
    )
    def test_a_reason_of_the_tls_library_is_preferred_to_its_text(self, reason: str, said: str) -> None:
        error = ssl.SSLError(1, "It_says so")
        error.reason = reason
        assert reason_of(error) == said

    def test_a_certificate_that_is_not_accepted(self) -> None:
        error = ssl.SSLCertVerificationError(1, "text")
        error.verify_message = "unable to get local issuer certificate."
        assert reason_of(error) == "TLS: certificate not accepted: unable to get local issuer certificate"


class TestTls:
    def test_a_certificate_is_checked_unless_told_otherwise(self) -> None:
        strict, lax = tls_context(None, verify=True), tls_context(None, verify=False)
        assert (strict.check_hostname, strict.verify_mode) == (True, ssl.CERT_REQUIRED)
        assert (lax.check_hostname, lax.verify_mode) == (False, ssl.CERT_NONE)

    def test_a_file_of_authorities_takes_the_place_of_the_systems(self, tmp_path: Path) -> None:
        nothing: dict[str, Any] = {"ca_file": tmp_path / "missing.pem", "verify": True}
        with pytest.raises(FileNotFoundError):
            tls_context(**nothing)
        (tmp_path / "empty.pem").write_text("no certificate")
        with pytest.raises(ssl.SSLError):
            tls_context(tmp_path / "empty.pem", verify=True)
