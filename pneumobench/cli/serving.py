"""The command that puts a bundle behind a web page."""

from __future__ import annotations

from pathlib import Path

from pneumobench.cli.exit_codes import DONE
from pneumobench.cli.shown import console_for, tell
from pneumobench.errors import SettingsError, require_packages, warn
from pneumobench.texts import counted


def serve(
    bundle: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token_file: Path | None = None,
    name: list[str],
    rate: int = 240,
    device: str = "cpu",
    data: str | None = None,
    plugin: list[str],
) -> int:
    """Answer about films on a web page and to programs, with the networks of a bundle; nothing of a film is kept.

    For research, not for diagnosis. The page is for this machine alone: another --host needs a token, which everybody
    who asks has to know. It comes from a file or the variable PNEUMOBENCH_TOKEN.

    Args:
        bundle: what `pneumobench bundle` wrote, or a run: then the bundle of its best network is made in its folder.
        host: address to listen on; 0.0.0.0 = all of this machine.
        port: number to listen on; 0 = any that is free.
        token_file: a file that holds the token.
        name: a name that the server is reached by, e.g. films.example.org; addresses and localhost always are.
        rate: requests a minute that one address may make.
        device: what computes, e.g. cuda.
        data: radiographs of the run, where a run is named (default: the variable PNEUMOBENCH_DATA).
        plugin: a plugin file that registers an architecture of the bundle.
    """
    require_packages("serve", "fastapi", "uvicorn", "python_multipart", why="a server")
    from pneumobench.runs.addresses import is_loopback
    from pneumobench.runs.using import predictor_of
    from pneumobench.serving.access import access_of
    from pneumobench.serving.app import create_app
    from pneumobench.serving.desk import warm_up
    from pneumobench.serving.limits import Limits
    from pneumobench.serving.server import address_of, listening_socket
    from pneumobench.serving.server import serve as answer_requests

    if rate < 1:
        raise SettingsError(f"--rate {rate}: expected 1 or more requests a minute.")
    access = access_of(host, token_file=token_file, names=name)
    limits = Limits(rate=rate, burst=max(rate // 4, 1))
    console = console_for()
    with listening_socket(host, port) as listening:
        predictor = predictor_of(
            bundle, data=data, plugins=[Path(one) for one in plugin], device=device, console=console
        )
        warm_up(predictor)
        about = predictor.bundle
        tell(console, about.name, f"{counted(len(about.folds), 'fold')} of {', '.join(sorted(about.networks))}")
        if not is_loopback(host):
            warn("others can reach it, and what they send is not encrypted: put a server with TLS in front of it.")
        tell(console, "page", address_of(listening))
        tell(console, "For research, not for diagnosis", "Ctrl-C ends it.")
        answer_requests(create_app(predictor, access=access, limits=limits), listening, limits)
    console.print("ended; nothing was kept")
    return DONE


COMMANDS = (serve,)
