"""What is made of a configuration must fit: a batch into an entry, the resolved configuration into a message to the hub."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from edge_gateway import __version__
from edge_gateway.config.load import ConfigRefused, load
from edge_gateway.config.references import MAX_POINTS_OF_DEVICE, MAX_TABLES
from edge_gateway.config.resolve import device_specs, resolved
from edge_gateway.reading import Group
from edge_gateway.record.entry import canonical

HEAD = """\
[site]
id = "big"
origin = "example.org"
name_zh = "大"
name_en = "Big"
[zones.cold]
stage = "storage"
kind = "frozen-store"
[buses.plc]
kind = "tcp"
host = "127.0.0.1"
"""
HUB_MESSAGE_BYTES = 256 * 1024


def site(folder: Path, devices: int) -> Path:
    """One point a device, all on one bus: the shape that takes the most words."""
    text = [HEAD]
    for n in range(devices):
        text.append(
            f'[devices.cold-store-{n}]\nbus = "plc"\nunit = {n % 247 + 1}\nprofile = "generic/xy-md02"\ninterval_s = 10.0\n'
        )
        text.append(f'[points.cold-store-{n}-air]\ndevice = "cold-store-{n}"\nchannel = "temperature"\nzone = "cold"\n')
    file = folder / "gateway.toml"
    file.write_text("".join(text), encoding="utf-8")
    return file


def test_the_largest_configuration_fits_into_one_message_to_the_hub(tmp_path: Path) -> None:
    loaded = load(site(tmp_path, MAX_TABLES // 2))
    groups = {
        f"{device.id}.0": Group(
            id=f"{device.id}.0", device=device.id, points=tuple(p.id for p in device.points), interval_us=10_000_000
        )
        for devices in device_specs(loaded).values()
        for device in devices
    }
    text = canonical(resolved(loaded, groups, __version__))
    assert len(gzip.compress(text)) < HUB_MESSAGE_BYTES


def test_a_larger_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused) as refused:
        load(site(tmp_path, MAX_TABLES // 2 + 1))
    assert [fault.code for fault in refused.value.faults] == ["too-many"]


def test_a_device_with_too_many_points_is_refused(tmp_path: Path) -> None:
    points = "".join(
        f'[points.p{n}]\ndevice = "d"\nchannel = "temperature"\nzone = "cold"\n'
        for n in range(MAX_POINTS_OF_DEVICE + 1)
    )
    file = tmp_path / "gateway.toml"
    device = '[devices.d]\nbus = "plc"\nunit = 1\nprofile = "generic/xy-md02"\ninterval_s = 10.0\n'
    file.write_text(HEAD + device + points, encoding="utf-8")
    with pytest.raises(ConfigRefused) as refused:
        load(file)
    assert any(fault.code == "too-many" and fault.key == "devices.d" for fault in refused.value.faults)
