"""The command that makes a bundle a node of a DICOM network."""

from __future__ import annotations

from pathlib import Path

from pneumobench.cli.exit_codes import DONE
from pneumobench.cli.shown import console_for


def receive(
    bundle: Path,
    *,
    to: str,
    queue: Path,
    called: str = "ANY-SCP",
    port: int = 11112,
    host: str = "127.0.0.1",
    title: str = "PNEUMOBENCH",
    caller: list[str],
    results: tuple[str, ...] | None = None,
    device: str = "cpu",
    data: str | None = None,
    plugin: list[str],
) -> int:
    """Receive DICOM images (C-STORE), answer, and send the results on to another node, e.g. a PACS.

    For research, not for diagnosis. An image is answered with success once it is safe on disk; its results are sent
    again until the other node has them, and under the same UIDs. A process that is killed loses nothing: the next
    start goes on. SIGTERM and Ctrl-C end it after the image that is being asked about.

    Args:
        bundle: what `pneumobench bundle` wrote, or a run: then the bundle of its best network is made in its folder.
        to: HOST:PORT of the node that results are sent to.
        queue: folder of what was received and not yet delivered; images of patients lie there.
        called: AE title of the node that results are sent to.
        port: where to listen.
        host: address to listen on; another than this machine's own can be reached by others, and DICOM asks for no
            password.
        title: our AE title.
        caller: AE title that may send images; without any, everybody may.
        results: which results are made: picture, report, heat-map (default: all).
        device: what computes, e.g. cuda.
        data: radiographs of the run, where a run is named (default: the variable PNEUMOBENCH_DATA).
        plugin: a plugin file that registers an architecture of the bundle.
    """
    from pneumobench.prediction.dicom.delivery import Destination, checked_title
    from pneumobench.prediction.dicom.extra import required
    from pneumobench.prediction.dicom.node import Listening
    from pneumobench.prediction.dicom.results import asked_kinds
    from pneumobench.runs.receiving import receive_images
    from pneumobench.runs.using import predictor_of

    required("receive")
    kinds = asked_kinds(results, "--results")
    there = Destination.of(to, called)
    callers = tuple(checked_title(one, "--caller") for one in caller)
    here = Listening(host=host, port=port, title=checked_title(title, "--title"), callers=callers)
    console = console_for()
    predictor = predictor_of(bundle, data=data, plugins=[Path(one) for one in plugin], device=device, console=console)
    receive_images(predictor, queue, here, there, kinds=kinds, console=console)
    return DONE


COMMANDS = (receive,)
