"""What gateway.toml may say of an InfluxDB sink, and the sink built from it; knows no lines and no requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge_gateway.clock import Clock
from edge_gateway.links.loopback import is_loopback
from edge_gateway.links.secret import read_secret

if TYPE_CHECKING:
    import ssl

    from edge_gateway.sinks.influxdb_sink import InfluxSink


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"'{url.partition('@')[2] or url}' is no address; write http://host:port or https://host")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "a user or password in the address would end up in logs; use user and password_file, or token_file"
        )
    if parts.query or parts.fragment:
        raise ValueError("the address must end before '?' or '#'; database, org and bucket have keys of their own")
    return url


Address = Annotated[str, AfterValidator(_address)]


class _InfluxConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Address
    ca_file: str = ""
    timeout_s: float = Field(default=30.0, ge=1.0, le=600.0, description="for one request")
    gzip: bool | None = Field(default=None, description="compress requests; by default all but those to this machine")
    bytes_per_day: int | None = Field(
        default=None, ge=100_000, description="at most this many a day, from midnight to midnight; then it waits; none by default"
    )

    def compresses(self) -> bool:
        """``gzip``, or whether the server is another machine."""
        return self.gzip if self.gzip is not None else not is_loopback(urlsplit(self.url).hostname or "")

    def tls(self) -> ssl.SSLContext | None:
        """What https needs, made at start. Raises ConfigError for a ``ca_file`` that cannot be used."""
        from edge_gateway.links import http

        return http.tls_context(self.ca_file) if urlsplit(self.url).scheme == "https" else None


class Influx1Config(_InfluxConfig):
    """InfluxDB 1.x, and what speaks its /write (VictoriaMetrics)."""

    kind: Literal["influxdb1"]
    database: str = Field(min_length=1)
    retention_policy: str = ""
    user: str = ""
    password_file: str = ""

    @model_validator(mode="after")
    def _both_or_none(self) -> Influx1Config:
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file go together: set both, or none")
        return self

    def build(self, name: str, *, site: str, clock: Clock, hold_us: int) -> InfluxSink:
        """The sink. ``hold_us``: how long entries of an untrusted boot wait. Raises ConfigError for a bad secret or ca_file."""
        from edge_gateway.sinks.influxdb_sink import InfluxSink
        from edge_gateway.sinks.influxdb_v1 import V1, V1Target

        target = V1Target(
            url=self.url,
            database=self.database,
            retention_policy=self.retention_policy,
            user=self.user,
            password=read_secret(self.password_file, key=f"sinks.{name}.password_file") if self.user else "",
            tls=self.tls(),
            timeout_s=self.timeout_s,
            gzip=self.compresses(),
        )
        return InfluxSink(name, V1(target), site=site, clock=clock, hold_us=hold_us)


class Influx2Config(_InfluxConfig):
    """InfluxDB 2.x, and what speaks its /api/v2/write."""

    kind: Literal["influxdb2"]
    org: str = Field(min_length=1)
    bucket: str = Field(min_length=1)
    token_file: str = Field(min_length=1)

    def build(self, name: str, *, site: str, clock: Clock, hold_us: int) -> InfluxSink:
        """The sink. ``hold_us``: how long entries of an untrusted boot wait. Raises ConfigError for a bad secret or ca_file."""
        from edge_gateway.sinks.influxdb_sink import InfluxSink
        from edge_gateway.sinks.influxdb_v2 import V2, V2Target

        target = V2Target(
            url=self.url,
            org=self.org,
            bucket=self.bucket,
            token=read_secret(self.token_file, key=f"sinks.{name}.token_file"),
            tls=self.tls(),
            timeout_s=self.timeout_s,
            gzip=self.compresses(),
        )
        return InfluxSink(name, V2(target), site=site, clock=clock, hold_us=hold_us)
