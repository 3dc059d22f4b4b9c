"""Fixtures that every test may ask for: the real servers, started on free ports in a temp folder and stopped after.

Session-scoped ones are shared by all tests of a worker: use names of your own (topic, database) and leave them running.
A test that kills or configures a server makes its own, e.g. `with Mosquitto(tmp_path / "broker", settings) as broker`.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import settings

from tests import disturbed
from tests.longest import SECONDS
from tests.servers import write_ledger
from tests.servers.certificates import CertificateAuthority
from tests.servers.influxd import Influxd
from tests.servers.libmodbus import LibmodbusTcp
from tests.servers.mosquitto import Mosquitto
from tests.servers.prism import Prism
from tests.servers.serial_line import PacedLine, SocatPair
from tests.servers.victoriametrics import VictoriaMetrics

if TYPE_CHECKING:
    from playwright.async_api import Browser


# How long an example takes says how busy the machine is, nothing of what is tested.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# Modules and ten thousand tests stay until the end: looking through them for what nobody needs was a tenth of what tests compute.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on what tests leave is collected, and only that."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    """One ledger of writing requests a worker; slaves in processes of their own find it in their environment."""
    disturbed.register(config)
    os.environ[write_ledger.VARIABLE] = str(Path(tempfile.mkdtemp(prefix="edge-gateway-writes-")) / "ledger")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several workers begin with the longest files, so that none is still busy with one when the others are through."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: -SECONDS.get(item.nodeid.partition("::")[0], 0))


def pytest_unconfigure() -> None:
    """Nothing is left behind."""
    shutil.rmtree(Path(os.environ[write_ledger.VARIABLE]).parent, ignore_errors=True)


@pytest.fixture(autouse=True)
def _the_bus_is_read_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test outside of provision's in which any simulated slave was sent a writing function code."""
    before = len(write_ledger.entries())
    yield
    written = write_ledger.forbidden(before, request.node.nodeid)
    assert not written, f"slaves saw writing requests: {written}"


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """An anonymous broker with mosquitto's defaults, shared: choose topics of your own."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """An InfluxDB 1.x, shared: create a database of your own."""
    with Influxd(tmp_path_factory.mktemp("influxd")) as server:
        yield server


@pytest.fixture(scope="session")
def victoriametrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    """A VictoriaMetrics, shared: choose measurements of your own."""
    with VictoriaMetrics(tmp_path_factory.mktemp("victoriametrics")) as server:
        yield server


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prism]:
    """The mock of InfluxDB's v2 write contract, shared: its `violations()` are everybody's."""
    with Prism(tmp_path_factory.mktemp("prism")) as mock:
        yield mock


@pytest.fixture
def libmodbus_tcp(tmp_path: Path) -> Iterator[LibmodbusTcp]:
    """libmodbus' server for one connection."""
    with LibmodbusTcp(tmp_path / "libmodbus") as server:
        yield server


@pytest.fixture
def serial_pair(tmp_path: Path) -> Iterator[SocatPair]:
    """Two joined terminals without pacing."""
    with SocatPair(tmp_path / "serial") as pair:
        yield pair


@pytest.fixture
def paced_line(tmp_path: Path) -> Iterator[PacedLine]:
    """Two joined terminals at the pace of 9600 baud, 10 bits a byte."""
    with PacedLine(tmp_path / "paced") as line:
        yield line


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    """A certificate authority of this test's own."""
    return CertificateAuthority(tmp_path / "authority")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _chromium() -> AsyncIterator[Browser]:
    """One for all tests of a file."""
    from tests.servers.chromium import chromium

    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def browser(_chromium: Browser) -> AsyncIterator[Browser]:
    """The distribution's Chromium, cut off from every host but this one; what a test opened is closed after it.

    For tests with ``pytest.mark.asyncio(loop_scope="module")``.
    """
    yield _chromium
    for context in _chromium.contexts:
        await context.close()
