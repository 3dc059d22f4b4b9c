"""Draft, shadow, enforced: a rule pack's state at this site, changed by persons and put on record; judges no reading.

Into force a pack goes with a name and a reason. Out of it only with a second person who proves who they are: a file alone
takes no pack back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge_gateway.config.adopting import place, sound
from edge_gateway.errors import GatewayError
from edge_gateway.intake.state import PACK_STATE_CHANGED
from edge_gateway.toml_errors import did_you_mean
from edge_gateway.violations import SECRET

if TYPE_CHECKING:
    from edge_gateway.app.reloading import Reloader
    from edge_gateway.intake.loop import Intake
    from edge_gateway.page.persons import Persons

STATES = ("draft", "shadow", "enforced")
MOST_REASON = 500


class Handler(Protocol):
    """What the control socket calls."""

    async def __call__(self, pack: str, asked: Mapping[str, Any], user: str) -> dict[str, Any]: ...


class PackStates:
    """Carries out ``rules state``."""

    def __init__(self, main: Path, state_dir: Path, intake: Intake) -> None:
        self._main = main
        self._folder = state_dir / "gateway.d"
        self._intake = intake
        self._one = asyncio.Lock()

    def bind(self, reloader: Reloader, persons: Persons) -> Handler:
        """The handler of requests."""

        async def handle(pack: str, asked: Mapping[str, Any], user: str) -> dict[str, Any]:
            async with self._one:
                return await self._change(pack, asked, user, (reloader, persons))

        return handle

    async def _change(self, pack: str, asked: Mapping[str, Any], user: str, parts: tuple[Reloader, Persons]) -> dict[str, Any]:
        """Durable on return. Raises GatewayError; then nothing was changed."""
        reloader, persons = parts
        wanted, reason = str(asked.get("state", "")), str(asked.get("reason") or "").strip()
        now = {rule.pack: rule.state or "enforced" for rule in self._intake.state.rules()}
        if wanted not in STATES:
            raise GatewayError(f"'{wanted}' is no state of a pack", hint=f"one of {', '.join(STATES)}")
        if pack not in now:
            raise GatewayError(f"no rule of a pack '{pack}' judges here", hint=did_you_mean(pack, now))
        if not reason or len(reason) > MOST_REASON:
            raise GatewayError("a reason is missing, or longer than 500 characters", hint='--reason "…"')
        if now[pack] == wanted:
            raise GatewayError(f"pack '{pack}' is {wanted} already")
        by = str(asked.get("by") or user).strip()
        second = await self._second(pack, asked, by, user, persons) if now[pack] == "enforced" else ""
        file = self._folder / f"rules-state-{pack}.toml"
        before = file.read_text("utf-8") if file.exists() else None
        await asyncio.to_thread(self._write, file, pack, wanted, by)
        await reloader.reload(by, f"rules state {pack} {wanted}: {reason}", pack)
        if why := reloader.state.rejected:
            await asyncio.to_thread(_put_back(file, before))
            raise GatewayError(f"the gateway refuses it: {why}")
        body = {"event": PACK_STATE_CHANGED, "pack": pack, "old": now[pack], "new": wanted, "by": by, "user": user, "why": reason}
        body |= {"second": second, "how": SECRET} if second else {}

        async def told() -> int:
            self._intake.state.hear(body)
            return await self._intake.add("event", body, urgent=True)

        await self._intake.command(told)
        return body | {"file": str(file)}

    async def _second(self, pack: str, asked: Mapping[str, Any], by: str, user: str, persons: Persons) -> str:
        """The second person's name, proven. Raises GatewayError."""
        if not asked.get("as"):
            hint = "--second NAME, who has a secret of their own (`edge-gateway people list`)"
            raise GatewayError(f"pack '{pack}' is enforced: only a second person takes it back", hint=hint)
        who = await persons.who(asked, user, f"rules state {pack}")
        if who.proof != SECRET or who.name.casefold() in (by.casefold(), user.casefold()):
            raise GatewayError("the second person is somebody else than who asks", hint="--by says who asks, --second who agrees")
        return who.name

    def _write(self, file: Path, pack: str, state: str, by: str) -> None:
        said = by.replace("\n", " ")
        body = f'# Written by `edge-gateway rules state`, asked for by {said}. The record says why.\n[rules.state]\n{pack} = "{state}"\n'
        sound(self._main, self._folder, file.name, body)
        place(self._folder, file, body)


def _put_back(file: Path, before: str | None) -> Callable[[], None]:
    return file.unlink if before is None else lambda: place(file.parent, file, before)
