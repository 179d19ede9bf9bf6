"""A worker process: `python -m fastsmtp.server.processes.worker LINE PARENT`, which only the supervisor runs.

What takes time to import is imported when it belongs to the supervisor already: both die together, at any moment.
"""

import faulthandler
import gc
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Final

from fastsmtp import _process
from fastsmtp.errors import ConfigurationError, FastsmtpError

__all__ = ["main"]

_PRIVATE: Final = 0o077

_IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""What a terminal or an operator sends to the whole group; the supervisor says what it means for a worker."""


def main(line_descriptor: int, parent: int) -> int:
    """Serve until told to end; gives the exit code. The supervisor is told why there is no worker."""
    _process.die_with_parent()
    if os.getppid() != parent:
        return 1
    os.umask(_PRIVATE)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    faulthandler.enable()
    gc.disable()  # until it serves: what is imported and made till then stays
    line = socket.socket(fileno=line_descriptor)
    line.set_inheritable(False)
    try:
        from fastsmtp.server.processes.duty import serve
        from fastsmtp.server.processes.handover import take

        handover = take(line)
        return 1 if handover is None else serve(handover, line)
    except FastsmtpError as error:
        problems = error.problems if isinstance(error, ConfigurationError) else [str(error)]
        is_configuration = isinstance(error, ConfigurationError)
        with suppress(OSError):  # nobody is there to be told
            failed = {"event": "failed", "is_configuration": is_configuration, "problems": problems}
            line.send(json.dumps(failed).encode())
        return 1 if is_configuration else 3


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
