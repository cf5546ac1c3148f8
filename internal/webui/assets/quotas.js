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
  const from = new URLSearchParams(location.search);
  const filter = { query: from.get("query") || "", domain: from.get("domain") || "", state: from.get("state") || "", sort: from.get("sort") || "-usage" };
  const search = h("input", { type: "search", id: uid("q"), value: letters(filter.query), maxlength: "254", autocomplete: "off", spellcheck: "false" });
  const domain = h("input", { type: "text", id: uid("q"), value: letters(filter.domain), maxlength: "253", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const state = h("select", { id: uid("q") }, [["", "all"], ["over", "over"], ["near", "near"], ["ok", "ok"]].map(([v, k]) => h("option", { value: v, selected: v === filter.state }, t("quotas.state." + k))));
  const body = h("tbody"), none = h("p", { class: "empty-row", hidden: true }, t("quotas.none"));
  const columns = [["user", "quotas.user"], ["used_bytes", "quotas.used", "num"], ["limit_bytes", "quotas.limit", "num"], ["usage", "quotas.fill"], ["used_messages", "quotas.messages", "num"]];
  const heads = columns.map(([key, word, kind]) => {
    const b = h("button", { type: "button", class: "sort", title: t("quotas.sort", { column: t(word) }) }, t(word), h("span", { class: "arrow", "aria-hidden": "true" }));
    const el = h("th", { scope: "col", role: "columnheader", class: kind }, b);
    b.addEventListener("click", () => {
      filter.sort = filter.sort === "-" + key ? key : filter.sort === key ? "-" + key : key === "user" ? key : "-" + key;
      sorted();
      again();
    });
    return { key, el, arrow: b.lastChild };
  });
  function sorted() {
    for (const x of heads) {
      const on = filter.sort.replace("-", "") === x.key, down = filter.sort.startsWith("-");
      if (on) x.el.setAttribute("aria-sort", down ? "descending" : "ascending"); else x.el.removeAttribute("aria-sort");
      say(x.arrow, on ? (down ? "▼" : "▲") : "");
    }
  }
  async function load(cursor, signal) {
    const answer = await get("/v1/admin/quotas" + query({ ...filter, limit: 50, cursor }), signal);
    body.replaceChildren(...answer.quotas.map(line));
    show(none, !answer.quotas.length);
    return { ...answer, n: answer.quotas.length };
  }
  const running = new AbortController(), picture = distribution();
  const walk = pager(load, "quotas.shown");
  function again() {
    address({ ...filter, sort: filter.sort === "-usage" ? "" : filter.sort });
    return walk.restart();
  }
  let timer = 0;
  const look = () => { clearTimeout(timer); filter.query = labels(search.value.trim()); filter.domain = labels(domain.value.trim().replace(/^@/, "")); return again(); };
  for (const el of [search, domain]) el.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 250); });
  state.addEventListener("change", () => { filter.state = state.value; again(); });
  /** chosen is what is filtered by, without what is empty. */
  const chosen = () => Object.fromEntries(["query", "domain", "state"].filter((k) => filter[k]).map((k) => [k, filter[k]]));
  const standard = defaults(() => { again(); picture.draw(running.signal); });
  sorted();
  await Promise.all([walk.turn(), picture.draw(running.signal), standard.draw(running.signal)]);
  const el = page(t("quotas.title"),
    h("form", { class: "filters", role: "search", onsubmit: (e) => { e.preventDefault(); look(); } },
      h("div", { class: "field" }, h("label", { for: search.id }, t("quotas.search")), search),
      h("div", { class: "field" }, h("label", { for: domain.id }, t("quotas.domain")), domain),
      h("div", { class: "field" }, h("label", { for: state.id }, t("quotas.state")), state),
      exporter(() => filter, running, bulk(chosen, again))),
    h("div", { class: "panel flush" }, table(t("quotas.title"), [...heads.map((x) => x.el), th(t("quotas.accounts"), "num")], body), none),
    walk.el, panel(t("defaults.title"), standard.el), picture.el);
  return { el, title: t("quotas.title"), leave() { clearTimeout(timer); walk.leave(); running.abort(); } };
}

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
  return row([t("quotas.user"), userLink(q.user)], [t("quotas.used"), used, "num"], [t("quotas.limit"), limit.el, "num limit"],
    [t("quotas.fill"), h("span", { class: "fill-cell" }, bar.el, mark)], [t("quotas.messages"), messages, "num"],
    [t("quotas.accounts"), q.accounts.length ? h("a", { href: "/admin/users/" + encodeURIComponent(q.user) + "#accounts", "aria-label": t("quotas.accounts.of", { n: q.accounts.length, user: q.user }) }, count(q.accounts.length)) : "0", "num"]);
}

/** everyone follows the cursors through all pages, handing over each. */
async function everyone(filter, signal, each) {
  let cursor = "";
  do {
    const answer = await patient(() => get("/v1/admin/quotas" + query({ ...filter, limit: 500, cursor }), signal), signal);
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

function exporter(filter, running, beside) {
  const words = h("span", { class: "hint", role: "status" });
  const button = h("button", { type: "button" }, icon("save"), h("span", null, t("quotas.export")));
  let stop = null;
  button.addEventListener("click", async () => {
    if (stop) { stop.abort(); return; }
    stop = new AbortController();
    running.signal.addEventListener("abort", () => stop?.abort());
    say(button.lastChild, t("quotas.stop"));
    const lines = [["user", "used_bytes", "limit_bytes", "used_messages", "limit_messages", "state", "percent", "accounts"].join(",")];
    let n = 0;
    try {
      await everyone(filter(), stop.signal, (list) => {
        for (const q of list) {
          const f = fullness(q);
          lines.push([q.user, q.used_bytes, q.limit_bytes, q.used_messages, q.limit_messages, q.state, f === null ? "" : (f * 100).toFixed(1), q.accounts.length].map(quoted).join(","));
        }
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
