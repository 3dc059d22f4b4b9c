"""Modbus TCP slaves of two more ecosystems (uModbus, pyModbusTCP) as processes; the program and the handles that start it.

Usage as a program: python -m tests.servers.foreign_slave umodbus|pymodbustcp PORT FIRST_REGISTER WORD...
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.servers import write_ledger
from tests.servers.process import REPOSITORY, TOOLS, ServerProcess, accepts_tcp, find_program, free_port, require_file


class PythonSlave(ServerProcess):
    """Serves `words` as holding and input registers from `address` on to every unit, at 127.0.0.1:`port`."""

    def __init__(self, folder: Path, library: str, words: Sequence[int], *, address: int = 0) -> None:
        self.port = free_port()
        numbers = [str(number) for number in (self.port, address, *words)]
        command = [sys.executable, "-m", "tests.servers.foreign_slave", library, *numbers]
        super().__init__(library, command, folder, lambda: accepts_tcp(self.port))
        self.environment["PYTHONPATH"] = str(REPOSITORY)


class NodeSlave(ServerProcess):
    """npm's modbus-serial, with the same registers."""

    def __init__(self, folder: Path, words: Sequence[int], *, address: int = 0) -> None:
        self.port = free_port()
        root = require_file(TOOLS / "modbus-serial" / "node_modules" / "modbus-serial").parents[1]
        ledger = os.environ.get(write_ledger.VARIABLE, "-")
        numbers = [str(self.port), str(address), ledger, *map(str, words)]
        program = REPOSITORY / "tests" / "servers" / "modbus_serial_tool" / "slave.js"
        super().__init__(
            "modbus-serial", [find_program("node"), str(program), *numbers], folder, lambda: accepts_tcp(self.port)
        )
        self.environment["MODBUS_SERIAL_ROOT"] = str(root)


def _umodbus(port: int, first: int, words: Sequence[int]) -> None:
    from socketserver import ThreadingTCPServer

    from umodbus import conf
    from umodbus.server.tcp import RequestHandler, get_server

    conf.SIGNED_VALUES = False
    ThreadingTCPServer.allow_reuse_address = True
    server = get_server(ThreadingTCPServer, ("127.0.0.1", port), RequestHandler)

    @server.route(slave_ids=list(range(1, 248)), function_codes=[3, 4], addresses=list(range(first, first + len(words))))
    def read(slave_id: int, function_code: int, address: int) -> int:
        return words[address - first]

    @server.route(slave_ids=list(range(1, 248)), function_codes=[5, 6, 15, 16], addresses=list(range(65536)))
    def write(slave_id: int, function_code: int, address: int, value: int) -> None:
        write_ledger.saw("umodbus", slave_id, bytes((function_code,)))

    server.serve_forever()


def _pymodbustcp(port: int, first: int, words: Sequence[int]) -> None:
    from pyModbusTCP.server import DataBank, DataHandler, ModbusServer

    class Handler(DataHandler):  # type: ignore[misc]
        def write_h_regs(self, address: int, words_l: list[int], srv_info: object) -> object:
            write_ledger.saw("pymodbustcp", 0, bytes((16,)))
            return super().write_h_regs(address, words_l, srv_info)

        def write_coils(self, address: int, bits_l: list[bool], srv_info: object) -> object:
            write_ledger.saw("pymodbustcp", 0, bytes((15,)))
            return super().write_coils(address, bits_l, srv_info)

    bank = DataBank()
    bank.set_holding_registers(first, list(words))
    bank.set_input_registers(first, list(words))
    ModbusServer(host="127.0.0.1", port=port, data_hdl=Handler(bank)).start()


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    port, first, *words = (int(text) for text in arguments[1:])
    {"umodbus": _umodbus, "pymodbustcp": _pymodbustcp}[arguments[0]](port, first, words)


if __name__ == "__main__":
    main(sys.argv[1:])
