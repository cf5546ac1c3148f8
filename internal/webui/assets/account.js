// One account: how it is and why, its folders, its visits, what was skipped.

import { get, post, query } from "./api.js";
import { address as broken, h, put, say, icon, announce, notice } from "./dom.js";
import * as live from "./events.js";
import { count, date, folderName, full, size, t } from "./i18n.js";
import { explain, go, missing, toast } from "./page.js";
import {
  due, fetched, fetchNow, menu, overdue, pause, pauseSwitch, planned, progressView, remove, stateView, time,
} from "./list.js";
import { ours } from "./form.js";
import { days } from "./chart.js";
import { leave } from "./signin.js";

export async function page(id) {
  if (!/^[0-9a-f-]{36}$/.test(id)) return { el: missing(), title: t("page.missing.title") };
  return mount(live.put(await get("/v1/accounts/" + id)));
}

/** mount builds the page, and shows the account as it changes. What is known and shown of it is in one object (ui),
 * which every function below is given. */
async function mount(a) {
  const ui = build(a);
  draw(ui);
  drawFolders(ui);
  drawHistory(ui);
  drawSkipped(ui);
  const loading = load(ui);
  const stop = live.follow((kind, changed) => followed(ui, kind, changed));
  await loading;
  const el = h("div", { class: "page" },
    h("p", { class: "crumb" }, h("a", { href: "/" }, icon("back"), t("back.list"))),
    h("header", { class: "page-head" }, h("div", null, ui.heading, ui.who, ui.state.el),
      h("div", { class: "card-actions" }, ui.paused.el, ui.now, ui.edit, ui.trash)),
    ui.progress.el,
    h("div", { class: "columns" }, h("div", { class: "stack" }, ui.why, ui.history, ui.skipped), ui.folders));
  el.querySelector(".page-head").addEventListener("contextmenu", (e) => {
    if (e.target.closest("button, a, input")) return;
    e.preventDefault();
    menu(ui.a, e.clientX, e.clientY);
  });
  return { el, title: ui.a.name, leave: stop, ready: () => { if (location.hash === "#skipped") toSkipped(); } };
}

function build(a) {
  const section = (id, kind = "panel") => h("section", { class: kind, "aria-labelledby": id });
  const ui = {
    a, id: a.id, path: "/v1/accounts/" + a.id,
    known: { folders: [], runs: [], skipped: [], total: null, more: null, quota: null },
    shownWhy: "", // What the explanation shows, so that it is drawn only when that changes.
    asked: false, // For all that was skipped.
    heading: h("h1", { tabindex: "-1" }), who: h("p", { class: "who" }),
    state: stateView(), progress: progressView(), paused: pauseSwitch(() => ui.a),
    now: h("button", { type: "button", class: "icon-button", onclick: () => fetchNow(ui.a) },
      icon("fetch"), h("span", null, t("card.fetch"))),
    edit: h("a", { class: "button icon-button", href: "/accounts/" + a.id + "/edit" },
      icon("edit"), h("span", null, t("menu.edit"))),
    trash: h("button", {
      type: "button", class: "icon-button quiet bad", onclick: () => remove(ui.a, (note) => go("/", note)),
    }, icon("trash"), h("span", null, t("menu.delete"))),
    why: section("why", "panel why"), folders: section("folders"), history: section("history"),
    skipped: section("skipped"),
  };
  return ui;
}

function draw(ui) {
  const { a } = ui, sum = fetched(a);
  say(ui.heading, a.name);
  put(ui.who, h("span", { class: "address" }, broken(a.email)), h("span", { class: "badge" }, t(a.protocol)),
    h("span", { class: "server muted" }, serverName(a.server)), sum && h("span", { class: "muted" }, sum));
  for (const part of [ui.state, ui.progress, ui.paused]) part.update(a);
  ui.now.disabled = a.status.state === "fetching" || !a.enabled;
  ui.now.title = a.enabled ? "" : t("card.fetch.paused");
  ui.trash.setAttribute("aria-label", t("card.delete.of", { name: a.name }));
  explainDelay(ui);
}

function toSkipped(e) {
  e?.preventDefault();
  const to = document.getElementById("skipped");
  to.scrollIntoView();
  to.focus();
}

/** explainDelay says why the mail is not here, or that all is well. */
function explainDelay(ui) {
  const { a, known, asked, why } = ui;
  const left = known.folders.filter((f) => !f.selected).length;
  const counted = a.status.progress.messages_total > 0;
  const shown = JSON.stringify([{ ...a.status, progress: 0 }, a.enabled, known.quota?.state, left, known.total, asked,
    counted, held(a, known), document.documentElement.lang]);
  if (shown === ui.shownWhy) return;
  ui.shownWhy = shown;
  const because = reason(a, known), n = known.total;
  const focused = why.contains(document.activeElement);
  put(why,
    h("h2", { id: "why", tabindex: "-1" }, t("why.title")),
    n > 0 && notice("warn", t("why.skipped.first", { n }),
      h("p", null, t(asked ? "why.skipped.asked" : "why.skipped.how", { n })),
      h("p", { class: "actions start" },
        h("a", { class: "button", href: "#skipped", onclick: toSkipped }, t("why.skipped.show")))),
    (because.kind !== "ok" || n === 0) && notice(tones[because.kind] || "info", because.title,
      because.words.map((w) => h("p", null, w))),
    because.help in helps && h("p", { class: "actions start" }, action(ui, because.help)),
    evidence(a, known.quota, left));
  if (focused) (why.querySelector("button, a.button") || why.querySelector("h2")).focus();
}

/** evidence is the list of what is known of the visits. */
function evidence(a, quota, left) {
  const st = a.status, { delay, diagnosis: d } = st;
  const fact = (label, ...value) => h("div", null, h("dt", null, label), h("dd", null, value));
  const at = (moment) => (moment ? time(moment) : t("never"));
  // A full mailbox is no answer of a server.
  const troubled = d && ["ok", "retrying", "needs_attention"].includes(st.state);
  return h("dl", { class: "evidence" },
    fact(t("why.last"), at(st.last_attempt_at)),
    st.last_success_at !== st.last_attempt_at && fact(t("why.success"), at(st.last_success_at)),
    fact(t("why.next"), next(a)),
    st.consecutive_failures > 0 && fact(t("why.failures"), count(st.consecutive_failures)),
    delay?.since && fact(t(overdue(delay) ? "why.due" : "why.since"), time(delay.since)),
    quota?.limit_bytes != null && fact(t("why.quota"),
      t("quota.used", { used: size(quota.used_bytes), limit: size(quota.limit_bytes) })),
    left > 0 && fact(t("why.left"), t("folders", { n: left })),
    troubled && d.detail && h("div", { class: "whole" },
      h("dt", null, t(ours.has(d.code) ? "test.details" : "why.evidence")),
      h("dd", { class: "mono", lang: ours.has(d.code) ? undefined : "en" }, d.detail)));
}

/** action is the button that helps. */
function action(ui, kind) {
  const { a, id } = ui;
  const label = t("why.button." + kind), edit = "/accounts/" + id + "/edit";
  const button = (text, onclick) => h("button", { type: "button", class: "primary", onclick }, text);
  if (kind === "fetch") return button(label, () => fetchNow(ui.a));
  if (kind === "resume") return button(label, () => pause(ui.a, true));
  if (kind === "sign_in" && a.auth === "oauth2") {
    return button(t("why.button.again"), () => leave(a.provider, { account_id: id }, edit));
  }
  return h("a", { class: "button primary", href: kind === "space" ? "/#space" : edit + helps[kind] }, label);
}

async function load(ui) {
  const { known, path } = ui;
  const part = (address) => get(address).catch((e) => {
    if (e.status !== 404 && e.status !== 401) explain(e);
    return null;
  });
  const [f, r, k, q] = await Promise.all(
    [path + "/folders", path + "/runs?limit=200", path + "/skipped?limit=20", "/v1/quota"].map(part));
  if (f) known.folders = f.folders;
  if (r) known.runs = r.runs;
  if (k) { known.skipped = k.skipped; known.total = k.total; known.more = k.next_cursor; }
  known.quota = q;
  keeping(ui.folders, () => drawFolders(ui));
  keeping(ui.history, () => drawHistory(ui));
  keeping(ui.skipped, () => drawSkipped(ui));
  draw(ui);
}

/** followed shows what changed. */
function followed(ui, kind, changed) {
  const { a, id } = ui;
  if (kind === "removed" && changed.id === id) {
    go("/", { text: t("delete.done", { name: a.name }), kind: "info" }, true);
    return;
  }
  const latest = live.account(id);
  if (!latest) return;
  const ended = a.status.state === "fetching" && latest.status.state !== "fetching";
  const over = ended || a.status.last_attempt_at !== latest.status.last_attempt_at;
  const other = a.status.state !== latest.status.state;
  ui.a = latest;
  draw(ui);
  if (other) announce(t("said.state", { name: latest.name, state: t("state." + latest.status.state) }));
  if (over && kind !== "progress") { ui.asked = false; load(ui); }
}

/** keeping redraws a part, and leaves its folds as they are and the focus where it was, or on the part's heading. */
function keeping(el, f) {
  const stops = () => [...el.querySelectorAll("h2, button, a, summary")];
  const open = [...el.querySelectorAll("details")].map((d) => d.open);
  const focused = el.contains(document.activeElement) ? stops().indexOf(document.activeElement) : -1;
  f();
  el.querySelectorAll("details").forEach((d, i) => { d.open = open[i] ?? false; });
  if (focused >= 0) (stops()[focused] || el.querySelector("h2")).focus();
}

function drawFolders({ folders, known }) {
  put(folders, h("h2", { id: "folders", tabindex: "-1" }, t("account.folders")),
    known.folders.length ? tree(known.folders) : h("p", { class: "hint" }, t("account.folders.empty")));
}

function drawHistory({ history, known: { runs } }) {
  const visit = (r) => h("li", null, time(r.started_at),
    h("span", { class: r.finished_at && !r.ok ? "bad" : "" }, outcome(r)));
  put(history, h("h2", { id: "history", tabindex: "-1" }, t("account.history")),
    runs.length ? days(runs) : h("p", { class: "hint" }, t("account.history.empty")),
    runs.length > 0 && h("details", { class: "detail" }, h("summary", null, t("account.history.visits")),
      h("ul", { class: "visits" }, runs.slice(0, 12).map(visit))));
}

function drawSkipped(ui) {
  const { a, asked, known: { skipped, total, more } } = ui;
  const none = t(a.status.last_success_at ? "account.skipped.none" : "account.skipped.unknown");
  const advice = () => (skipped.every((m) => large(a, m)) ? t("account.skipped.large.advice") : skipped[0].advice);
  put(ui.skipped, h("h2", { id: "skipped", tabindex: "-1" }, t("account.skipped")),
    skipped.length > 0 && h("p", { class: "muted" }, advice()),
    total > 1 && h("p", null, h("button", { type: "button", disabled: asked, onclick: (e) => askForAll(ui, e) },
      t("account.skipped.all", { n: total }))),
    skipped.length
      ? h("ul", { class: "skipped" }, skipped.map((m) => skippedRow(ui, m)))
      : total === 0 && h("p", { class: "hint" }, none),
    more && h("p", null, h("button", { type: "button", onclick: (e) => showMore(ui, e) }, t("account.skipped.more"))));
}

async function askForAll(ui, e) {
  e.target.disabled = true;
  try {
    const { messages } = await post(ui.path + "/skipped/retry");
    ui.asked = true;
    toast(t("account.skipped.asked.all", { n: messages }), "good");
    await load(ui);
    document.getElementById("skipped").focus();
  } catch (e2) { e.target.disabled = false; explain(e2); }
}

async function showMore(ui, e) {
  const { known } = ui, n = known.skipped.length;
  e.target.disabled = true;
  try {
    const page2 = await get(ui.path + "/skipped" + query({ limit: 50, cursor: known.more }));
    known.skipped.push(...page2.skipped);
    Object.assign(known, { more: page2.next_cursor, total: page2.total });
    draw(ui);
    drawSkipped(ui);
    ui.skipped.querySelectorAll("li button")[n]?.focus();
  } catch (e2) { e.target.disabled = false; explain(e2); }
}

/** large says whether a message was skipped for its size. */
const large = (a, m) => a.max_message_bytes && m.size > a.max_message_bytes;

function skippedRow(ui, m) {
  const { a } = ui, tooLarge = large(a, m), again = "account.skipped." + (tooLarge ? "fetch" : "retry");
  const when = m.next_at ? t("account.skipped.next", { when: planned(m.next_at) }) : null;
  const said = h("p", { class: "hint" }, when || (tooLarge ? null : t("account.skipped.never")));
  const about = { message: m.subject || m.message, folder: folderName(m.folder) };
  const retry = h("button", { type: "button", "aria-label": t(again + ".of", about) }, t(again));
  retry.addEventListener("click", () => retryOne(ui, m, retry, said));
  return h("li", null, h("div", null, described(m),
    h("p", null,
      tooLarge ? t("account.skipped.large", { size: size(m.size), limit: size(a.max_message_bytes) }) : size(m.size)),
    !tooLarge && m.detail && h("p", { class: "mono", lang: "en" }, m.detail), said), retry);
}

async function retryOne(ui, m, retry, said) {
  retry.disabled = true;
  try {
    await post(ui.path + "/skipped/" + m.sid + "/retry");
    say(said, t("account.skipped.asked"));
    toast(t("account.skipped.asked"), "good");
    const next = retry.closest("li").nextElementSibling?.querySelector("button");
    if (document.activeElement === document.body) (next || document.getElementById("skipped")).focus();
  } catch (e) {
    retry.disabled = false;
    explain(e);
    if (e.status === 404) load(ui);
  }
}

/** described says which message it is, by its subject, sender and date where they are known. */
export function described(m) {
  const folder = folderName(m.folder);
  if (!m.sender && !m.subject && !m.date) {
    return h("p", { class: "strong" }, t("account.skipped.what", { message: m.message, folder }));
  }
  const by = [m.sender, m.date && h("time", { datetime: m.date, title: full(m.date) }, date(m.date))].filter(Boolean);
  return [
    h("p", { class: "strong", dir: "auto" }, m.subject || t("account.skipped.nosubject")),
    h("p", { dir: "auto" }, by.flatMap((x, i) => (i ? [", ", x] : [x]))),
    h("p", { class: "hint" }, t("account.skipped.in", { folder })),
  ];
}

/** serverName is where an account is visited. */
const serverName = ({ host, port }) => (host.includes(":") ? "[" + host + "]" : host) + ":" + port;

/** tones are how grave each reason is. */
const tones = {
  ok: "good", attention: "bad", backoff: "warn", partial: "warn", quota: "warn", outage: "warn", maintenance: "warn",
};

/** helps are the buttons there are, and where on the page of settings they lead. */
const helps = { fetch: "", resume: "", space: "", sign_in: "#password", server: "#server", settings: "" };

/** reason says why an account's mail is not here: what the server says delays
 * it, else what is plain from its state; and the one button that helps. */
export function reason(a, known) {
  const st = a.status, d = st.delay;
  if (d) return { kind: d.kind, title: d.title, words: [d.evidence, d.advice].filter(Boolean), help: d.help };
  const plain = (kind, key, help) => ({ kind, title: null, words: [t(key)], help });
  if (st.state === "ok" && st.diagnosis) {
    return { kind: "partial", title: st.diagnosis.title, words: [st.diagnosis.advice], help: "fetch" };
  }
  if (known.quota?.state === "over") return plain("quota", "why.over_quota", "space");
  if (st.state === "fetching") return plain("fetching", "why.fetching", null);
  if (st.state === "pending") return plain("pending", "why.pending", null);
  const there = held(a, known), { messages } = st.totals;
  if (there !== null && there < messages) {
    const fetched = t("messages", { n: messages });
    const words = [t("why.elsewhere", { folder: a.folder, there: count(there), fetched }), t("why.elsewhere.again")];
    return { kind: "elsewhere", title: null, words, help: null };
  }
  const chosen = known.folders.some((f) => !f.selected && a.protocol !== "pop3") || (a.start ?? "all") !== "all";
  return plain("ok", chosen ? "why.ok.chosen" : a.protocol === "pop3" ? "why.ok.pop3" : "why.ok", null);
}

/** held is how many messages lie in the account's folder and below it, null where nobody knows. */
function held(a, known) {
  return known.quota?.accounts.find((x) => x.account_id === a.id)?.messages ?? null;
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
  const sorted = [...list].sort((x, y) =>
    (y.remote_name === "INBOX") - (x.remote_name === "INBOX") || x.remote_name.localeCompare(y.remote_name));
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
      f?.selected && h("span", { class: "num" },
        t("account.folders.fetched", { fetched: count(f.fetched), total: count(Math.max(f.messages, f.fetched)) })),
      f && h("small", null, f.selected
        ? t("account.folders.to", { folder: f.local_name })
        : t(f.shared ? "account.folders.shared" : "account.folders.left"))),
    n.below.size > 0 && branch(n));
  }));
}
