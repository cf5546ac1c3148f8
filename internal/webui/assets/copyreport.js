// What came of a copy: its grade, what is not there and why, what to do next, and the messages concerned, by page.

import { get, query } from "./api.js";
import { h, icon, notice, put, show } from "./dom.js";
import { folderName, full, names, size, span, t } from "./i18n.js";
import { described } from "./account.js";
import { pager } from "./adminparts.js";
import { explain } from "./page.js";
import { ended } from "./copyparts.js";

/** lists are the states of messages that are listed. */
const lists = ["skipped", "missing", "altered", "moved_or_deleted"];

/** result is the part of a copy's page that is shown once it has ended. */
export function result(first) {
  const ui = {
    c: first, path: "/v1/copies/" + first.id, el: h("div", { class: "stack", hidden: true }), made: "", state: null,
    about: h("section", { class: "panel", "aria-labelledby": "result" }),
    listed: h("section", { class: "panel", "aria-labelledby": "messages" }), rows: h("ul", { class: "skipped" }),
  };
  ui.el.append(ui.about, ui.listed);
  ui.walk = pager((cursor, signal) => turn(ui, cursor, signal), "copies.shown");
  return { el: ui.el, update: (c) => update(ui, c) };
}

/** update shows the report again when it may be another one. */
function update(ui, c) {
  ui.c = c;
  show(ui.el, ended(c));
  const made = JSON.stringify([c.state, c.grade, c.ended_at, c.totals]);
  if (!ended(c) || made === ui.made) return;
  ui.made = made;
  load(ui);
}

async function load(ui) {
  try {
    draw(ui, await get(ui.path + "/report"));
  } catch (e) {
    if (e.code !== "report_not_ready" && e.status !== 404) explain(e);
    put(ui.about, h("h2", { id: "result", tabindex: "-1" }, t("copies.result")),
      h("p", { class: "hint" }, t("copies.result.none")), downloads(ui));
  }
  drawLists(ui);
}

const tones = { perfect: "good", good: "good", investigate: "warn", poor: "bad" };

function draw(ui, r) {
  const kind = tones[r.grade] || "info";
  const part = (key, ...content) => [h("h3", null, t("copies.report." + key)), content];
  const list = (items) => h("ul", { class: "dashed" }, items.map((x) => h("li", null, x)));
  const there = (r.messages.copied || 0) + (r.messages.already_there || 0);
  put(ui.about, h("h2", { id: "result", tabindex: "-1" }, t("copies.result")),
    notice(kind, t("copies.grade." + (r.grade || "none")), h("p", null, r.grade_text)),
    h("p", null, t("copies.report.there", { n: there }), " ", r.seconds > 0 && t("copies.report.took",
      { span: span(r.seconds) })),
    r.verified_at && h("p", { class: "hint" }, t("copies.report.verified." + r.verify, { when: full(r.verified_at) })),
    r.reasons.length > 0 && part("reasons", h("ul", { class: "reasons" }, r.reasons.map(reason))),
    r.rewritten && h("p", null, t("copies.report.rewritten")),
    r.keywords.length > 0 && part("keywords", h("ul", { class: "plain" }, r.keywords.map((k) => h("li", null,
      h("span", { class: "mono" }, k.keyword), h("span", { class: "num" }, t("messages", { n: k.messages })))))),
    r.left_out.length > 0 && part("left", h("p", { class: "folder-name" }, names(r.left_out.map(folderName)))),
    r.next_steps.length > 0 && part("next", list(r.next_steps)),
    r.not_included.length > 0 && h("details", { class: "detail" }, h("summary", null, t("copies.plan.left")),
      list(r.not_included.map((x) => x.text))),
    downloads(ui));
}

const reason = (x) => h("li", null, h("div", { class: "reason" }, h("span", { class: "strong" }, x.title),
  h("span", { class: "num" }, t("messages", { n: x.messages }))), h("p", { class: "hint" }, x.advice));

/** downloads are the report and the tables as files: the browser writes them as they come. */
function downloads(ui) {
  const file = (address, key) => h("a", { href: ui.path + address, download: "" }, icon("save"), t(key));
  return h("p", { class: "links" }, file("/report.csv", "copies.file.csv"), file("/report", "copies.file.json"),
    file("/manifest.csv", "copies.file.manifest"));
}

/** drawLists offers the lists that have something in them. */
function drawLists(ui) {
  const there = lists.filter((s) => ui.c.totals[s] > 0);
  show(ui.listed, there.length);
  if (!there.length) return;
  if (!there.includes(ui.state)) ui.state = there[0];
  const choose = (s) => {
    ui.state = s;
    for (const b of choice.children) b.setAttribute("aria-pressed", String(b.dataset.list === s));
    ui.walk.restart();
  };
  const choice = h("div", { class: "actions start", role: "group", "aria-label": t("copies.lists") }, there.map((s) =>
    h("button", {
      type: "button", class: "tile", "aria-pressed": String(s === ui.state), "data-list": s, onclick: () => choose(s),
    }, t("copies.list." + s, { n: ui.c.totals[s] }))));
  put(ui.listed, h("h2", { id: "messages", tabindex: "-1" }, t("copies.lists")), choice, ui.rows, ui.walk.el);
  ui.walk.restart();
}

async function turn(ui, cursor, signal) {
  const answer = await get(ui.path + "/messages" + query({ state: ui.state, limit: 50, cursor }), signal);
  put(ui.rows, answer.messages.map(message));
  return { ...answer, n: answer.messages.length };
}

function message(m) {
  const d = m.diagnosis;
  return h("li", null, h("div", null, described(m),
    h("p", { class: "hint" }, [
      size(m.size), m.target_folder && m.target_folder !== m.folder
        && t("account.folders.to", { folder: folderName(m.target_folder) }), m.subject && m.message,
    ].filter(Boolean).join(" · ")),
    d && h("p", null, d.title), d?.detail && h("p", { class: "mono", lang: "en" }, d.detail)));
}

