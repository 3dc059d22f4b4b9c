"""C2SP tlog-witness over HTTP: ``add-checkpoint``, answered by the witness that cosigns only what the hub's own bytes give; knows no store.

Source: c2sp.org/tlog-witness. There is no authentication but the checkpoint's signature, so what is not rightly signed leaves no trace here.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.note import ED25519, Key, Note, NoteError
from edge_gateway.record.proof import MAX_HASHES, extends
from regulator_hub.gateways import Gateways
from regulator_hub.store.writer import StoreFailed
from regulator_hub.witness import MAX_NOTE_BYTES, Witness

PATH = "/api/v1/witness/add-checkpoint"
#: The old size, 63 hashes and a note of ours.
MAX_BODY_BYTES = MAX_NOTE_BYTES + 64 * 64
#: Later the same request may be answered otherwise: entries are on their way, the tree is being computed, the disk is full.
AGAIN_S = 5
_SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Added:
    """A request's parts: ``old`` size, consistency ``path``, and the signed ``note``."""

    old: int
    path: tuple[bytes, ...]
    note: bytes


class NotTaken(Exception):
    """Answered with this status and text instead of a cosignature."""

    def __init__(self, status: int, text: str, media_type: str = "text/plain") -> None:
        super().__init__(text)
        self.status = status
        self.media_type = media_type


def parse(body: bytes) -> Added:
    """Raises NotTaken (400) for what is no request."""
    lines, gap, note = body.partition(b"\n\n")
    first, *hashes = lines.split(b"\n")
    number = first.removeprefix(b"old ")
    if not gap or not first.startswith(b"old ") or not number.isdigit() or b"%d" % int(number[:20]) != number:
        raise NotTaken(400, "a request begins with a line 'old <size>', and an empty line stands before the checkpoint")
    if len(hashes) > MAX_HASHES:
        raise NotTaken(400, f"{len(hashes)} hashes, at most {MAX_HASHES}")
    return Added(int(number), tuple(map(_hash, hashes)), note)


def _hash(line: bytes) -> bytes:
    try:
        found = base64.b64decode(line, validate=True)
    except ValueError:
        found = b""
    if len(found) != 32 or base64.b64encode(found) != line:
        raise NotTaken(400, "a consistency proof line is one hash in base64")
    return found


def add_checkpoint_route(witness: Witness, gateways: Gateways) -> Route:
    """``POST <PATH>``."""

    async def add(request: Request) -> Response:
        try:
            line = await _answer(witness, gateways, parse(await _body(request)))
        except NotTaken as error:
            again = {"Retry-After": str(AGAIN_S)} if error.status == 503 else {}
            return Response(f"{error}\n", error.status, again, media_type=error.media_type)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        return Response(line + "\n", media_type="text/plain; charset=utf-8")

    return Route(PATH, add, methods=["POST"])


async def _answer(witness: Witness, gateways: Gateways, asked: Added) -> str:
    """The cosignature line. Raises NotTaken."""
    try:
        note = Note.parse(asked.note)
        head = Checkpoint.parse(note.text)
    except NoteError as error:
        raise NotTaken(400, f"no checkpoint: {error}") from None
    key = _key(gateways, head.origin)
    if not note.signed_by(key):
        raise NotTaken(403, "it is not signed by the key that is registered for this log")
    if asked.old > head.size:
        raise NotTaken(400, "the old size is greater than the checkpoint's")

    def follows(size: int, root: bytes) -> None:
        """Of what was cosigned last; called while nothing else of this gateway is cosigned."""
        if asked.old != size or (head.size == size and head.root != root):
            raise NotTaken(409, str(size), _SIZE)
        if (asked.old == 0 and asked.path) or not extends(size, root, head.size, head.root, asked.path):
            raise NotTaken(422, "the consistency proof does not lead from what was cosigned to this checkpoint")

    gateway = head.origin.rpartition("/")[0].rpartition("/")[2]
    try:
        answer = await witness.judge(gateway, asked.note, follows)
    except StoreFailed as error:
        raise NotTaken(503, error.why) from None
    if "cosignature" in answer:
        return str(answer["cosignature"])
    if "expected" in answer or "later" in answer:
        raise NotTaken(503, "the hub does not hold that many entries yet, or is still computing their tree")
    status = {"no-checkpoint": 400, "fork": 422, "store-differs": 422, "memory": 503}.get(answer["refused"], 403)
    raise NotTaken(status, f"{answer['refused']}: {answer['why']}")


def _key(gateways: Gateways, origin: str) -> Key:
    """Who may sign this log: the registered key of the gateway that it names. Raises NotTaken (404)."""
    name, _, _ = origin.rpartition("/")
    registered = gateways.find(name.rpartition("/")[2])
    key = registered.key if registered is not None else None
    if key is None or key.name != name:
        raise NotTaken(404, "no log of this origin is known here")
    return Key(origin, ED25519, key.public)


async def _body(request: Request) -> bytes:
    """Never more than the bound in memory. Raises NotTaken (413)."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise NotTaken(413, f"more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def request_body(old: int, path: Sequence[bytes], note: bytes) -> bytes:
    """What a log sends."""
    return b"".join([b"old %d\n" % old, *(base64.b64encode(each) + b"\n" for each in path), b"\n", note])
