"""The address of a service, taken before anything is loaded."""

from __future__ import annotations

import socket

from vqmm.errors import UserError
from vqmm.system_errors import is_exhausted, mend_of


def listen(host: str, port: int) -> socket.socket:
    """Takes an address; connections are accepted once `listen` of the socket is called.

    Args:
        host: name or number of an address of this machine.
        port: 0 takes any that is free.

    Raises:
        UserError: no such port or host, or it is in use.
    """
    if not 0 <= port < 65536:
        raise UserError(f"--port {port}; legal: 0 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
        except OSError:
            listening.close()
            raise
    except OSError as error:
        mend = mend_of(error) if is_exhausted(error) else "choose another, or 0"
        raise UserError(f"--host {host} --port {port}: {error.strerror}; {mend}") from None
    return listening
