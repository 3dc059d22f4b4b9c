"""TLS as a client, with the peer's certificate checked and one of our own; knows no protocol above it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from edge_gateway.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: the authority that vouches for the peer, our certificate and its key. ``server_name``: the name that
    the peer's certificate bears, when it is not the address that we connect to."""

    ca_file: str
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later. Raises ConfigError when the files cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise _unusable("ca_file", self.ca_file, error) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert_file:
            try:
                # A key with a passphrase is refused instead of asked for: nobody sits at the console.
                context.load_cert_chain(self.cert_file, self.key_file or None, password=_no_passphrase)
            except (OSError, ssl.SSLError, ValueError) as error:
                raise _unusable("cert_file", self.cert_file, error) from error
        return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _unusable(key: str, file: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"cannot use the certificates in '{file}' ({error})",
        key=key,
        code=key.replace("_", "-"),
        hint="it must be a PEM file that the service can read, and a certificate needs its own key",
    )
