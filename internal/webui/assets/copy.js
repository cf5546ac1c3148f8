// One copy, live: how it is, how far each folder is, what can be done; and what came of it (copyreport.js).

import { get } from "./api.js";
import { h, icon, notice, put } from "./dom.js";
import * as live from "./events.js";
import { count, folderName, size, t } from "./i18n.js";
import { time } from "./list.js";
import { explain, go, missing, toast } from "./page.js";
import {
  act, between, ended, merged, name, progressView, remove, stateView, sure, tell, untilLine,
} from "./copyparts.js";
import * as login from "./copylogin.js";
import { result } from "./copyreport.js";

/** most is how many folders are shown before somebody asks for the others. */
const most = 100;

export async function page(id) {
  if (!/^[0-9a-f-]{36}$/.test(id)) return { el: missing(), title: t("page.missing.title") };
  let c = null;
  try { c = await login.signedIn(id); } catch (e) { explain(e); }
  return mount(c || await get("/v1/copies/" + id));
}

/** mount builds the page, and shows the copy as it changes. What is known and shown of it is in one object (ui), which
 * every function below is given. */
async function mount(c) {
  const ui = build(c);
  draw(ui);
  const stop = live.follow((kind, value) => followed(ui, kind, value));
  const later = setInterval(() => { if (ui.stale && !document.hidden) load(ui); }, 4000);
  await load(ui);
  const el = h("div", { class: "page" },
    h("p", { class: "crumb" }, h("a", { href: "/copies" }, icon("back"), t("copies.title"))),
    h("header", { class: "page-head" }, h("div", null, ui.heading, ui.state.el, ui.until)),
    ui.progress.el, ui.advice, ui.login, ui.actions, ui.report.el,
    h("div", { class: "columns" }, ui.folders, ui.facts));
  return { el, title: name(c), leave: () => { stop(); clearInterval(later); } };
}

function build(c) {
  const section = (id) => h("section", { class: "panel", "aria-labelledby": id });
  return {
    c, path: "/v1/copies/" + c.id, known: [], stale: false, loading: false, every: false, asked: null, shown: "",
    heading: h("h1", { tabindex: "-1", class: "between" }, between(c)), state: stateView(), progress: progressView(),
    until: h("p", { class: "hint" }), advice: h("div", { class: "stack" }), login: h("div", { class: "stack" }),
    actions: h("div", { class: "actions start" }), folders: section("folders"), facts: section("facts"),
    report: result(c),
  };
}

/** draw shows how the copy is now. */
function draw(ui) {
  const { c } = ui;
  ui.state.update(c);
  ui.progress.update(c);
  untilLine(ui.until, c);
  drawFacts(ui);
  ui.report.update(c);
  const shown = JSON.stringify([c.state, c.reason, c.diagnosis, c.totals.skipped, c.totals.missing, ui.asked]);
  if (shown === ui.shown) return; // What has the focus stays.
  ui.shown = shown;
  put(ui.advice, advise(c));
  drawActions(ui);
  drawLogin(ui);
}

/** advise says what keeps a copy, and what to do. */
function advise(c) {
  const d = c.diagnosis, grave = ["needs_attention", "failed"].includes(c.state) ? "bad" : "warn";
  const key = c.state === "waiting" ? "copies.advice.waiting." + c.reason : "copies.advice." + c.state;
  if (d && !(ended(c) && c.state !== "failed")) {
    return notice(grave, d.side ? t("copies.side." + d.side, { why: d.title }) : d.title, h("p", null, d.advice),
      c.consecutive_failures > 1 && h("p", null, t("copies.failures", { n: c.consecutive_failures })),
      d.detail && h("details", { class: "detail" }, h("summary", null, t("test.details")),
        h("p", { class: "mono", lang: "en" }, d.detail)));
  }
  if (["completed", "completed_with_warnings"].includes(c.state)) return null; // The report says it.
  return h("p", { class: "hint" }, t(key));
}

/** button does something with the copy. */
function button(ui, what, kind, perform) {
  const b = h("button", { type: "button", class: kind }, t("copies.do." + what));
  b.addEventListener("click", async () => {
    b.disabled = true;
    try { await perform(b); } catch (e) { explain(e); } finally { b.disabled = false; }
  });
  return b;
}

/** plain has the server do something at once; where the passwords are gone, they are asked for first. */
const plain = (ui, what, kind) => button(ui, what, kind, () => perform(ui, what));

async function perform(ui, what) {
  if (login.erased(ui.c) && ended(ui.c)) { ask(ui, what); return; }
  try {
    const now = await act(ui.c, what);
    if (now) { ui.asked = null; taken(ui, now); load(ui); }
  } catch (e) { if (e.code !== "credentials_erased") throw e; ask(ui, what); }
}

/** ask has the passwords entered that something needs. */
function ask(ui, what) {
  ui.asked = what;
  draw(ui);
  ui.login.querySelector("input, button")?.focus();
}

function drawActions(ui) {
  const { c } = ui, again = c.totals.skipped + c.totals.missing > 0;
  const drop = button(ui, "delete", "quiet bad", () => remove(c, () => gone(ui)));
  const cancel = button(ui, "cancel", "", () => sure("cancel", { name: name(c) }, async () => {
    const now = await act(c, "cancel");
    if (now) taken(ui, now);
  }));
  const first = { queued: "pause", running: "pause", waiting: "resume", paused: "resume", needs_attention: "resume" };
  const shown = ended(c) ? [
    plain(ui, "sync", "primary"), again && plain(ui, "retry", ""), plain(ui, "verify", ""), drop,
  ] : [
    plain(ui, first[c.state], first[c.state] === "resume" && !login.wanted(c).length ? "primary" : ""),
    c.state === "waiting" && plain(ui, "pause", ""), cancel,
  ];
  const focused = ui.actions.contains(document.activeElement);
  put(ui.actions, shown);
  if (focused) ui.actions.querySelector("button").focus();
}

function drawLogin(ui) {
  const { c, asked } = ui, sides = asked ? login.all(c) : login.wanted(c);
  if (!sides.length) { put(ui.login); return; }
  const id = "login";
  put(ui.login, h("section", { class: "panel", "aria-labelledby": id },
    h("h2", { id, tabindex: "-1" }, t(asked ? "copies.password.erased" : "copies.password.refused")),
    login.form(c, sides, (now) => {
      ui.asked = null;
      toast(t("copies.password.saved"), "good");
      taken(ui, now);
      ui.actions.querySelector("button")?.focus();
      if (asked) perform(ui, asked).catch(explain);
    })));
}

/** taken shows a copy as an answer has it. */
function taken(ui, now) {
  tell(ui.c, now);
  ui.c = now;
  draw(ui);
}

const gone = (ui) => go("/copies", { text: t("copies.deleted") }, true);

/** followed shows what changed. */
function followed(ui, kind, value) {
  const { c } = ui;
  if (kind === "copy_removed" && value.copy_id === c.id) { gone(ui); return; }
  if (kind === "copy" && value.id === c.id) {
    const other = c.state !== value.state || c.phase !== value.phase;
    taken(ui, value);
    if (other) load(ui); else ui.stale = true;
  } else if (kind === "copy_progress" && value.copy_id === c.id) {
    ui.c = merged(c, value);
    ui.stale = true;
    draw(ui);
  } else if (kind === "list") reload(ui); // The connection was away.
}

async function reload(ui) {
  try { taken(ui, await get(ui.path)); } catch (e) { if (e.status === 404) gone(ui); return; }
  load(ui);
}

/** load asks how far each folder is. */
async function load(ui) {
  if (ui.loading) return;
  ui.loading = true;
  ui.stale = false;
  try {
    ui.known = (await get(ui.path + "/folders")).folders;
    drawFolders(ui);
  } catch (e) { if (e.status !== 404) explain(e); } finally { ui.loading = false; }
}

function drawFolders(ui) {
  const chosen = ui.known.filter((f) => f.selected), left = ui.known.filter((f) => !f.selected);
  const list = ui.every ? chosen : chosen.slice(0, most);
  const more = () => { ui.every = true; drawFolders(ui); ui.folders.querySelector("h2").focus(); };
  const open = ui.folders.querySelector("details")?.open, focused = ui.folders.contains(document.activeElement);
  put(ui.folders, h("h2", { id: "folders", tabindex: "-1" }, t("account.folders")),
    chosen.length ? h("ul", { class: "bars" }, list.map(folder)) : h("p", { class: "hint" }, t("copies.folders.none")),
    list.length < chosen.length && h("p", null,
      h("button", { type: "button", onclick: more }, t("copies.plan.all", { n: chosen.length }))),
    left.length > 0 && h("details", { class: "detail", open }, h("summary", null, t("copies.left", { n: left.length })),
      h("ul", { class: "dashed" }, left.map((f) => h("li", { class: "folder-name" }, folderName(f.source),
        f.shared && h("small", null, t("copies.shared")))))));
  if (focused) ui.folders.querySelector("h2").focus();
}

/** folder is one with its bar. */
function folder(f) {
  const title = folderName(f.source), at = f.copied + f.skipped;
  const label = t("progress.label", { name: title });
  const bar = h("progress", { max: String(Math.max(1, f.messages)), "aria-label": label });
  bar.value = f.messages ? Math.min(at, f.messages) : 1;
  return h("li", null, h("span", { class: "folder-name" }, title),
    h("span", { class: "num" }, t("progress.count", { done: count(f.copied), total: count(f.messages) })), bar,
    f.target !== f.source && h("small", null, t("account.folders.to", { folder: folderName(f.target) }),
      f.renamed && " · " + t("copies.renamed." + f.renamed)),
    f.skipped > 0 && h("small", { class: "warn-words" }, t("copies.skipped", { n: f.skipped })));
}

function drawFacts(ui) {
  const { c } = ui, sum = c.totals, fact = (label, ...value) =>
    h("div", null, h("dt", null, label), h("dd", null, value));
  const n = (key, value) => value > 0 && fact(t("copies.total." + key), count(value));
  put(ui.facts, h("h2", { id: "facts", tabindex: "-1" }, t("copies.facts")), h("dl", { class: "evidence" },
    fact(t("copies.total.messages"), count(sum.messages)), fact(t("copies.size"), size(sum.bytes)),
    n("already_there", sum.already_there), n("skipped", sum.skipped), n("missing", sum.missing),
    n("altered", sum.altered), n("moved_or_deleted", sum.moved_or_deleted), n("ambiguous", sum.ambiguous),
    fact(t("copies.begun.at"), c.started_at ? time(c.started_at) : t("copies.notyet")),
    c.ended_at && fact(t("copies.ended.at"), time(c.ended_at)),
    c.credentials_until && fact(t(login.erased(c) ? "copies.passwords.gone" : "copies.passwords.until"),
      time(c.credentials_until))));
}
