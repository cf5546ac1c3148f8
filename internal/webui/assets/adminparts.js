// What the pages for administrators have in common: their frame, tables that become
// cards, pages of long lists, links to users and accounts.

import { query } from "./api.js";
import { address as broken, h, say, show, icon, uid } from "./dom.js";
import { known, t } from "./i18n.js";
import { glyph, shownState } from "./list.js";
import { explain } from "./page.js";

export const codeWords = (code) => (known("code." + code) ? t("code." + code) : code);

export function page(title, ...content) {
  return h("div", { class: "page wide" }, h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, title)),
    content);
}

export function panel(title, ...content) {
  const id = uid("p");
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), content);
}

/** table is one whose rows become cards where there is little room, each value
 * with its column's name. The roles are said, as cards are no table to a browser. */
export function table(caption, columns, body) {
  body.setAttribute("role", "rowgroup");
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h("table", { class: "stacked", role: "table" }, h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns)), body));
}

export const th = (text, kind) => h("th", { scope: "col", role: "columnheader", class: kind }, text);

/** row is a row of a table; cells are [name of the column, content, class]. The
 * first is its heading. */
export function row(...cells) {
  return h("tr", { role: "row" }, cells.filter(Boolean).map(([name, content, kind], i) => (i === 0
    ? h("th", { scope: "row", role: "rowheader", class: kind }, content)
    : h("td", { role: "cell", class: kind, "data-label": name }, content))));
}

const at = (path, name) => path + encodeURIComponent(name);
export const userLink = (user) => h("a", { href: at("/admin/users/", user) }, broken(user));
export const accountLink = (a) => h("a", { href: at("/admin/accounts/", a.id) }, a.name);
export const serverLink = (host, port, text, more) =>
  h("a", { href: "/admin/accounts" + query({ host, port, ...more }) }, text);
export const serverName = (host, port) => (host.includes(":") ? "[" + host + "]" : host) + ":" + port;

/** stateWords is how an account is, said of its user. */
export const stateWords = (state) => t((known("admin.state." + state) ? "admin.state." : "state.") + state);

/** stateView says so with a picture. */
export function stateView() {
  const el = h("p", { class: "state" });
  return {
    el,
    update(a) {
      const state = shownState(a);
      if (el.dataset.state === state) return;
      el.dataset.state = state;
      el.replaceChildren(icon(glyph[state] || "info"), h("span", null, stateWords(state)));
    },
  };
}

/** address keeps what is filtered by in the address, so that it can be sent on. */
export function address(values) {
  history.replaceState(null, "", location.pathname + query(values));
}

/** pager walks through pages by cursors, remembering the way back. */
export function pager(load, shown) {
  const way = [];
  let next = null;
  const first = h("button", { type: "button", onclick: () => { way.length = 0; turn(); } }, t("quotas.first"));
  const prev = h("button", { type: "button", onclick: () => { way.pop(); turn(); } }, icon("back"), t("quotas.prev"));
  const more = h("button", { type: "button", onclick: () => { way.push(next); turn(); } }, t("quotas.more"),
    icon("open"));
  const words = h("p", { class: "hint", role: "status" });
  const el = h("nav", { class: "pager", "aria-label": t("quotas.page", { n: "" }).trim() }, first, prev, words, more);
  let stop = new AbortController();
  async function turn() {
    stop.abort();
    stop = new AbortController();
    el.setAttribute("aria-busy", "true");
    try {
      const answer = await load(way.at(-1) || "", stop.signal);
      next = answer.next_cursor;
      for (const [b, off] of [[first, !way.length], [prev, !way.length], [more, !next]]) {
        if (off && b === document.activeElement) words.focus();
        b.disabled = off;
        show(b, way.length || next);
      }
      show(words, answer.n || way.length);
      say(words, t("quotas.page", { n: way.length + 1 }) + " · " + t(shown, { n: answer.n }));
    } catch (e) { explain(e); } finally { el.removeAttribute("aria-busy"); }
  }
  words.tabIndex = -1;
  return { el, turn, restart() { way.length = 0; return turn(); }, leave() { stop.abort(); } };
}

