"""Addresses of MySQL and MariaDB databases, with the parameters that their own client knows. No I/O."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import parse_qsl

from pydantic import AfterValidator

from ..texts import near
from .databases import parse_database_url

_TLS_MODES: Final = ("DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_PARAMETERS: Final = ("ssl-mode", "ssl-ca", "socket")


def _check_url(text: str) -> str:
    """The address. Raises ValueError, `what is wrong; what would be right`, without the credentials."""
    url = parse_database_url(text, ("mysql", "mariadb"), "mysql://reader@localhost/shop")
    parameters = dict(parse_qsl(url.query, keep_blank_values=True))
    for name in parameters:
        if name not in _PARAMETERS:
            close = near(name, _PARAMETERS)
            cure = f"did you mean {close[0]}?" if close else f"known: {', '.join(_PARAMETERS)}"
            raise ValueError(f"url has the unknown parameter {name!r}; {cure}")
    mode = parameters.get("ssl-mode", _TLS_MODES[0])
    if mode not in _TLS_MODES:
        raise ValueError(f"{mode!r} is no ssl-mode; write one of {', '.join(_TLS_MODES)}")
    if "ssl-ca" in parameters and mode == _TLS_MODES[0]:
        raise ValueError(f"ssl-ca is of no use with ssl-mode {mode}; write ssl-mode=VERIFY_IDENTITY")
    return text


MysqlUrl = Annotated[str, AfterValidator(_check_url)]
"""An address as text."""
