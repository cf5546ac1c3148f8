// What every page has at hand: who is signed in, the way to another page, and
// how something is said to people.

import { Problem } from "./api.js";
import { h, announce, dialog, icon, notice } from "./dom.js";
import { known, t } from "./i18n.js";

let session = null;
let message = null;
let render = null;

/** setSession remembers the session, or null; shownBy what shows the page that
 * the address names. Both are for the frame of the pages alone. */
export function setSession(now) { session = now; }
export function shownBy(show) { render = show; }

const told = (selector, name) => document.head.querySelector(selector)?.[name] || null;

/** brand is the operator's own: a name, and what else there is of it. */
export const brand = {
  name: told("meta[name=application-name]", "content"), logo: told("link[rel=logo]", "href"),
  help: told("link[rel=help]", "href"), privacy: told("link[rel=privacy-policy]", "href"),
};

/** safety says in two sentences what happens to a password, and leads to more. */
export function safety() {
  const title = t("wizard.safe.more");
  const more = brand.privacy
    ? h("a", { href: brand.privacy, target: "_blank", rel: "noopener" }, title)
    : h("button", { type: "button", class: "link", onclick: () => {
      const d = dialog({ title, body: h("p", null, t("wizard.safe.text")),
        actions: h("button", { type: "button", class: "primary", onclick: () => d.close() }, t("close")) });
    } }, title);
  return h("p", { class: "hint" }, t("wizard.safe"), " ", more);
}

export const user = () => session?.user;

/** go shows another page. A note is announced there. */
export function go(path, note, replace) {
  message = note || null;
  history[replace ? "replaceState" : "pushState"](null, "", path);
  return render(true);
}

/** flash is the note for the page that is shown now. */
export function flash() {
  const m = message;
  message = null;
  return m;
}

/** explain says a failure in words; silent returns them without saying them. */
export function explain(e, silent) {
  if (!(e instanceof Problem)) {
    if (e.name === "AbortError") return "";
    console.error(e);
  }
  if (e.status === 401) return "";
  let text = t("error.internal");
  if (e.status === 0) text = t("error.offline");
  else if (e instanceof Problem && known("error." + e.code)) text = t("error." + e.code);
  if (!silent) toast(text);
  return text;
}

/** toast shows a sentence for a while at the edge of the page. */
export function toast(text, kind = "bad") {
  document.querySelector(".toast")?.remove();
  const el = h("div", { class: "toast " + kind }, notice(kind, null, h("p", null, text)),
    h("button", { type: "button", class: "icon-button quiet", "aria-label": t("close"), onclick: () => el.remove() }, icon("cross")));
  document.querySelector("main").append(el);
  announce(text, kind === "bad");
  setTimeout(() => el.remove(), 12000);
}

/** missing is the page of an address that names none. */
export function missing() {
  return h("div", { class: "page narrow" }, h("h1", { tabindex: "-1" }, t("page.missing.title")), h("p", null, t("page.missing.text")),
    h("p", null, h("a", { href: "/" }, t("back.list"))));
}
