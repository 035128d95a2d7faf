"""Serving the page: one process, on the loopback interface unless told otherwise."""

import errno
import os
import socket

import uvicorn

from blockspace.experiments import app  # noqa: F401  (quiets Solara before it is imported)
from blockspace.experiments.app.settings import PRESET_VARIABLE
from blockspace.experiments.compiling import compile_kernels
from blockspace.experiments.errors import UserError
from blockspace.experiments.scenario import load_scenario

LOOPBACK = "127.0.0.1"


def listening_socket(host: str, port: int) -> socket.socket:
    """Socket on which the page is served; port 0 takes any that is free.

    Raises
    ------
    UserError
        If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "it is in use; --port takes another one" if taken else str(error.strerror or error)
        raise UserError(f"port {port} of {host} cannot be used: {reason}") from None
    return listener


def serve(preset: str, port: int, host: str = LOOPBACK) -> None:
    """Compile what is needed, say where the page is and serve it until interrupted.

    Parameters
    ----------
    preset
        The preset with which each session begins.
    port
        Port; 0 for any that is free.
    host
        Address to listen on.

    Raises
    ------
    UserError
        If there is no such preset, or the address cannot be had.
    """
    scenario = load_scenario(preset)
    listener = listening_socket(host, port)
    os.environ[PRESET_VARIABLE] = preset
    os.environ["SOLARA_APP"] = "blockspace.experiments.app.page"
    os.environ["SOLARA_MODE"] = "production"
    compile_kernels(scenario)
    from solara.server.starlette import app as pages  # it reads the variables above

    shown = f"[{host}]" if ":" in host else host
    server = _Server(uvicorn.Config(pages, log_level="warning", lifespan="on"))
    server.sentence = f"Blockspace is at http://{shown}:{listener.getsockname()[1]}/  (Ctrl-C ends it)"
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that says where it is once it answers."""

    sentence = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        print(self.sentence, flush=True)
