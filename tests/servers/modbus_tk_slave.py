"""A Modbus TCP slave of another ecosystem (modbus-tk) as a process; the program and the handle that starts it.

Usage as a program: python -m tests.servers.modbus_tk_slave PORT UNIT FIRST_HOLDING_REGISTER VALUE...
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import REPOSITORY, ServerProcess, accepts_tcp, free_port


class ModbusTkSlave(ServerProcess):
    """Serves `values` as holding and input registers from `address` on, at 127.0.0.1:`port`."""

    def __init__(self, folder: Path, values: Sequence[int], *, unit: int = 1, address: int = 0) -> None:
        self.port = free_port()
        numbers = [str(number) for number in (self.port, unit, address, *values)]
        command = [sys.executable, "-m", "tests.servers.modbus_tk_slave", *numbers]
        super().__init__("modbus-tk", command, folder, lambda: accepts_tcp(self.port))
        self.environment["PYTHONPATH"] = str(REPOSITORY)


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    from modbus_tk import defines, hooks, modbus_tcp

    from tests.servers.write_ledger import saw

    port, unit, address, *values = (int(text) for text in arguments)
    server = modbus_tcp.TcpServer(port=port, address="127.0.0.1")
    slave = server.add_slave(unit)
    for name, kind in (("holding", defines.HOLDING_REGISTERS), ("input", defines.ANALOG_INPUTS)):
        slave.add_block(name, kind, address, len(values))
        slave.set_values(name, address, values)

    def noted(asked: tuple[object, bytes]) -> None:
        saw("modbus-tk", unit, asked[1])  # a hook that answers anything but None answers for the slave

    hooks.install_hook("modbus.Slave.handle_request", noted)
    server.start()
    signal.sigwait({signal.SIGTERM})
    os._exit(0)  # its serving thread does not end by itself


if __name__ == "__main__":
    # Blocked before the server's thread starts, so that sigwait alone receives it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(sys.argv[1:])
