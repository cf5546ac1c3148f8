// Everybody's use and limits, for administrators.

import { get, patient, query } from "./api.js";
import { h, say, show, icon, uid } from "./dom.js";
import { count, size, t } from "./i18n.js";
import { labels, letters } from "./letters.js";
import { address, page, pager, panel, row, table, th, userLink } from "./adminparts.js";
import { fillBar, fullness, histogram } from "./chart.js";
import { bulk, defaults, userLimit } from "./limits.js";
import { explain } from "./page.js";

/** quotas is everybody's use and limits. */
export async function quotas() {
  const ui = build();
  const { running, search, domain, state } = ui;
  for (const el of [search, domain]) {
    el.addEventListener("input", () => { clearTimeout(ui.timer); ui.timer = setTimeout(() => look(ui), 250); });
  }
  state.addEventListener("change", () => { ui.filter.state = state.value; again(ui); });
  const picture = distribution();
  const standard = defaults(() => { again(ui); picture.draw(running.signal); });
  markSorted(ui);
  await Promise.all([ui.walk.turn(), picture.draw(running.signal), standard.draw(running.signal)]);
  const labelled = (input, text) => h("div", { class: "field" }, h("label", { for: input.id }, text), input);
  const heads = [...ui.heads.map((x) => x.el), th(t("quotas.accounts"), "num")];
  const el = page(t("quotas.title"),
    h("form", { class: "filters", role: "search", onsubmit: (e) => { e.preventDefault(); look(ui); } },
      labelled(search, t("quotas.search")), labelled(domain, t("quotas.domain")), labelled(state, t("quotas.state")),
      exporter(() => ui.filter, running, bulk(() => chosen(ui), () => again(ui)))),
    h("div", { class: "panel flush" }, table(t("quotas.title"), heads, ui.body), ui.none),
    ui.walk.el, panel(t("defaults.title"), standard.el), picture.el);
  return { el, title: t("quotas.title"), leave() { clearTimeout(ui.timer); ui.walk.leave(); running.abort(); } };
}

/** columns are those of the table that it can be sorted by. */
const columns = [
  ["user", "quotas.user"], ["used_bytes", "quotas.used", "num"], ["limit_bytes", "quotas.limit", "num"],
  ["usage", "quotas.fill"], ["used_messages", "quotas.messages", "num"],
];

/** build makes what the page consists of: the fields of the filter, the table, and what they stand for. */
function build() {
  const from = new URLSearchParams(location.search), part = (name) => from.get(name) || "";
  const filter = {
    query: part("query"), domain: part("domain"), state: part("state"), sort: part("sort") || "-usage",
  };
  const off = { autocomplete: "off", spellcheck: "false" };
  const ui = {
    filter, timer: 0, running: new AbortController(),
    walk: pager((cursor, signal) => load(ui, cursor, signal), "quotas.shown"),
    search: h("input", { type: "search", id: uid("q"), value: letters(filter.query), maxlength: "254", ...off }),
    domain: h("input", {
      type: "text", id: uid("q"), value: letters(filter.domain), maxlength: "253", autocapitalize: "off", ...off,
    }),
    state: h("select", { id: uid("q") },
      [["", "all"], ["over", "over"], ["near", "near"], ["ok", "ok"]].map(([v, k]) =>
        h("option", { value: v, selected: v === filter.state }, t("quotas.state." + k)))),
    body: h("tbody"), none: h("p", { class: "empty-row", hidden: true }, t("quotas.none")),
  };
  ui.heads = columns.map((column) => head(ui, ...column));
  return ui;
}

/** head is the head of a column, which sorts by it. */
function head(ui, key, word, kind) {
  const arrow = h("span", { class: "arrow", "aria-hidden": "true" });
  const title = t("quotas.sort", { column: t(word) });
  const onclick = () => {
    const up = key, down = "-" + key, { sort } = ui.filter;
    ui.filter.sort = sort === down ? up : sort === up ? down : key === "user" ? up : down;
    markSorted(ui);
    again(ui);
  };
  const button = h("button", { type: "button", class: "sort", title, onclick }, t(word), arrow);
  return { key, arrow, el: h("th", { scope: "col", role: "columnheader", class: kind }, button) };
}

/** markSorted shows by which column the table is sorted. */
function markSorted({ filter, heads }) {
  for (const x of heads) {
    const on = filter.sort.replace("-", "") === x.key, down = filter.sort.startsWith("-");
    if (on) x.el.setAttribute("aria-sort", down ? "descending" : "ascending"); else x.el.removeAttribute("aria-sort");
    say(x.arrow, on ? (down ? "▼" : "▲") : "");
  }
}

async function load({ body, filter, none }, cursor, signal) {
  const answer = await get("/v1/admin/quotas" + query({ ...filter, limit: 50, cursor }), signal);
  body.replaceChildren(...answer.quotas.map(line));
  show(none, !answer.quotas.length);
  return { ...answer, n: answer.quotas.length };
}

/** again shows the first page of what the filter chooses. */
function again({ filter, walk }) {
  address({ ...filter, sort: filter.sort === "-usage" ? "" : filter.sort });
  return walk.restart();
}

/** look filters by what was typed. */
function look(ui) {
  clearTimeout(ui.timer);
  ui.filter.query = labels(ui.search.value.trim());
  ui.filter.domain = labels(ui.domain.value.trim().replace(/^@/, ""));
  return again(ui);
}

/** chosen is what is filtered by, without what is empty. */
const chosen = ({ filter }) => Object.fromEntries(
  ["query", "domain", "state"].filter((k) => filter[k]).map((k) => [k, filter[k]]));

function line(q) {
  const used = h("span"), messages = h("span"), bar = fillBar(), mark = h("span", { class: "tag" });
  function update(now) {
    q = now;
    say(used, size(q.used_bytes));
    say(messages, count(q.used_messages) + (q.limit_messages === null ? "" : " / " + count(q.limit_messages)));
    bar.update(q);
    mark.className = "tag " + q.state;
    say(mark, t("quotas.state.word." + q.state));
    show(mark, q.state !== "ok");
  }
  const limit = userLimit(q, update);
  update(q);
  return row([t("quotas.user"), userLink(q.user)], [t("quotas.used"), used, "num"],
    [t("quotas.limit"), limit.el, "num limit"],
    [t("quotas.fill"), h("span", { class: "fill-cell" }, bar.el, mark)], [t("quotas.messages"), messages, "num"],
    [t("quotas.accounts"), q.accounts.length ? accountsLink(q) : "0", "num"]);
}

const accountsLink = ({ user, accounts }) => h("a", {
  href: "/admin/users/" + encodeURIComponent(user) + "#accounts",
  "aria-label": t("quotas.accounts.of", { n: accounts.length, user }),
}, count(accounts.length));

/** everyone follows the cursors through all pages, handing over each. */
async function everyone(filter, signal, each) {
  let cursor = "";
  do {
    const path = "/v1/admin/quotas" + query({ ...filter, limit: 500, cursor });
    const answer = await patient(() => get(path, signal), signal);
    each(answer.quotas);
    cursor = answer.next_cursor;
  } while (cursor);
}

/** quoted is a value as CSV has it; what a spreadsheet would take for a
 * formula is made text. */
function quoted(value) {
  let text = String(value ?? "");
  if (/^[=+\-@\t\r]/.test(text)) text = "'" + text;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

/** values are what the export says of one user. */
function values(q) {
  const f = fullness(q), percent = f === null ? "" : (f * 100).toFixed(1);
  return [
    q.user, q.used_bytes, q.limit_bytes, q.used_messages, q.limit_messages, q.state, percent, q.accounts.length,
  ];
}

function exporter(filter, running, beside) {
  const words = h("span", { class: "hint", role: "status" });
  const button = h("button", { type: "button" }, icon("save"), h("span", null, t("quotas.export")));
  let stop = null;
  button.addEventListener("click", async () => {
    if (stop) { stop.abort(); return; }
    stop = new AbortController();
    running.signal.addEventListener("abort", () => stop?.abort());
    say(button.lastChild, t("quotas.stop"));
    const lines = ["user,used_bytes,limit_bytes,used_messages,limit_messages,state,percent,accounts"];
    let n = 0;
    try {
      await everyone(filter(), stop.signal, (list) => {
        for (const q of list) lines.push(values(q).map(quoted).join(","));
        n += list.length;
        say(words, t("quotas.exporting", { n }));
      });
      const url = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv;charset=utf-8" }));
      h("a", { href: url, download: "mailbrook-quotas-" + new Date().toISOString().slice(0, 10) + ".csv" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      say(words, t("quotas.exported", { n }));
    } catch (e) {
      say(words, "");
      explain(e);
    } finally {
      stop = null;
      say(button.lastChild, t("quotas.export"));
    }
  });
  return h("div", { class: "export" }, beside, button, words);
}

/** distribution shows all users by how full they are. */
function distribution() {
  const place = h("div");
  return {
    el: panel(t("quotas.picture"), h("p", { class: "hint" }, t("quotas.picture.lead")), place),
    async draw(signal) {
      try {
        const q = await get("/v1/admin/quota-summary", signal);
        place.replaceChildren(histogram(q.bands.map((b) => b.users), q.unlimited));
      } catch (e) { explain(e); }
    },
  };
}
