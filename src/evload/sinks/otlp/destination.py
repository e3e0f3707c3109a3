"""Where metrics and spans go, and how: what the config says, and else the standard environment variables.

They are `OTEL_EXPORTER_OTLP_ENDPOINT` and its like, and one of each for a single signal, such as
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, which comes first (OpenTelemetry specification, "OTLP Exporter Configuration").
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from opentelemetry.util.re import parse_env_headers

from ...clients.web import check_header, encode_target, parse_url, reason_of
from ...errors import TargetError
from ...units import NS_PER_S
from .settings import OtlpSettings, Protocol

Signal = Literal["metrics", "traces"]

_DEFAULTS: Final[Mapping[Protocol, str]] = {
    "grpc": "http://localhost:4317",
    "http/protobuf": "http://localhost:4318",
}
_NS_PER_MS: Final = NS_PER_S // 1000
_METADATA_NAME: Final = re.compile(r"[a-z0-9_.-]+(?<!-bin)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where one signal goes.

    url      the whole address, without credentials
    shown    host and port alone, because the rest of such an address is often a secret
    headers  names in lower case
    tls      None: none
    pem      the same for gRPC: authorities, key and certificate
    """

    protocol: Protocol
    url: str
    shown: str
    headers: Mapping[str, str]
    timeout_ns: int
    gzip: bool
    tls: ssl.SSLContext | None
    pem: tuple[bytes | None, bytes | None, bytes | None]


class _Environment:
    """The variables of one signal."""

    def __init__(self, signal: Signal, environ: Mapping[str, str]) -> None:
        self._signal = signal
        self._environ = environ

    def variable(self, name: str) -> str:
        """The variable that has a say: the one of the signal if it is set."""
        own = f"OTEL_EXPORTER_OTLP_{self._signal.upper()}_{name}"
        return own if self._environ.get(own) else f"OTEL_EXPORTER_OTLP_{name}"

    def __getitem__(self, name: str) -> str:
        return self._environ.get(self.variable(name), "").strip()

    def one_of(self, name: str, *known: str) -> str:
        """Its value in lower case, empty if it isn't set. Raises TargetError for an unknown one."""
        value = self[name].lower()
        if value and value not in known:
            raise self.error(name, f"{value!r} is not supported; write {' or '.join(known)}")
        return value

    def error(self, name: str, text: str) -> TargetError:
        return TargetError(f"{self.variable(name)}: {text}")


def destination(signal: Signal, settings: OtlpSettings, base_dir: Path, environ: Mapping[str, str]) -> Destination:
    """Raises TargetError for what can't be used, with the name of the variable that says so."""
    said = _Environment(signal, environ)
    protocol: Protocol = "http/protobuf"
    if (settings.protocol or said.one_of("PROTOCOL", "grpc", "http/protobuf")) == "grpc":
        protocol = "grpc"
    try:
        endpoint = parse_url(_address(signal, protocol, settings, said))
    except ValueError as error:
        raise said.error("ENDPOINT", str(error)) from None
    given = dict(parse_env_headers(said["HEADERS"], liberal=True))
    for name, value in given.items():
        try:
            check_header(name, value)
        except ValueError as error:
            raise said.error("HEADERS", str(error)) from None
    if endpoint.basic_auth is not None:
        given["authorization"] = endpoint.basic_auth
    given |= {name.lower(): value for name, value in settings.headers.items()}
    if protocol == "grpc":
        _check_metadata(given)
    ca_file = base_dir / settings.ca_file if settings.ca_file else _path(said["CERTIFICATE"])
    key, certificate = _path(said["CLIENT_KEY"]), _path(said["CLIENT_CERTIFICATE"])
    return Destination(
        protocol=protocol,
        url=f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}{encode_target(endpoint.target)}",
        shown=endpoint.authority,
        headers=given,
        timeout_ns=_timeout_ns(settings, said),
        gzip=(settings.compression or said.one_of("COMPRESSION", "gzip", "none")) == "gzip",
        tls=_tls(ca_file, key, certificate) if endpoint.secure else None,
        pem=(_content(ca_file), _content(key), _content(certificate)) if endpoint.secure else (None, None, None),
    )


def _address(signal: Signal, protocol: Protocol, settings: OtlpSettings, said: _Environment) -> str:
    address = settings.url or said["ENDPOINT"] or _DEFAULTS[protocol]
    if protocol == "grpc":
        # Only gRPC knows addresses without a scheme.
        scheme = "http" if said["INSECURE"].lower() == "true" else "https"
        return address if "://" in address else f"{scheme}://{address}"
    is_whole = settings.url is None and f"_{signal.upper()}_" in said.variable("ENDPOINT")
    return address if is_whole else f"{address.rstrip('/')}/v1/{signal}"


def _timeout_ns(settings: OtlpSettings, said: _Environment) -> int:
    milliseconds = said["TIMEOUT"]
    if "timeout" in settings.model_fields_set or not milliseconds:
        return settings.timeout
    if not milliseconds.isdecimal() or not int(milliseconds):
        raise said.error("TIMEOUT", f"{milliseconds!r} is no time; write milliseconds, such as 10000")
    return int(milliseconds) * _NS_PER_MS


def _check_metadata(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _METADATA_NAME.fullmatch(name) or not value.isascii():
            raise TargetError(f"the header {name!r} can't be sent by gRPC; write it in ASCII, its name without -bin")


def _tls(ca_file: Path | None, key: Path | None, certificate: Path | None) -> ssl.SSLContext:
    file = ca_file
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if certificate is not None:
            file = certificate
            context.load_cert_chain(certificate, key)
    except OSError as error:
        raise TargetError(f"can't use {file}: {reason_of(error)}; name a PEM file") from error
    return context


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _content(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()
