"""What the kernel's 1-Wire thermometer driver says of a probe, as a temperature or the reason why not; pure: opens no file.

The driver (w1_therm) answers a read of ``w1_slave`` with two lines (Linux Documentation/w1/slaves/w1_therm.rst):

    72 01 4b 46 7f ff 0e 10 57 : crc=57 YES
    72 01 4b 46 7f ff 0e 10 57 t=23125

The first line is the scratchpad just read with the verdict on its CRC. The second holds the *retained* values: after ``NO``
it is an older reading, and its ``t=`` must not be believed. The one-value file ``temperature`` has no scratchpad, so a
power-on value or a shorted line cannot be told there: it is not used.

Traps, and what is made of them:

- CRC wrong, whatever the driver's word: ``bad:frame`` (the reader tries once more in the same slot);
- nine bytes of 0x00 (line shorted to ground) pass the CRC, as 0 °C: ``bad:frame``. Nine of 0xff (nobody there, -0.06 °C) fail it;
- 127.94 °C (0x07FF, conversion failed for want of power: w1_therm.rst, "features"), 0x7FFF and all else outside the
  probe's range: ``bad:range``;
- 85 °C is the register's value before the first conversion. Byte 6 of the scratchpad tells: an original chip has 0x0C there
  after power-up and 0x10 after a conversion to 85.0 (w1_therm.rst; github.com/cpetrich/counterfeit_DS18B20, "Family A").
  Common copies hold 0x0C always, so there 85.0 is believed only beside a reading of the last ``FRESH_INTERVALS``
  intervals within ``PLAUSIBLE_K``; else it is ``bad:power-on``. A DS18S20 (family 10) counts there and cannot tell either.
"""

from __future__ import annotations

from edge_gateway.profiles.local import DS18B20_HIGH_CEL, DS18B20_LOW_CEL
from edge_gateway.reading import BAD_FRAME, BAD_NO_ANSWER, BAD_POWER_ON, BAD_RANGE, GOOD

#: How near the reading before must be for 85.0 to be a temperature (K): one slow step of a steriliser bath.
PLAUSIBLE_K = 2.0
_POWER_ON_CEL = 85.0
_CONVERTED = 0x10
#: Families whose register counts sixteenths of a degree: DS1822, DS18B20, DS1825, DS28EA00
#: (w1_therm.rst); of the others the driver's own arithmetic is taken.
_SIXTEENTHS = frozenset({0x22, 0x28, 0x3B, 0x42})


def temperature(text: str, family: int, before: float | None) -> tuple[float | None, str, str]:
    """(°C or None, quality, why in words) of ``w1_slave``'s text.

    ``before`` is the probe's last good temperature if it is fresh. Never raises: whatever the text is, it says something.
    """
    lines = text.splitlines()
    if not text.strip():
        return None, BAD_NO_ANSWER, "the driver says nothing: the probe does not answer"
    pad = _scratchpad(lines[0])
    if pad is None:
        return None, BAD_FRAME, f"not the driver's format: {lines[0][:60]!r}"
    if crc8(pad[:8]) != pad[8] or not lines[0].rstrip().endswith("YES"):
        return None, BAD_FRAME, "the checksum does not match: noise, a weak pull-up, or too long a cable"
    if not any(pad):
        return None, BAD_FRAME, "nothing but zeros: the data line is shorted to ground"
    value = int.from_bytes(pad[:2], "little", signed=True) / 16 if family in _SIXTEENTHS else _told(lines)
    if value is None:
        return None, BAD_FRAME, "the driver gives no temperature (t=)"
    if value == _POWER_ON_CEL and not _converted(pad, family) and not _plausible(before):
        return None, BAD_POWER_ON, "85 °C is what a probe says before its first conversion: it lost power just now"
    if not DS18B20_LOW_CEL <= value <= DS18B20_HIGH_CEL:
        return None, BAD_RANGE, f"{value:g} °C is outside what the probe can measure: failed conversion, too little power"
    return value, GOOD, ""


def _converted(pad: bytes, family: int) -> bool:
    return family in _SIXTEENTHS and pad[6] == _CONVERTED


def _plausible(before: float | None) -> bool:
    return before is not None and abs(before - _POWER_ON_CEL) <= PLAUSIBLE_K


def _scratchpad(line: str) -> bytes | None:
    """The nine bytes before the colon."""
    head, colon, _ = line.partition(":")
    parts = head.split()
    if not colon or len(parts) != 9 or any(len(part) != 2 for part in parts):
        return None
    try:
        return bytes(int(part, 16) for part in parts)
    except ValueError:
        return None


def _told(lines: list[str]) -> float | None:
    """The driver's ``t=`` (thousandths of a degree)."""
    _, found, number = lines[1].partition("t=") if len(lines) > 1 else ("", "", "")
    try:
        return int(number) / 1000 if found else None
    except ValueError:
        return None


def crc8(data: bytes) -> int:
    """Dallas/Maxim CRC-8, polynomial x⁸+x⁵+x⁴+1, reflected (Maxim application note 27)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc
