"""Who can reach an address that a process listens on."""

from __future__ import annotations

import ipaddress

from pneumobench.errors import SettingsError


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address.

    Raises:
        SettingsError: it is no address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise SettingsError(
            f"--host {host}: expected an address of this machine, e.g. 127.0.0.1 or 0.0.0.0."
        ) from error
