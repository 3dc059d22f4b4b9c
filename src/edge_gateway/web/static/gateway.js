// The gateway's live page: exchanges rows and parts that the server has worded, lets ages tick by the gateway's clock. ES2017.
"use strict";
(() => {
  const words = JSON.parse(document.getElementById("words").textContent);
  const byId = id => document.getElementById(id);
  const live = byId("live"), banner = byId("banner"), bodies = [byId("abnormal"), byId("normal")];
  const STALE_INTERVALS = 3, POLL_MS = 15000;
  let nowUs = Number(live.dataset.now), speed = Number(live.dataset.speed), offsetS = Number(live.dataset.offset);
  let at = performance.now(), heard = at, lost = false, failures = 0, stream = null, polling = 0, told = null, beatMs = 5000;

  const say = (key, values) => (words[key] || key).replace(/\{(\w+)\}/g, (_, name) => name in values ? values[name] : "");
  const now = () => nowUs + (performance.now() - at) * 1000 * speed;
  const clockOf = us => new Date(us / 1000 + offsetS * 1000).toISOString().slice(11, 19);

  // --- time: the same sentences as the server's ---------------------------------------------------------------------
  function span(kind, us) {
    const s = Math.floor(Math.max(0, us) / 1e6);
    if (kind === "age" && s < 1) return say("age.now", {});
    if (s < 120) return say(kind + ".s", { n: s });
    const min = Math.floor(s / 60);
    if (min < 120) return say(kind + ".min", { n: min });
    const h = Math.floor(min / 60);
    return h < 48 ? say(kind + ".h", { h, n: min % 60 }) : say(kind + ".d", { d: Math.floor(h / 24), h: h % 24 });
  }
  function put(element, text) { if (element.textContent !== text) element.textContent = text; }
  function tick() {
    const t = now(), newest = document.querySelector("#newest [data-tick]");
    if (newest) for (const row of document.querySelectorAll("tr[data-observed]")) newest.dataset.us = Math.max(Number(newest.dataset.us), Number(row.dataset.observed));
    for (const it of document.querySelectorAll("[data-tick]")) {
      const past = t - Number(it.dataset.us);
      put(it, say(it.dataset.tick, { age: span("age", past), for: span("for", past), time: it.dataset.time, total: it.dataset.total }));
    }
    for (const row of document.querySelectorAll("tr[data-interval]")) {  // the browser may know first that a value grew old
      const interval = Number(row.dataset.interval), observed = Number(row.dataset.observed);
      row.classList.toggle("grown-old", interval > 0 && observed > 0 && t - observed > STALE_INTERVALS * interval);
    }
    put(byId("clock"), clockOf(t));
  }

  // --- rows and parts -----------------------------------------------------------------------------------------------
  function parsed(html) { return document.importNode(new DOMParser().parseFromString("<template>" + html + "</template>", "text/html").querySelector("template").content, true); }
  function place(row) {
    const body = bodies[row.classList.contains("normal") ? 1 : 0];
    let before = body.firstElementChild;
    while (before && before.dataset.rank < row.dataset.rank) before = before.nextElementSibling;
    body.insertBefore(row, before);
  }
  function exchange(id, html) {
    const old = byId("p-" + id);
    if (html === null) { if (old) old.remove(); return; }
    const row = parsed(html).querySelector("tr");
    if (old && old.dataset.rank === row.dataset.rank) old.replaceWith(row);
    else { if (old) old.remove(); place(row); }
  }
  function move(id, [number, marker, observed]) {
    const row = byId("p-" + id);
    if (!row) return;
    const figure = row.querySelector(".number"), mark = row.querySelector(".marker"), age = row.querySelector(".age [data-tick]");
    if (figure) put(figure, number);
    if (mark && marker !== null) mark.setAttribute("transform", "translate(" + marker + " 0)");
    if (observed !== null) { row.dataset.observed = observed; if (age) age.dataset.us = observed; }
  }
  function part(id, html) {
    if (id === "title") { document.title = html; return; }
    const element = byId(id);
    const open = new Set(Array.from(element.querySelectorAll("details[open]"), details => details.id));
    element.replaceChildren(parsed(html));
    for (const details of element.querySelectorAll("details")) if (open.has(details.id)) details.open = true;
    if (id === "open") byId("violations").hidden = !element.querySelector("li");
  }
  function announce() {  // one sentence for a new violation, none for those that were there
    const broken = new Map();
    for (const row of document.querySelectorAll("tr.violation")) {
      const figure = row.querySelector(".figure");
      broken.set(row.id, say("say.violation", { name: row.querySelector("th").firstChild.textContent, value: figure ? figure.textContent : "" }));
    }
    if (told) for (const [id, sentence] of broken) if (!told.has(id)) put(byId("speak"), sentence);
    told = new Set(broken.keys());
  }
  function apply(news) {
    nowUs = news.now_us; speed = news.speed; offsetS = news.offset_s; at = heard = performance.now();
    for (const [id, html] of Object.entries(news.rows || {})) exchange(id, html);
    for (const [id, moved] of Object.entries(news.values || {})) move(id, moved);
    for (const [id, html] of Object.entries(news.parts || {})) part(id, html);
    if (news.rows) {
      announce();
      byId("calm").hidden = bodies[0].children.length > 0;
      put(byId("calm-count"), String(bodies[1].children.length));
    }
    found();
    tick();
  }
  function whole(news) {
    if (news.beat_s) beatMs = news.beat_s * 1000;
    for (const row of document.querySelectorAll("tr[data-rank]")) if (!(row.id.slice(2) in news.rows)) row.remove();
    apply(news);
  }

  // --- the stream ---------------------------------------------------------------------------------------------------
  function lose() {
    if (lost) return;
    lost = true;
    document.body.classList.add("lost");
    banner.textContent = say("stream.lost", { time: clockOf(now() - (performance.now() - heard) * 1000 * speed) });
    banner.hidden = false;
  }
  function found() {
    if (lost || !banner.hidden) { lost = false; document.body.classList.remove("lost"); banner.hidden = true; }
  }
  function connect() {
    if (!window.EventSource) { poll(); return; }
    stream = new EventSource("/events");
    const hear = (name, take) => stream.addEventListener(name, event => { failures = 0; clearTimeout(polling); polling = 0; take(JSON.parse(event.data)); });
    hear("full", whole);
    hear("delta", apply);
    hear("beat", apply);
    stream.onerror = () => {
      failures += 1;
      if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
      if (failures > 1 && !polling) poll();
    };
  }
  function poll() {  // no stream gets through (a proxy, too many readers): the same news, less often
    polling = setTimeout(poll, POLL_MS);
    fetch("/full", { cache: "no-store" }).then(answer => answer.ok ? answer.json() : Promise.reject(answer.status)).then(whole).then(() => {
      banner.textContent = say("stream.none", {});
      banner.hidden = false;
      heard = performance.now() + POLL_MS;
    }).catch(() => lose());
  }
  function watch() { if (performance.now() - heard > 2 * beatMs) lose(); tick(); }

  announce();
  tick();
  setInterval(watch, 500);
  connect();
})();
