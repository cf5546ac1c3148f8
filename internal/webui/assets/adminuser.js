// One user, and one account of a user, for administrators: all that there is to
// show without a secret, and what they can do.

import { get, post, query } from "./api.js";
import { address as broken, h, put, say, show, icon, announce, dialog, notice } from "./dom.js";
import { count, every, size, t } from "./i18n.js";
import { accountRow, accountTable, actions, reason } from "./admin.js";
import { codeWords, panel, serverLink, serverName, stateView, stateWords, userLink } from "./adminparts.js";
import { ours } from "./form.js";
import { days, fillBar } from "./chart.js";
import { userLimit } from "./limits.js";
import { explain, missing } from "./page.js";
import { exact } from "./bytes.js";
import { due, overdue, progressView, time } from "./list.js";

/** acts is a link to who did what to a user or an account. */
const acts = (about) => h("a", { href: "/admin/audit" + query(about) }, t("audit.title"));

const fact = (label, ...value) => h("div", null, h("dt", null, label), h("dd", null, value));

function frame(title, back, ...content) {
  return h("div", { class: "page wide" }, h("p", { class: "crumb" }, back), h("header", { class: "page-head" }, title),
    content);
}

/** watching asks again every few seconds while the page is looked at; a look that
 * fails is left out, as the next one comes soon. */
function watching(look) {
  const stop = new AbortController();
  const timer = setInterval(async () => {
    if (document.hidden || stop.signal.aborted) return;
    try { await look(stop.signal); } catch (e) { if (e.status === 401) clearInterval(timer); }
  }, 5000);
  return () => { stop.abort(); clearInterval(timer); };
}

/** user is one user: how full the mailbox is, the limit, the accounts. */
export async function user(name) {
  name = decodeURIComponent(name);
  const path = "/v1/admin/quotas/" + encodeURIComponent(name);
  const mine = "/v1/admin/accounts" + query({ user: name, limit: 500 });
  const box = space();
  // The accounts are there to be looked at although the mailbox is out of reach: then most of all.
  const measured = async (signal) => {
    try { box.update(await get(path, signal)); } catch (e) {
      if (e.code !== "local_mailbox_unavailable") throw e;
      box.fails(e);
    }
  };
  const [list] = await Promise.all([get(mine), measured()]);
  const body = h("tbody"), none = h("p", { class: "empty-row", hidden: true }, t("user.accounts.none"));
  function accounts(got) {
    put(body, got.map((a) => accountRow(a, false)));
    show(none, !got.length);
  }
  accounts(list.accounts);
  let shown = JSON.stringify(list.accounts);
  const leave = watching(async (signal) => {
    await measured(signal);
    const now = await get(mine, signal), text = JSON.stringify(now.accounts);
    if (text === shown || body.contains(document.activeElement)) return;
    shown = text;
    accounts(now.accounts);
  });
  const who = box.user() || name;
  const all = h("a", {
    href: "/v1/admin/users/" + encodeURIComponent(who) + "/export", download: "mailbrook-export.json",
  }, t("user.export"));
  const el = frame(
    [h("h1", { tabindex: "-1" }, who), h("p", { class: "export" }, acts({ user: who }), all)],
    h("a", { href: "/admin/quotas" }, icon("back"), t("quotas.title")),
    panel(t("user.space"), box.el),
    h("section", { class: "stack", id: "accounts", "aria-labelledby": "accounts-title" },
      h("h2", { id: "accounts-title", tabindex: "-1" }, t("quotas.accounts")),
      h("div", { class: "panel flush" }, list.accounts.length > 0 && accountTable(body, false), none)));
  return {
    el, title: who, leave,
    ready: () => { if (location.hash === "#accounts") el.querySelector("#accounts").scrollIntoView(); },
  };
}

/** space is how full a user's mailbox is; what is wrong with it stands before that, or in its place. */
function space() {
  const trouble = h("p", { class: "quota-state", hidden: true }), body = h("div", { class: "stack" });
  const told = (text) => { say(trouble, text || ""); show(trouble, Boolean(text)); };
  let use = null;
  return {
    el: h("div", { class: "stack" }, trouble, body),
    user: () => use?.user,
    fails: (e) => told(explain(e, true)),
    update(q) {
      told(q.mailbox_locked ? t("user.locked", { user: q.user }) : q.mailbox_missing && t("user.missing"));
      if (use) { use.draw(q); use.limit.update(q); } else put(body, (use = used(q)).el);
    },
  };
}

/** used is what a mailbox holds, of what it may hold. */
function used(first) {
  const bar = fillBar(), mark = h("span", { class: "tag" }), bytes = h("span"), messages = h("span");
  const parts = h("ul", { class: "plain" });
  const limit = userLimit(first, draw);
  const unknown = h("p", { class: "hint", hidden: true }, t("user.unknown"));
  function draw(q) {
    show(unknown, !q.used_messages && !q.used_bytes && !q.accounts.length && q.set.source !== "mailbrook");
    bar.update(q);
    mark.className = "tag " + q.state;
    say(mark, t("quotas.state.word." + q.state));
    say(bytes, size(q.used_bytes));
    const many = count(q.used_messages), limited = q.limit_messages !== null;
    say(messages, limited ? t("quota.messages", { used: many, limit: count(q.limit_messages) }) : many);
    const part = (a) => t("quotas.part", { messages: t("messages", { n: a.messages }), size: size(a.bytes) });
    put(parts, q.accounts.map((a) => h("li", null, h("span", null, a.name), h("span", { class: "num" }, part(a)))));
    show(parts, q.accounts.length);
  }
  draw(first);
  const el = [
    h("dl", { class: "evidence" }, fact(t("quotas.used"), bytes), fact(t("quotas.limit"), limit.el),
      fact(t("quotas.fill"), h("span", { class: "fill-cell" }, bar.el, mark)), fact(t("quotas.messages"), messages)),
    parts, unknown];
  return { el, draw, limit, user: first.user };
}

/** account is one account of whomever: settings, state and reason, visits, what was skipped. */
export async function account(id) {
  if (!/^[0-9a-f-]{36}$/.test(id)) return { el: missing(), title: t("page.missing.title") };
  const path = "/v1/admin/accounts/" + id;
  return mountAccount(await get(path), path);
}

/** mountAccount builds the page, and keeps it current. What is shown is in one object (ui), which every function below
 * is given. */
async function mountAccount(a, path) {
  const ui = {
    // The explanation that is shown, and where the list of skipped messages continues.
    a, path, shown: "", cursor: null,
    heading: h("h1", { tabindex: "-1" }), who: h("p", { class: "who" }), state: stateView(), progress: progressView(),
    why: h("section", { class: "panel why", "aria-labelledby": "why" }), settings: h("dl", { class: "evidence" }),
    history: h("div", { class: "stack" }), skipped: h("div", { class: "stack" }), listed: h("ul", { class: "skipped" }),
    act: actions(a, (next) => draw(ui, { ...ui.a, ...next })),
    more: h("button", { type: "button", onclick: () => showMore(ui) }, t("account.skipped.more")),
  };
  const probe = h("button", { type: "button", onclick: () => tested(path, ui.a) },
    icon("check"), t("admin.account.test"));
  draw(ui, a);
  await Promise.all([visits(ui), showSkipped(ui, "")].map((p) => p.catch((e) => explain(e))));
  const leave = watching(async (signal) => {
    const before = ui.a.status.last_attempt_at;
    draw(ui, await get(path, signal));
    if (ui.a.status.last_attempt_at !== before) await visits(ui, signal);
  });
  const title = [
    h("div", null, ui.heading, ui.who, ui.state.el),
    h("div", { class: "row-actions" }, ui.act.el, probe, acts({ account: a.id })),
  ];
  const el = frame(title, h("a", { href: "/admin/accounts" }, icon("back"), t("health.title")), ui.progress.el,
    h("div", { class: "columns" },
      h("div", { class: "stack" }, ui.why, panel(t("account.history"), ui.history),
        panel(t("account.skipped"), ui.skipped)),
      panel(t("account.settings"), ui.settings)));
  return { el, title: ui.a.user + ", " + ui.a.name, leave };
}

function draw(ui, next) {
  ui.a = next;
  say(ui.heading, next.name);
  put(ui.who, userLink(next.user), h("span", { class: "address" }, broken(next.email)),
    h("span", { class: "badge" }, t(next.protocol)));
  for (const part of [ui.state, ui.progress, ui.act]) part.update(next);
  explained(ui);
  put(ui.settings, settingsOf(next));
}

/** settingsOf are an account's settings, as a list of facts. */
function settingsOf(a) {
  const { host, port, security } = a.server, { totals } = a.status, { include, exclude } = a.folders;
  return [
    fact(t("health.user"), userLink(a.user)),
    fact(t("form.host"), serverLink(host, port, serverName(host, port))),
    fact(t("form.security"), t("form.security." + security)),
    fact(t("form.username"), a.username),
    fact(t("admin.account.auth"), t("admin.account.auth." + a.auth)),
    fact(t("admin.account.provider"), a.provider === "other" ? t("wizard.tiles.other") : a.provider),
    fact(t("form.folder"), a.folder),
    fact(t("admin.account.sender"), a.sender_name || "–"),
    fact(t("admin.account.interval"), every(a.poll_interval_seconds)),
    fact(t("admin.account.largest"), exact(a.max_message_bytes)),
    fact(t("admin.account.start"), begins(a.start)),
    include.length > 0 && fact(t("admin.account.include"), include.join(", ")),
    exclude.length > 0 && fact(t("admin.account.exclude"), exclude.join(", ")),
    fact(t("admin.account.added"), time(a.created_at)),
    fact(t("admin.account.edited"), time(a.updated_at)),
    fact(t("admin.account.fetched"),
      t("quotas.part", { messages: t("messages", { n: totals.messages }), size: size(totals.bytes) })),
  ];
}

/** explained says how the account is, and why. */
function explained(ui) {
  const { a, why } = ui, st = a.status, because = reason(a);
  const shown = JSON.stringify(
    [because, st.last_attempt_at, st.last_success_at, st.next_poll_at, st.state, a.enabled]);
  if (shown === ui.shown) return;
  ui.shown = shown;
  const grave = st.state === "needs_attention" ? "bad" : because ? "warn" : st.state === "ok" ? "good" : "info";
  put(why, h("h2", { id: "why" }, t("admin.account.why")),
    notice(grave, because?.title || stateWords(st.state),
      [because?.evidence, because?.advice].filter(Boolean).map((w) => h("p", null, w))),
    evidence(a));
}

/** evidence is the list of what is known of the visits. */
function evidence(a) {
  const st = a.status, { delay, diagnosis: d } = st;
  const at = (moment) => (moment ? time(moment) : t("never"));
  return h("dl", { class: "evidence" },
    fact(t("why.last"), at(st.last_attempt_at)),
    fact(t("why.success"), at(st.last_success_at)),
    fact(t("why.next"), a.enabled && st.next_poll_at ? due(st.next_poll_at) : t("why.none")),
    st.consecutive_failures > 0 && fact(t("why.failures"), count(st.consecutive_failures)),
    delay?.since && fact(t(overdue(delay) ? "why.due" : "why.since"), time(delay.since)),
    delay?.until && fact(t("admin.account.until"), time(delay.until)),
    d && fact(t("admin.account.code"), codeWords(d.code), h("small", { class: "mono" }, d.code)),
    d?.detail && h("div", { class: "whole" },
      h("dt", null, t(ours.has(d.code) ? "test.details" : "why.evidence")),
      h("dd", { class: "mono", lang: ours.has(d.code) ? undefined : "en" }, d.detail)));
}

async function visits({ history, path }, signal) {
  const { runs } = await get(path + "/runs?limit=200", signal);
  const open = [...history.querySelectorAll("details")].map((d) => d.open);
  const visit = (r) => h("li", null, time(r.started_at),
    h("span", { class: r.finished_at && !r.ok ? "bad" : "" }, outcome(r)));
  put(history, runs.length ? days(runs) : h("p", { class: "hint" }, t("account.history.empty")),
    runs.length > 0 && h("details", { class: "detail", open: true }, h("summary", null, t("account.history.visits")),
      h("ul", { class: "visits" }, runs.slice(0, 20).map(visit))));
  history.querySelectorAll("details").forEach((d, i) => { d.open = open[i] ?? d.open; });
}

async function showMore(ui) {
  ui.more.disabled = true;
  try { await showSkipped(ui, ui.cursor); } catch (e) { explain(e); }
  ui.more.disabled = false;
}

/** showSkipped adds one page of the messages that were skipped. */
async function showSkipped(ui, cursor) {
  const got = await get(ui.path + "/skipped" + query({ limit: 50, cursor }));
  ui.listed.append(...got.skipped.map((m) => skippedRow(ui.a, m)));
  ui.cursor = got.next_cursor;
  put(ui.skipped, ui.listed.children.length
    ? [h("p", { class: "hint" }, t("admin.account.skipped.private")), ui.listed]
    : h("p", { class: "hint" }, t("admin.account.skipped.none")), ui.cursor && h("p", null, ui.more));
}

function skippedRow(a, m) {
  const large = a.max_message_bytes && m.size > a.max_message_bytes;
  return h("li", null, h("div", null,
    h("p", { class: "strong" }, t("account.skipped.what", { message: m.message, folder: m.folder })),
    h("p", null, large
      ? t("account.skipped.large", { size: size(m.size), limit: size(a.max_message_bytes) })
      : size(m.size)),
    !large && m.detail && h("p", { class: "mono", lang: "en" }, m.detail),
    h("p", { class: "hint" }, m.next_at ? [t("why.next") + ": ", due(m.next_at)] : t("admin.account.notagain"))));
}

const begins = (start) =>
  (typeof start === "string" ? t("form.start." + start) : t("form.start.days", { n: start.days }));

function outcome(r) {
  if (!r.finished_at) return t("run.running");
  if (!r.ok) return t("run.failed", { title: r.diagnosis?.title || "" });
  return r.messages ? t("run.ok", { n: r.messages }) + ", " + t("run.size", { size: size(r.bytes) }) : t("run.none");
}

/** tested tries the account and shows each step, and what a failure means. */
async function tested(path, a) {
  const stop = new AbortController();
  const result = h("div", { class: "stack", role: "status" }, h("p", null, t("admin.account.testing")));
  const close = h("button", { type: "button", onclick: () => d.close() }, t("cancel"));
  const d = dialog({
    title: t("test.title", { email: a.email }), body: [result], actions: [close], onclose: () => stop.abort(),
  });
  try {
    const got = await post(path + "/test", undefined, stop.signal);
    put(result,
      h("ol", { class: "steps" }, got.steps.map((x) => h("li", { class: x.ok ? "done" : "failed" },
        h("span", { class: "mark" }, icon(x.ok ? "check" : "cross")), h("span", null, t("test." + x.name)),
        h("span", { class: "unseen" }, ": " + t(x.ok ? "test.done" : "test.failed")),
        h("small", null, count(x.millis) + " ms")))),
      got.ok ? notice("good", null, h("p", null, t("test.good", { n: got.messages })))
        : notice("bad", got.diagnosis.title, h("p", null, got.diagnosis.advice),
          got.diagnosis.detail && h("p", { class: "mono", lang: "en" }, got.diagnosis.detail)));
    say(close, t("close"));
    announce(got.ok ? t("test.good", { n: got.messages }) : got.diagnosis.title);
  } catch (e) {
    d.close();
    explain(e);
  }
}
