"""Whether rule packs are those that somebody signed, as far as the configuration asks for it; reads the notes beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_gateway.config.model import RulesConfig
from edge_gateway.errors import ConfigError
from edge_gateway.rules.load import LoadedPack
from edge_gateway.rules.sealed import broken, keys_of


def seal_faults(rules: RulesConfig, packs: Iterable[LoadedPack]) -> Iterator[ConfigError]:
    """Packs that are not what was signed. Without keys nothing is checked; a note that is there must hold, asked for or not."""
    keys = keys_of(rules.keys)
    for loaded in packs if keys else ():
        file = str(loaded.file)
        try:
            note = loaded.seal.read_bytes()
        except FileNotFoundError:
            if rules.require_signed:
                hint = f"get {loaded.seal.name} from whoever signed it; without require_signed it would be taken as it is"
                yield ConfigError("this pack is not signed", file=file, line=1, code="unsigned", hint=hint)
            continue
        except OSError as error:
            yield ConfigError(f"its signature cannot be read: {error.strerror}", file=str(loaded.seal), line=1, code="unreadable")
            continue
        if (found := broken(note, keys, loaded.pack.id, loaded.text, loaded.starts)) is not None:
            why, line = found
            hint = "put back the text that was signed, or have this one signed"
            yield ConfigError(why, file=file, line=line or 1, code="unsigned", hint=hint)
