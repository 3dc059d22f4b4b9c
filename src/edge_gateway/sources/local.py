"""What all buses of this machine's own have in common as configuration (kernel files, inputs); knows none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from edge_gateway.clock import Clock
from edge_gateway.profiles.local import LocalProfile
from edge_gateway.profiles.spec import DeviceSpec

if TYPE_CHECKING:
    from edge_gateway.sources.local_look import Reader
    from edge_gateway.sources.local_source import LocalSource

#: What a source must find again after a restart, by device: see ``reading.Batch.keep``.
Kept = Mapping[str, Mapping[str, Any]]


class LocalBus(BaseModel):
    """A bus whose devices have no profile file: ``setting`` names the key of [devices.X] that says what each one is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: str

    #: The device's key, and whether a device can do without it.
    setting: ClassVar[str]
    needs_setting: ClassVar[bool] = True
    #: How long one device takes (s), for ``check``; 0: no time to speak of.
    takes_s: ClassVar[float] = 0.0

    def profile(self, setting: Any) -> LocalProfile:
        """The channels of a device with this setting."""
        raise NotImplementedError

    def place(self, setting: Any) -> str:
        """What two devices of this bus cannot both be at; "" where nothing is exclusive."""
        raise NotImplementedError

    def reader(self, kept: Kept | None, boot: str) -> Reader:
        """What reads devices of this bus, in a thread; ``kept`` from the last run (None: nobody keeps anything), ``boot`` of this one."""
        raise NotImplementedError

    def most_s(self) -> float:
        """How long one device may take before it counts as stuck (s)."""
        return 10.0

    def build(self, bus_id: str, devices: Sequence[DeviceSpec], clock: Clock, kept: Kept | None = None) -> LocalSource:
        """The source of this bus. Raises ConfigError for points that its devices do not have."""
        from edge_gateway.sources.local_source import LocalSource

        return LocalSource(bus_id, self.kind, self.reader(kept, clock.boot), devices, clock, most_s=self.most_s())
