"""Who may ask: by which name a server is reached, with which token, and from which page."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pneumobench.errors import SettingsError
from pneumobench.runs.addresses import is_loopback
from pneumobench.serving.refusals import Refusal

TOKEN_VARIABLE: Final = "PNEUMOBENCH_TOKEN"
SHORTEST_TOKEN: Final = 16
MAKE_ONE: Final = "python -c 'import secrets; print(secrets.token_urlsafe())'"
# no number and no film comes out of these: a page without content, whether the server is there, and how it is asked
OPEN_PATHS: Final = frozenset({"/", "/health", "/openapi.json"})


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may ask.

    Args:
        token: what has to come with every request but those of `OPEN_PATHS`; empty = nothing has to.
        names: that the server may be called by, beside addresses and localhost.
    """

    token: str = ""
    names: frozenset[str] = frozenset()

    def check(self, path: str, headers: Mapping[str, str]) -> None:
        """Refuse a request that must not be answered.

        A page of somebody else can have a browser ask this server, under a name of its own that it lets lead here (DNS
        rebinding) or without reading the answer. The first needs a name, which an address is not; browsers tell the
        second.

        Args:
            path: that is asked for.
            headers: of the request, names in lower case.

        Raises:
            Refusal: 421 for another name, 403 for a page of somebody else, 401 for another token or none.
        """
        host = headers.get("host", "")
        if not self._is_known(host):
            raise Refusal(
                421, "the server does not go by this name; ask for its address, or start it with --name NAME."
            )
        site = headers.get("sec-fetch-site", "none")
        navigates = headers.get("sec-fetch-mode") == "navigate" and path == "/"
        origin = headers.get("origin")
        if site not in ("none", "same-origin") and not navigates:
            raise Refusal(403, "asked by a page of another server, which must not.")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Refusal(403, "asked by a page of another server, which must not.")
        if self.token and path not in OPEN_PATHS:
            kind, _, given = headers.get("authorization", "").partition(" ")
            # both steps take as long for a wrong token as for the right one
            if not hmac.compare_digest(given.strip().encode(), self.token.encode()) or kind.lower() != "bearer":
                raise Refusal(401, "found no token or another one; expected the header `Authorization: Bearer TOKEN`.")

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self.names or name == "localhost" or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def access_of(host: str, *, token_file: Path | None, names: list[str]) -> Access:
    """Return who may ask a server, from its options and the variable PNEUMOBENCH_TOKEN.

    Args:
        host: address that it listens on.
        token_file: a file that holds the token.
        names: that it is reached by.

    Raises:
        SettingsError: the host is no address, a token is missing where others can reach the server, or is too short.
    """
    token, where = os.environ.get(TOKEN_VARIABLE, "").strip(), f"the variable {TOKEN_VARIABLE}"
    if token_file is not None:
        where = f"--token-file {token_file}"
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{where}: cannot be read ({error}); expected a text file with a token.") from error
    if (token or token_file is not None) and (
        len(token) < SHORTEST_TOKEN or not token.isascii() or len(token.split()) != 1
    ):
        raise SettingsError(
            f"{where}: found {len(token)} characters; expected a token of at least {SHORTEST_TOKEN}, on one line and "
            f"without spaces. Make one with: {MAKE_ONE}"
        )
    if not token and not is_loopback(host):
        raise SettingsError(
            f"--host {host}: others can reach it, and there is no token; name a file that holds one with --token-file, "
            f"or set {TOKEN_VARIABLE}. Make one with: {MAKE_ONE}"
        )
    return Access(token=token, names=frozenset(name.strip().lower() for name in names))
