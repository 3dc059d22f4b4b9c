// The live page of gateway and hub: rows by key from a stream, abnormal first, ages ticking from the server's clock. ES2017.
"use strict";
(() => {
  const words = JSON.parse(document.getElementById("words").textContent);
  const main = document.querySelector("main");
  const hub = main.dataset.app === "hub";
  const zh = document.documentElement.lang.startsWith("zh");
  const ORDER = ["violation", "notice", "no-data", "normal"];
  const STALE_INTERVALS = 3;
  let data = JSON.parse(document.getElementById("data").textContent);
  let at = performance.now(), heard = performance.now(), lostSince = 0, drawn = "";

  const say = (key, values) => (words[key] || key).replace(/\{(\w+)\}/g, (_, name) => values && name in values ? values[name] : "");
  const name = (row, key) => row[key + (zh ? "_zh" : "_en")] || row[key] || "";
  const now = () => data.now_us + (performance.now() - at) * 1000 * (data.speed || 1);
  const el = (tag, cls, ...inside) => {
    const made = document.createElement(tag);
    if (cls) made.className = cls;
    for (const part of inside) if (part !== null && part !== "") made.append(part);
    return made;
  };

  const zone = data.timezone || "Asia/Shanghai";
  const clockOf = (us, seconds) => new Intl.DateTimeFormat(zh ? "zh-CN" : "en-GB", {
    timeZone: zone, hour12: false, hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined }).format(us / 1000);
  const dayOf = us => new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).format(us / 1000);
  const when = us => (dayOf(us) === dayOf(now()) ? "" : dayOf(us) + " ") + clockOf(us, false);

  function span(kind, us) {
    const s = Math.max(0, Math.floor(us / 1e6));
    if (kind === "age" && s < 1) return say("age.now");
    if (s < 120) return say(kind + ".s", { n: s });
    const min = Math.floor(s / 60);
    if (min < 120) return say(kind + ".min", { n: min });
    const h = Math.floor(min / 60);
    return h < 48 ? say(kind + ".h", { h, n: min % 60 }) : say(kind + ".d", { d: Math.floor(h / 24), h: h % 24 });
  }
  function number(value, decimals) {
    if (value === null || value === undefined) return say("value.none");
    const text = typeof value === "number" ? value.toFixed(decimals === undefined || decimals === null ? 1 : decimals) : String(value);
    return text.replace("-", "\u2212");
  }
  const withUnit = (text, row) => text + (row.unit_shown ? "\u00a0" + row.unit_shown : "");
  // What a contact's 0 or 1 says stands where others have their unit.
  function figure(row) {
    const contact = row.quantity === "contact" && words["contact." + row.value];
    return withUnit(number(row.value, row.decimals), row.value === null ? {} : contact ? { unit_shown: contact } : row);
  }
  const decimal = text => String(text).replace("-", "\u2212");
  function limitText(limit, row) {
    if (limit.low && limit.high) return withUnit(decimal(limit.low) + " " + say("limit.between") + " " + decimal(limit.high), row);
    if (limit.high) return withUnit(say("limit.high") + "\u00a0" + decimal(limit.high), row);
    return limit.low ? withUnit(say("limit.low") + "\u00a0" + decimal(limit.low), row) : "";
  }
  const unverified = verified => verified === "primary" || !verified ? null
    : el("span", "tag", say(verified === "secondary" ? "limit.secondary" : "limit.unverified"));
  function quality(code) {
    return words["q." + code] ? say("q." + code) : say("q.other", { code });
  }
  const badge = (state, text) => el("span", "badge " + state, text || say("state." + state));

  // What the browser alone can know: a value that was current when it came grows old.
  function stale(row) {
    return row.observed_us === null || lostSince > 0 ||
      (row.interval_s > 0 && now() - row.observed_us > STALE_INTERVALS * row.interval_s * 1e6);
  }
  const state = row => (row.state === "normal" && stale(row)) ? "no-data" : row.state;

  function pointRow(row) {
    const old = stale(row), shown = state(row);
    const tr = el("tr", shown + (old ? " stale" : ""));
    tr.dataset.point = row.point;
    const value = figure(row);
    const limits = el("td", "limit");
    for (const limit of row.limits || []) {
      const text = limitText(limit, row);
      if (text) limits.append(el("div", "", text, unverified(limit.verified)));
    }
    if (!limits.firstChild) limits.append(el("span", "zone", say("limit.none")));
    const age = el("td", "age");
    if (row.observed_us !== null) { age.dataset.observed = row.observed_us; age.dataset.stale = old ? "1" : ""; }
    const how = el("td", "quality", el("div", "", quality(row.quality)));
    if (hub && !row.in_order && row.observed_us !== null) how.append(el("span", "tag", say("live.copy")));
    tr.append(
      el("td", "state", badge(shown)),
      el("td", "name", el("div", "", name(row, "name")), el("div", "zone", name(row, "zone"))),
      el("td", "value", old && row.value !== null ? "(" + value + ")" : value),
      limits, age, how);
    return tr;
  }

  function stepLimit(step) {
    const text = (step.limit || "").replace(/-(?=\d)/g, "\u2212"), unit = " " + step.unit;
    return step.unit && text.endsWith(unit) ? text.slice(0, -unit.length) + "\u00a0" + (step.unit_shown || "") : text;
  }
  // The point's newest value, never without its age and quality; brackets say that it is old.
  function currentParts(step) {
    const first = step.first || {};
    const row = data.points[step.gateway + "/" + step.point] || { ...step, value: first.value, observed_us: first.wall_us, quality: "good" };
    if (row.value === null || row.value === undefined || !row.observed_us) return [row.quality ? el("span", "dim", quality(row.quality)) : null];
    const old = stale(row), age = el("span", "dim");
    age.dataset.observed = row.observed_us;
    age.dataset.stale = old ? "1" : "";
    return [el(old ? "span" : "strong", old ? "dim" : "", old ? "(" + figure(row) + ")" : figure(row)), age, el("span", "dim", quality(row.quality))];
  }
  // The record has the worst value up to its newest step; while it goes on the newest reading may be worse.
  function worst(step) {
    const row = data.points[step.gateway + "/" + step.point], limit = step.limit || "";
    const at = sign => (found => found ? Number(found[1]) : null)(limit.match(new RegExp(sign + " (-?[\\d.]+)")));
    const low = at("\u2265"), high = at("\u2264"), beyond = value => Math.max(low === null ? -Infinity : low - value, high === null ? -Infinity : value - high);
    const counts = row && step.condition === "active" && row.quality === "good" && typeof row.value === "number" && !stale(row);
    return counts && beyond(row.value) > beyond(step.peak) ? row.value : step.peak;
  }
  function violationCard(step) {
    const kind = step.violated ? "violation" : "notice";
    const li = el("li", kind + (step.handling === "new" ? " new" : "") + (step.condition === "recovered" ? " over" : ""));
    const value = v => v === null || v === undefined ? "" : withUnit(number(v, step.decimals), step);
    const after = step.violation_after_us ? Math.round(step.violation_after_us / 6e7) : 0;
    const mark = badge(kind);
    if (!step.violated && after && step.condition === "active" && (step.first || {}).wall_us) {
      const timer = el("span", "");
      timer.dataset.timer = step.first.wall_us;
      timer.dataset.after = after;
      mark.append(timer);
    }
    const first = el("p", "line", mark, el("strong", "", name(step, "name")), el("span", "", name(step, "title")),
      el("span", "", stepLimit(step)), unverified(step.verified), ...currentParts(step));
    const since = (step.first || {}).wall_us;
    const second = el("p", "line dim");
    if (hub) second.append(el("span", "", siteName(step.gateway)));
    if (since) { const s = el("span", "since"); s.dataset.since = since; second.append(s); }
    if (step.peak !== null && step.peak !== undefined) second.append(el("span", "", say("peak", { value: (step.kind || "limit") === "limit" ? value(worst(step)) : number(step.peak, 1) })));
    second.append(el("span", "strong", say("condition." + step.condition)), el("span", "strong", say("handling." + step.handling)));
    if (step.severity) second.append(el("span", "", say("severity." + step.severity)));
    if (hub && !step.in_order) second.append(el("span", "tag", say("live.copy")));
    li.append(first, second);
    if (hub && step.violated) li.append(...handlingLines(step));
    else if ((step.held || []).length) li.append(heldList(step, step.held));
    const todo = step[zh ? "do_zh" : "do_en"];
    if (step.violated && todo && todo.length) li.append(el("p", "line", (Array.isArray(todo) ? todo : [todo]).join(" · ")));
    return li;
  }
  const worded = (group, key) => words[group + "." + key] || key;
  const late = step => Object.values(step.due || {}).some(us => us !== null && us < now());
  // Who did what last, deadlines that tick, what waits: what a duty officer asks first.
  function handlingLines(step) {
    const due = el("p", "line due"), who = el("p", "line dim"), made = [];
    for (const [what, us] of Object.entries(step.due || {})) {
      const deadline = el("span", "");
      if (us === null) deadline.textContent = say("due.later", { what: worded("due", what) });
      else { deadline.dataset.due = us; deadline.dataset.what = worded("due", what); }
      due.append(deadline);
    }
    if (step.returns) due.append(el("span", "tag", say("handling.returns", { n: step.returns })));
    const held = step.held || [];
    if (step.holds && !held.length) due.append(el("span", "tag", say("handling.holds", { n: step.holds })));
    if (step.follows) due.append(el("span", "tag", say("handling.follows", { id: step.follows })));
    if (step.referred) due.append(el("span", "tag", say("handling.referred", { to: worded("department", step.referred) })));
    for (const each of step.waiting || []) due.append(el("span", "tag", say("handling.waits", { verb: worded("verb", each.verb), by: each.by })));
    const last = (step.steps || []).filter(each => each.by).pop();
    who.append(el("span", "id", step.shown || step.violation));
    if (last) who.append(el("span", "", when(last.wall_us) + " " + worded("step", last.step) + ": " + last.by + " (" + worded("proof", last.proof || "claimed") + ")"), el("span", "why", last.reason || ""));
    if (due.firstChild) made.push(due);
    if (held.length) made.push(heldList(step, held));
    return made.concat(who);
  }
  // Folded away; it stays unfolded, and keeps the keyboard, while the page is drawn anew.
  const unfolded = new Set();
  function folding(key, summary, inside) {
    const box = el("details", "", el("summary", "", summary), inside);
    box.dataset.key = key;
    box.open = unfolded.has(key);
    box.addEventListener("toggle", () => box.open ? unfolded.add(key) : unfolded.delete(key));
    return box;
  }
  // What goes on as part of it: a line each.
  function heldList(step, held) {
    const list = el("ul", "");
    for (const each of held) {
      const line = el("li", "", el("span", "id", each.violation + " "), el("span", "", name(each, "name") + " \u00b7 " + (name(each, "title") || each.rule) + " \u00b7 " + say("condition." + each.condition)));
      if ((each.first || {}).wall_us) line.append(el("span", "dim", " \u00b7 " + when(each.first.wall_us)));
      if (each.minutes && each.condition === "recovered") line.append(el("span", "dim", " \u00b7 " + say("handling.minutes", { n: each.minutes })));
      list.append(line);
    }
    return folding(step.gateway + "/" + step.violation, say("handling.holds", { n: held.length }), list);
  }
  function siteName(gateway) {
    const row = data.gateways[gateway];
    return row ? name(row, "site") + " (" + gateway + ")" : gateway;
  }
  function alarmCard(alarm) {
    const li = el("li", "alarm");
    const since = el("span", "since dim");
    since.dataset.since = alarm.since_us;
    const told = Object.entries(alarm.detail || {}).filter(([key]) => key !== "note");
    const detail = told.map(([key, value]) => worded("detail", key) + " " + (key.endsWith("_us") ? when(value) : worded(key === "deadline" ? "due" : key, String(value)).slice(0, key === "why" ? 200 : 40))).join(" · ");
    li.append(el("p", "line", el("strong", "", say("alarm." + alarm.kind)), el("span", "", siteName(alarm.gateway))),
      el("p", "line dim", since, el("span", "", detail)));
    return li;
  }
  function packLine([id, about]) {
    const of = { pack: name(about, "name") || id, version: about.version, edition: about.edition, state: worded("packstate", about.state) };
    if (!about.rules) return say(about.state ? "gateway.pack.idle" : "gateway.pack.unsaid", of);
    return say(about.state === "enforced" ? "gateway.pack" : "gateway.pack.not", of);
  }
  function packChange(c) {
    const of = { pack: c.pack, old: worded("packstate", c.old || ""), new: worded("packstate", c.new || ""), time: when(c.wall_us), by: c.by || "", second: c.second || "", why: c.why || "" };
    return say(c.event === "packs-kept-enforced" ? "gateway.pack.kept" : c.second ? "gateway.pack.back" : "gateway.pack.changed", of);
  }
  function gatewayBox(gateway, rows, several) {
    const box = el("article", "gateway");
    box.dataset.gateway = gateway.gateway;
    const heard = el("span", "heard");
    if (gateway.last_us) heard.dataset.heard = gateway.last_us;
    if (hub) {
      box.append(el("header", "", el("h3", "", name(gateway, "site")), el("span", "id", gateway.gateway),
        gateway.dark ? badge("dark", say("gateway.dark")) : null,
        gateway.quarantined ? el("span", "tag", say("gateway.quarantined", { n: gateway.quarantined })) : null, heard));
      for (const b of gateway.branches || []) box.append(el("p", "line dim", say("gateway.branch", b)));
      if (gateway.pack_change) box.append(el("p", "line dim", packChange(gateway.pack_change)));
      if (gateway.phase) box.append(el("p", "line dim", say("gateway.phase", { phase: worded("phase", gateway.phase.phase), time: when(gateway.phase.wall_us), by: gateway.phase.by || "" })));
      for (const m of gateway.marks || []) box.append(el("p", "line dim", say("gateway.mark", { type: worded("mark", m.type), points: m.points.slice(0, 5).join(" "), time: when(m.until_wall_us), by: m.by, reason: m.reason })));
      for (const epoch of gateway.pending || []) box.append(el("p", "line pending", say("gateway.pending", { epoch, gateway: gateway.gateway })));
    }
    rows.sort((a, b) => ORDER.indexOf(state(a)) - ORDER.indexOf(state(b)) || (a.point < b.point ? -1 : 1));
    const calm = several ? rows.filter(row => state(row) === "normal") : [], shown = several ? rows.filter(row => state(row) !== "normal") : rows;
    if (shown.length) box.append(pointTable(shown));
    if (calm.length) box.append(folding("calm " + gateway.gateway, say("gateway.normal", { n: calm.length }), pointTable(calm)));
    if (!rows.length) box.append(el("p", "none", say("points.none")));
    if (gateway.packs) box.append(el("p", "line dim packs", say("gateway.packs", { packs: Object.entries(gateway.packs).map(packLine).join(say("gateway.packs.and")) })));
    if (gateway.witness_key) box.append(el("p", "line dim keys", say(gateway.key ? "gateway.keys" : "gateway.nokey", { key: gateway.key, hub: gateway.witness_key })));
    return box;
  }
  function pointTable(rows) {
    const head = el("tr", ""), body = el("tbody", "", ...rows.map(pointRow));
    for (const column of ["state", "point", "value", "limit", "age", "quality"]) {
      const th = el("th", column, say("col." + column));
      th.scope = "col";
      head.append(th);
    }
    return el("table", "points", el("thead", "", head), body);
  }

  function draw() {
    const rows = Object.values(data.points), steps = Object.values(data.violations), alarms = Object.values(data.alarms || {});
    const counts = { violation: 0, notice: 0, "no-data": 0, normal: 0 };
    const worst = {}, byGateway = {};
    for (const step of steps) counts[step.violated ? "violation" : "notice"] += 1;  // recovered ones too: as listed below
    for (const row of rows) {
      const shown = state(row);
      if (shown in { "no-data": 0, normal: 0 }) counts[shown] += 1;
      const place = ORDER.indexOf(shown);
      worst[row.gateway] = Math.min(row.gateway in worst ? worst[row.gateway] : 9, place);
      (byGateway[row.gateway] = byGateway[row.gateway] || []).push(row);
    }
    const told = JSON.stringify(counts), list = document.getElementById("counts"), held = document.activeElement;
    if (list.dataset.told !== told) {  // it is read aloud: only when it changed
      list.dataset.told = told;
      list.replaceChildren(...ORDER.map(s => el("li", counts[s] ? "some" : "zero", badge(s), el("b", "", String(counts[s])))));
    }
    steps.sort((a, b) => late(b) - late(a) || b.violated - a.violated || b.step_us - a.step_us);
    fill("violations", steps.map(violationCard), steps.length);
    fill("alarms", alarms.sort((a, b) => b.since_us - a.since_us).map(alarmCard), alarms.length);
    document.getElementById("alarms").hidden = !alarms.length;
    const boxes = Object.values(data.gateways);
    const rank = g => g.gateway in worst ? worst[g.gateway] - (g.dark ? 0.5 : 0) : 9;
    boxes.sort((a, b) => rank(a) - rank(b) || (a.gateway < b.gateway ? -1 : 1));
    fill("points", boxes.map(g => gatewayBox(g, byGateway[g.gateway] || [], boxes.length > 1)), boxes.length);
    if (held && held.tagName === "SUMMARY" && !held.isConnected) {
      const again = Array.from(document.querySelectorAll("details")).find(box => box.dataset.key === held.parentNode.dataset.key);
      if (again) again.querySelector("summary").focus();
    }
    drawn = staleness();
    tick();
  }
  function fill(id, made, any) {
    const section = document.getElementById(id), none = section.querySelector(":scope > .none");
    section.querySelector(".cards, .gateways").replaceChildren(...made);
    if (none) none.hidden = any > 0;
  }
  const staleness = () => Object.values(data.points).map(row => stale(row) ? "1" : "0").join("");

  function tick() {
    const t = now();
    if (staleness() !== drawn) return draw();
    for (const age of document.querySelectorAll("[data-observed]"))
      age.textContent = span("age", t - Number(age.dataset.observed)) + (age.dataset.stale ? " · " + say("stale") : "");
    for (const since of document.querySelectorAll("[data-since]"))
      since.textContent = say("since", { time: when(Number(since.dataset.since)), for: span("for", t - Number(since.dataset.since)) });
    for (const due of document.querySelectorAll("[data-due]")) {
      const left = Number(due.dataset.due) - t, what = due.dataset.what;
      due.className = left < 0 ? "badge overdue" : "";
      due.textContent = left < 0 ? say("due.late", { what, for: span("for", -left) }) : say("due.until", { what, time: when(Number(due.dataset.due)), for: span("for", left) });
    }
    for (const timer of document.querySelectorAll("[data-timer]"))
      timer.textContent = say("notice.timer", { n: Math.floor(Math.max(0, t - Number(timer.dataset.timer)) / 6e7), m: timer.dataset.after });
    for (const heardAt of document.querySelectorAll("[data-heard]"))
      heardAt.textContent = say("gateway.heard", { age: span("age", t - Number(heardAt.dataset.heard)) });
    document.getElementById("clock").textContent = clockOf(t, true);
    document.getElementById("zone").textContent = zone === "Asia/Shanghai" ? say("clock.zone") : zone;
  }

  function lost() {
    if (lostSince) return;
    lostSince = now();
    const banner = document.getElementById("banner");
    banner.textContent = say("stream.lost", { time: clockOf(lostSince, true) });
    banner.hidden = false;
    draw();
  }
  function found() {
    heard = performance.now();
    if (!lostSince) return;
    lostSince = 0;
    document.getElementById("banner").hidden = true;
  }
  function stamp(event) { data.now_us = event.now_us; data.speed = event.speed; at = performance.now(); }

  let redraw = 0;
  function later() { if (!redraw) redraw = requestAnimationFrame(() => { redraw = 0; draw(); }); }
  let stream = null;
  function connect() {
    stream = new EventSource(main.dataset.stream);
    stream.addEventListener("full", event => { data = JSON.parse(event.data); stamp(data); found(); draw(); });
    stream.addEventListener("delta", event => {
      const change = JSON.parse(event.data);
      stamp(change);
      for (const section of ["points", "violations", "gateways", "alarms"])
        for (const [key, row] of Object.entries(change[section] || {}))
          if (row === null) delete data[section][key]; else data[section][key] = row;
      found();
      later();
    });
    stream.addEventListener("beat", event => { stamp(JSON.parse(event.data)); found(); });
    stream.onerror = () => { lost(); if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 5000); };
  }
  setInterval(() => { if (performance.now() - heard > 2000 * (data.beat_s || 5)) lost(); tick(); }, 1000);
  draw();
  connect();
})();
