"""libmodbus' own test server, compiled from the examples in Debian's package: a peer that we did not write."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import TOOLS, MissingServer, ServerProcess, find_program, free_port, listens_on

UNIT = 17
"""The unit that the RTU form answers as; the TCP form answers every unit."""

HOLDING_ADDRESS = 0x160
"""First holding register; all read 0 at first, and the map is HOLDING_COUNT long. Special: +0x10 exception 6,
+0x11 a reply with wrong transaction and unit, +0x12 a reply after 0.5 s, +0x13 a reply byte by byte."""
HOLDING_COUNT = 0x20
INPUT_ADDRESS, INPUT_VALUE = 0x108, 0x000A
DISCRETE_ADDRESS, DISCRETE_COUNT = 0x1C4, 0x16
DISCRETE_BITS = bytes((0xAC, 0xDB, 0x35))

_EXAMPLES = Path("/usr/share/doc/libmodbus-dev/examples")
_PORT_AND_TTY = (
    ('modbus_new_tcp("127.0.0.1", 1502)', 'modbus_new_tcp("127.0.0.1", argc > 2 ? atoi(argv[2]) : 1502)'),
    (
        "mb_mapping->tab_input_registers[i] = UT_INPUT_REGISTERS_TAB[i];;\n    }\n",
        ("mb_mapping->tab_input_registers[i] = UT_INPUT_REGISTERS_TAB[i];;\n    }\n"
        '    char *words = getenv("EDGE_GATEWAY_WORDS");\n'
        "    for (i = 0; words != NULL && *words && i < UT_REGISTERS_NB_MAX; i++)\n"
        "        mb_mapping->tab_registers[i] = (uint16_t) strtoul(words, &words, 10);\n"),
    ),
    (
        "modbus_new_rtu(\"/dev/ttyUSB0\", 115200, 'N', 8, 1)",
        "modbus_new_rtu(argc > 2 ? argv[2] : \"/dev/ttyUSB0\", argc > 3 ? atoi(argv[3]) : 9600, 'N', 8, 1)",
    ),
)


def _examples() -> Path:
    for folder in (_EXAMPLES, TOOLS / "libmodbus-dev" / _EXAMPLES.relative_to("/")):
        if (folder / "unit-test-server.c").exists():
            return folder
    raise MissingServer("libmodbus' examples are missing; run `make servers` as root, or see tests/install_servers.sh")


def build() -> Path:
    """The compiled server under .tools, built once per source; safe when several test workers ask at once."""
    examples = _examples()
    source = (examples / "unit-test-server.c").read_text()
    for old, new in _PORT_AND_TTY:
        assert source.count(old) == 1, f"libmodbus' example changed: {old} not found once"
        source = source.replace(old, new)
    TOOLS.mkdir(exist_ok=True)
    program = TOOLS / f"libmodbus-server-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    with (TOOLS / "libmodbus-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            code = TOOLS / "unit-test-server.c"
            code.write_text(source)
            flags = subprocess.run(
                [find_program("pkg-config"), "--cflags", "--libs", "libmodbus"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()
            built = program.with_suffix(".new")
            subprocess.run(
                [find_program("gcc"), f"-I{examples}", "-o", str(built), str(code), *flags],
                check=True,
                capture_output=True,
            )
            built.rename(program)
    return program


class LibmodbusTcp(ServerProcess):
    """The server over TCP at `port`, its holding registers beginning with `words`: it serves ONE connection and then ends, so nothing may probe it."""

    def __init__(self, folder: Path, port: int | None = None, words: Sequence[int] = ()) -> None:
        self.port = port or free_port()
        command = [str(build()), "tcp", str(self.port)]
        super().__init__("libmodbus-tcp", command, folder, lambda: listens_on(self.port))
        self.environment["EDGE_GATEWAY_WORDS"] = " ".join(map(str, words))


class LibmodbusRtu(ServerProcess):
    """The server on a terminal, as unit 17, 8N1."""

    def __init__(self, folder: Path, terminal: Path, baud: int = 9600) -> None:
        self._device = os.path.realpath(terminal)
        super().__init__("libmodbus-rtu", [str(build()), "rtu", str(terminal), str(baud)], folder, self._has_opened)

    def _has_opened(self) -> bool:
        descriptors = Path(f"/proc/{self.pid}/fd")
        return any(os.path.realpath(link) == self._device for link in descriptors.iterdir())
