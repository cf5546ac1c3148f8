// One account: how it is and why, its folders, its visits, what was skipped.

import { get, post, query } from "./api.js";
import { h, put, say, icon, announce, notice } from "./dom.js";
import * as live from "./events.js";
import { count, date, folderName, full, size, t } from "./i18n.js";
import { explain, go, missing, toast } from "./page.js";
import { due, fetched, fetchNow, menu, overdue, pause, pauseSwitch, planned, progressView, remove, stateView, time } from "./list.js";
import { ours } from "./form.js";
import { days } from "./chart.js";
import { leave } from "./signin.js";

export async function page(id) {
  if (!/^[0-9a-f-]{36}$/.test(id)) return { el: missing(), title: t("page.missing.title") };
  let a = live.put(await get("/v1/accounts/" + id));
  const path = "/v1/accounts/" + id;
  const heading = h("h1", { tabindex: "-1" }), who = h("p", { class: "who" });
  const state = stateView(), progress = progressView(), paused = pauseSwitch(() => a);
  const now = h("button", { type: "button", class: "icon-button", onclick: () => fetchNow(a) }, icon("fetch"), h("span", null, t("card.fetch")));
  const edit = h("a", { class: "button icon-button", href: "/accounts/" + id + "/edit" }, icon("edit"), h("span", null, t("menu.edit")));
  const trash = h("button", { type: "button", class: "icon-button quiet bad", onclick: () => remove(a, (note) => go("/", note)) }, icon("trash"), h("span", null, t("menu.delete")));
  const why = h("section", { class: "panel why", "aria-labelledby": "why" });
  const folders = h("section", { class: "panel", "aria-labelledby": "folders" });
  const history = h("section", { class: "panel", "aria-labelledby": "history" });
  const skipped = h("section", { class: "panel", "aria-labelledby": "skipped" });
  const known = { folders: [], runs: [], skipped: [], total: null, more: null, quota: null };

  function draw() {
    say(heading, a.name);
    put(who, h("span", { class: "address" }, a.email), h("span", { class: "badge" }, t(a.protocol)), h("span", { class: "server muted" }, serverName(a.server)), fetched(a) && h("span", { class: "muted" }, fetched(a)));
    for (const part of [state, progress, paused]) part.update(a);
    now.disabled = a.status.state === "fetching" || !a.enabled;
    trash.setAttribute("aria-label", t("card.delete.of", { name: a.name }));
    explainDelay();
  }

  let shownWhy = "", asked = false; // For all that was skipped.
  function toSkipped(e) {
    e?.preventDefault();
    const to = document.getElementById("skipped");
    to.scrollIntoView();
    to.focus();
  }
  function explainDelay() {
    const because = reason(a, known);
    const left = known.folders.filter((f) => !f.selected).length;
    const shown = JSON.stringify([a.status, a.enabled, known.quota?.state, left, known.total, asked, a.status.progress.messages_total > 0 ? 0 : 1, document.documentElement.lang]
      .map((x) => (x?.progress ? { ...x, progress: 0 } : x)));
    if (shown === shownWhy) return;
    shownWhy = shown;
    const d = a.status.diagnosis, st = a.status, delay = st.delay;
    const fact = (label, ...value) => h("div", null, h("dt", null, label), h("dd", null, value));
    const troubled = d && ["ok", "retrying", "needs_attention"].includes(st.state); // A full mailbox is no answer of a server.
    const focused = why.contains(document.activeElement);
    put(why,
      h("h2", { id: "why" }, t("why.title")),
      known.total > 0 && notice("warn", t("why.skipped.first", { n: known.total }), h("p", null, t(asked ? "why.skipped.asked" : "why.skipped.how", { n: known.total })),
        h("p", { class: "actions start" }, h("a", { class: "button", href: "#skipped", onclick: toSkipped }, t("why.skipped.show")))),
      (because.kind !== "ok" || known.total === 0) && notice(tones[because.kind] || "info", because.title, because.words.map((w) => h("p", null, w))),
      because.help in helps && h("p", { class: "actions start" }, action(because.help)),
      h("dl", { class: "evidence" },
        fact(t("why.last"), st.last_attempt_at ? time(st.last_attempt_at) : t("never")),
        st.last_success_at !== st.last_attempt_at && fact(t("why.success"), st.last_success_at ? time(st.last_success_at) : t("never")),
        fact(t("why.next"), next(a)),
        st.consecutive_failures > 0 && fact(t("why.failures"), count(st.consecutive_failures)),
        delay?.since && fact(t(overdue(delay) ? "why.due" : "why.since"), time(delay.since)),
        known.quota?.limit_bytes != null && fact(t("why.quota"), t("quota.used", { used: size(known.quota.used_bytes), limit: size(known.quota.limit_bytes) })),
        left > 0 && fact(t("why.left"), t("folders", { n: left })),
        troubled && d.detail && h("div", { class: "whole" }, h("dt", null, t(ours.has(d.code) ? "test.details" : "why.evidence")), h("dd", { class: "mono", lang: ours.has(d.code) ? undefined : "en" }, d.detail))));
    if (focused) why.querySelector("button, a.button")?.focus();
  }
  function action(kind) {
    const label = t("why.button." + kind);
    if (kind === "fetch") return h("button", { type: "button", class: "primary", onclick: () => fetchNow(a) }, label);
    if (kind === "resume") return h("button", { type: "button", class: "primary", onclick: () => pause(a, true) }, label);
    if (kind === "sign_in" && a.auth === "oauth2") return h("button", { type: "button", class: "primary", onclick: () => leave(a.provider, { account_id: id }, "/accounts/" + id + "/edit") }, t("why.button.again"));
    return h("a", { class: "button primary", href: kind === "space" ? "/#space" : "/accounts/" + id + "/edit" + helps[kind] }, label);
  }

  async function load() {
    const part = (p) => p.catch((e) => { if (e.status !== 404 && e.status !== 401) explain(e); return null; });
    const [f, r, k, q] = await Promise.all([part(get(path + "/folders")), part(get(path + "/runs?limit=200")), part(get(path + "/skipped?limit=20")), part(get("/v1/quota"))]);
    if (f) known.folders = f.folders;
    if (r) known.runs = r.runs;
    if (k) { known.skipped = k.skipped; known.total = k.total; known.more = k.next_cursor; }
    known.quota = q;
    keeping(folders, drawFolders);
    keeping(history, drawHistory);
    keeping(skipped, drawSkipped);
    draw();
  }
  /** keeping redraws a part and leaves its folds as they are. */
  function keeping(el, f) {
    const open = [...el.querySelectorAll("details")].map((d) => d.open);
    f();
    el.querySelectorAll("details").forEach((d, i) => { d.open = open[i] ?? false; });
  }
  function drawFolders() {
    put(folders, h("h2", { id: "folders" }, t("account.folders")),
      known.folders.length ? tree(known.folders) : h("p", { class: "hint" }, t("account.folders.empty")));
  }
  function drawHistory() {
    put(history, h("h2", { id: "history" }, t("account.history")),
      known.runs.length ? days(known.runs) : h("p", { class: "hint" }, t("account.history.empty")),
      known.runs.length > 0 && h("details", { class: "detail" }, h("summary", null, t("account.history.visits")), h("ul", { class: "visits" }, known.runs.slice(0, 12).map((r) =>
        h("li", null, time(r.started_at), h("span", { class: r.finished_at && !r.ok ? "bad" : "" }, outcome(r)))))));
  }
  function drawSkipped() {
    put(skipped, h("h2", { id: "skipped", tabindex: "-1" }, t("account.skipped")),
      known.skipped.length > 0 && h("p", { class: "muted" }, known.skipped.every(large) ? t("account.skipped.large.advice") : known.skipped[0].advice),
      known.total > 1 && h("p", null, h("button", { type: "button", disabled: asked, onclick: askForAll }, t("account.skipped.all", { n: known.total }))),
      known.skipped.length ? h("ul", { class: "skipped" }, known.skipped.map(skippedRow)) : known.total === 0 && h("p", { class: "hint" }, t(a.status.last_success_at ? "account.skipped.none" : "account.skipped.unknown")),
      known.more && h("p", null, h("button", { type: "button", onclick: more }, t("account.skipped.more"))));
  }
  async function askForAll(e) {
    e.target.disabled = true;
    try {
      const { messages } = await post(path + "/skipped/retry");
      asked = true;
      toast(t("account.skipped.asked.all", { n: messages }), "good");
      await load();
      document.getElementById("skipped").focus();
    } catch (e2) { e.target.disabled = false; explain(e2); }
  }
  async function more(e) {
    const n = known.skipped.length;
    e.target.disabled = true;
    try {
      const next = await get(path + "/skipped" + query({ limit: 50, cursor: known.more }));
      known.skipped.push(...next.skipped);
      Object.assign(known, { more: next.next_cursor, total: next.total });
      draw();
      drawSkipped();
      skipped.querySelectorAll("li button")[n]?.focus();
    } catch (e2) { e.target.disabled = false; explain(e2); }
  }
  function large(m) { return a.max_message_bytes && m.size > a.max_message_bytes; }
  function skippedRow(m) {
    const tooLarge = large(m), again = "account.skipped." + (tooLarge ? "fetch" : "retry");
    const said = h("p", { class: "hint" }, m.next_at ? t("account.skipped.next", { when: planned(m.next_at) }) : tooLarge ? null : t("account.skipped.never"));
    const retry = h("button", { type: "button", "aria-label": t(again + ".of", { message: m.subject || m.message, folder: folderName(m.folder) }) }, t(again));
    retry.addEventListener("click", async () => {
      retry.disabled = true;
      try {
        await post(path + "/skipped/" + m.sid + "/retry");
        say(said, t("account.skipped.asked"));
        toast(t("account.skipped.asked"), "good");
      } catch (e) {
        retry.disabled = false;
        explain(e);
        if (e.status === 404) load();
      }
    });
    const described = m.sender || m.subject || m.date;
    const what = described
      ? [h("p", { class: "strong", dir: "auto" }, m.subject || t("account.skipped.nosubject")),
        h("p", { dir: "auto" }, [m.sender, m.date && h("time", { datetime: m.date, title: full(m.date) }, date(m.date))].filter(Boolean).flatMap((x, i) => (i ? [", ", x] : [x]))),
        h("p", { class: "hint" }, t("account.skipped.in", { folder: folderName(m.folder) }))]
      : h("p", { class: "strong" }, t("account.skipped.what", { message: m.message, folder: folderName(m.folder) }));
    return h("li", null, h("div", null, what,
      h("p", null, tooLarge ? t("account.skipped.large", { size: size(m.size), limit: size(a.max_message_bytes) }) : size(m.size)),
      !tooLarge && m.detail && h("p", { class: "mono", lang: "en" }, m.detail), said), retry);
  }

  draw();
  drawFolders();
  drawHistory();
  drawSkipped();
  const loading = load();
  const stop = live.follow((kind, changed) => {
    if (kind === "removed" && changed.id === id) { go("/", { text: t("delete.done", { name: a.name }), kind: "info" }, true); return; }
    const latest = live.account(id);
    if (!latest) return;
    const over = a.status.state === "fetching" && latest.status.state !== "fetching" || a.status.last_attempt_at !== latest.status.last_attempt_at;
    const other = a.status.state !== latest.status.state;
    a = latest;
    draw();
    if (other) announce(t("said.state", { name: a.name, state: t("state." + a.status.state) }));
    if (over && kind !== "progress") { asked = false; load(); }
  });
  await loading;
  const el = h("div", { class: "page" },
    h("p", { class: "crumb" }, h("a", { href: "/" }, icon("back"), t("back.list"))),
    h("header", { class: "page-head" }, h("div", null, heading, who, state.el), h("div", { class: "card-actions" }, paused.el, now, edit, trash)),
    progress.el,
    h("div", { class: "columns" }, h("div", { class: "stack" }, why, history, skipped), folders));
  el.querySelector(".page-head").addEventListener("contextmenu", (e) => {
    if (e.target.closest("button, a, input")) return;
    e.preventDefault();
    menu(a, e.clientX, e.clientY);
  });
  return { el, title: a.name, leave: stop, ready: () => { if (location.hash === "#skipped") toSkipped(); } };
}

/** serverName is where an account is visited. */
const serverName = ({ host, port }) => (host.includes(":") ? "[" + host + "]" : host) + ":" + port;

/** tones are how grave each reason is. */
const tones = { ok: "good", attention: "bad", backoff: "warn", partial: "warn", quota: "warn", outage: "warn", maintenance: "warn" };

/** helps are the buttons there are, and where on the page of settings they lead. */
const helps = { fetch: "", resume: "", space: "", sign_in: "#password", server: "#server", settings: "" };

/** reason says why an account's mail is not here: what the server says delays
 * it, else what is plain from its state; and the one button that helps. */
export function reason(a, known) {
  const st = a.status, d = st.delay;
  if (d) return { kind: d.kind, title: d.title, words: [d.evidence, d.advice].filter(Boolean), help: d.help };
  const plain = (kind, key, help) => ({ kind, title: null, words: [t(key)], help });
  if (st.state === "ok" && st.diagnosis) return { kind: "partial", title: st.diagnosis.title, words: [st.diagnosis.advice], help: "fetch" };
  if (known.quota?.state === "over") return plain("quota", "why.over_quota", "space");
  if (st.state === "fetching") return plain("fetching", "why.fetching", null);
  if (st.state === "pending") return plain("pending", "why.pending", null);
  const chosen = known.folders.some((f) => !f.selected && a.protocol !== "pop3") || (a.start ?? "all") !== "all";
  return plain("ok", chosen ? "why.ok.chosen" : a.protocol === "pop3" ? "why.ok.pop3" : "why.ok", null);
}

/** next is when the next visit comes, as far as anybody knows. */
function next(a) {
  const st = a.status, d = st.delay;
  if (!a.enabled) return t("why.none");
  if (d && overdue(d)) return t("why.turn");
  const at = d?.until || st.next_poll_at;
  return at ? due(at) : t(st.state === "fetching" ? "why.now" : "why.none");
}

function outcome(r) {
  if (!r.finished_at) return t("run.running");
  if (!r.ok) return t("run.failed", { title: r.diagnosis?.title || "" });
  return r.messages ? t("run.ok", { n: r.messages }) + ", " + t("run.size", { size: size(r.bytes) }) : t("run.none");
}

/** tree is the folders, each below the one that holds it. */
function tree(list) {
  const root = { below: new Map() };
  const sorted = [...list].sort((x, y) => (y.remote_name === "INBOX") - (x.remote_name === "INBOX") || x.remote_name.localeCompare(y.remote_name));
  for (const f of sorted) {
    let at = root;
    for (const part of f.remote_name.split("/")) {
      if (!at.below.has(part)) at.below.set(part, { name: part, below: new Map() });
      at = at.below.get(part);
    }
    at.folder = f;
  }
  return branch(root);
}

function branch(node) {
  return h("ul", { class: "tree" }, [...node.below.values()].map((n) => {
    const f = n.folder;
    return h("li", null, h("div", { class: f && !f.selected ? "left-out" : "" }, icon("folder"),
      h("span", { class: "folder-name" }, folderName(n.name)),
      f?.selected && h("span", { class: "num" }, t("account.folders.fetched", { fetched: count(f.fetched), total: count(Math.max(f.messages, f.fetched)) })),
      f && h("small", null, f.selected ? t("account.folders.to", { folder: f.local_name }) : t(f.shared ? "account.folders.shared" : "account.folders.left"))),
    n.below.size > 0 && branch(n));
  }));
}
