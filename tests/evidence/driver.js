/* Asks verify.html's engine (the object V) what the vectors of tests/vectors/README.md ask; knows no right answer. */
"use strict";

(function (V) {
  const bytes = (text) => V.unbase64(text);
  const none = async () => undefined;

  function source(data) {
    return {size: data.length, read: async (start, end) => data.slice(start, end)};
  }

  async function segment(given) {
    const data = bytes(given.file);
    const found = await V.Segment.open(new V.Part(source(data), 0, data.length));
    const tree = new V.Tree();
    for (let i = 0; i < found.members.length; i++) {
      const member = await found.member(i);
      for (let n = 0, at = 0; n < member.count; n++) {
        const end = member.bytes.indexOf(10, at);
        if (!V.entry(member.bytes.subarray(at, end), member.first + n)) return "bad";
        tree.add(V.leafHash(member.bytes, at, end));
        at = end + 1;
      }
    }
    if (V.hex(tree.root()) !== found.root || found.epoch !== given.epoch || found.first !== given.first) return "bad";
    return {count: found.count, root: found.root};
  }

  function shown(note) {
    return note.lines.map((line) => [line.name, line.id, V.hex(line.data)]);
  }

  function checkpoint(given) {
    const head = V.Checkpoint.parse(bytes(given.note)).mustBeSignedBy(V.Key.parse(given.log));
    return {
      origin: head.origin, size: head.size, root: V.hex(head.root),
      witnessed: given.witness ? head.note.cosigned(V.Key.parse(given.witness)) : null
    };
  }

  function proof(given) {
    const told = V.parseProof(bytes(given.proof)), entry = bytes(given.entry);
    const head = checkpoint({note: V.base64(told.checkpoint), log: given.log, witness: given.witness});
    const right = V.includes(V.leafHash(entry, 0, entry.length), told.index, head.size, told.path, V.unhex(head.root));
    return right ? Object.assign({index: told.index}, head) : "bad";
  }

  async function pack(given) {
    const keys = {gateway: given.gateway, witness: given.witness, against: given.against ? bytes(given.against) : null};
    const found = await V.verifyPack(source(bytes(given.pack)), keys, none), broken = found.broken, last = V.complete(found);
    return {
      outcome: found.outcome === "undecided" ? "cannot-decide" : found.outcome, code: found.code,
      broken: broken ? [broken.epoch, broken.first, broken.last] : null,
      complete: found.outcome === "verified" ? [last.epoch, last.size, last.witnessed] : null
    };
  }

  const kinds = {
    sha256: (given) => V.hex(V.sha256(bytes(given.data))),
    sha512: (given) => V.hex(V.sha512(bytes(given.data))),
    ed25519: (given) => V.ed25519(V.unhex(given.key), V.unhex(given.message), V.unhex(given.signature)),
    gzip: (given) => {
      const data = bytes(given.data), room = new V.Room(given.most);
      for (let at = 0; at < data.length || at === 0;) at = V.gunzip(data, at, room);
      return {size: room.size, sha256: V.hex(V.sha256(room.bytes.subarray(0, room.size)))};
    },
    tree: (given) => {
      const tree = new V.Tree();
      given.entries.map(bytes).forEach((entry) => tree.add(V.leafHash(entry, 0, entry.length)));
      return V.hex(tree.root());
    },
    inclusion: (given) => V.includes(V.unhex(given.leaf), given.index, given.size, given.path.map(V.unhex), V.unhex(given.root)),
    consistency: (given) => V.extends(given.old, V.unhex(given.old_root), given.size, V.unhex(given.root), given.path.map(V.unhex)),
    key: (given) => {
      const key = V.Key.parse(given.vkey);
      return {name: key.name, kind: key.kind, public: V.hex(key.bytes), id: key.id};
    },
    note: (given) => new V.Note(bytes(given.note)).isSignedBy(V.Key.parse(given.key)),
    "parsed-note": (given) => {
      const note = new V.Note(bytes(given.note));
      return {text: note.text, lines: shown(note)};
    },
    "parsed-checkpoint": (given) => {
      const head = V.Checkpoint.parse(bytes(given.note));
      return {origin: head.origin, size: head.size, root: V.hex(head.root), lines: shown(head.note)};
    },
    "parsed-proof": (given) => {
      const told = V.parseProof(bytes(given.proof));
      return {index: told.index, path: told.path.map(V.hex), checkpoint: V.base64(told.checkpoint)};
    },
    checkpoint, proof, segment, pack
  };

  V.answer = async function (vector) {
    try {
      return await kinds[vector.kind](vector.given);
    } catch (error) {
      if (error instanceof V.Bad) return "bad";
      throw error;
    }
  };
}(V));
