// What every page has at hand: who is signed in, the way to another page, and
// how something is said to people.

import { Problem } from "./api.js";
import { h, announce, dialog, icon, notice, put, show } from "./dom.js";
import { known, t } from "./i18n.js";

let session = null;
let message = null;
let render = null;

/** setSession remembers the session, or null; shownBy what shows the page that
 * the address names. Both are for the frame of the pages alone. */
export function setSession(now) { session = now; }
export function shownBy(show) { render = show; }

const given = (selector, name) => document.head.querySelector(selector)?.[name] || null;

/** brand is the operator's own: a name, and what else there is of it. */
export const brand = {
  name: given("meta[name=application-name]", "content"), logo: given("link[rel=logo]", "href"),
  help: given("link[rel=help]", "href"), privacy: given("link[rel=privacy-policy]", "href"),
};

/** way is how people sign in who have no link: imap, header, oidc or none. */
export const way = given("meta[name=signin]", "content") || "none";

/** safety says in two sentences what happens to a password, and leads to more; key is of both texts. */
export function safety(key) {
  const title = t("wizard.safe.more");
  const more = brand.privacy
    ? h("a", { href: brand.privacy, target: "_blank", rel: "noopener" }, title)
    : h("button", { type: "button", class: "link", onclick: () => {
      const d = dialog({ title, body: h("p", null, t(key + ".text")),
        actions: h("button", { type: "button", class: "primary", onclick: () => d.close() }, t("close")) });
    } }, title);
  return h("p", { class: "hint" }, t(key), " ", more);
}

export const user = () => session?.user;

/** copying says which mailboxes may be copied here: "off", none; "own", from or into the user's own; "any". */
export const copying = () => session?.copies ?? "own";

/** go shows another page. A note, {text, kind}, is shown and announced there. */
export function go(path, note, replace) {
  message = note || null;
  history[replace ? "replaceState" : "pushState"](null, "", path);
  return render(true);
}

/** flash is the note for the page that is about to be shown; arrive shows it there. */
export const flash = () => message;
export function arrive() {
  const m = message;
  message = null;
  if (m) toast(m.text, m.kind || "good");
}

/** toldOfUsers says whether an administrator reads of somebody else what users read of themselves. */
const toldOfUsers = (code) => location.pathname.startsWith("/admin") && known("admin.error." + code);

/** explain says a failure in words; silent returns them without saying them. */
export function explain(e, silent) {
  if (!(e instanceof Problem)) {
    if (e.name === "AbortError") return "";
    console.error(e);
  }
  if (e.status === 401) return "";
  let text = t("error.internal");
  if (e.status === 0) text = t("error.offline");
  else if (e instanceof Problem && known("error." + e.code)) {
    text = t((toldOfUsers(e.code) ? "admin.error." : "error.") + e.code);
  }
  if (!silent) toast(text);
  return text;
}

let fresh = false;

/** startAnew has the page for adding an account begin with nothing of what was typed before; startedAnew says once
 * whether it is to. */
export const startAnew = () => { fresh = true; };
export function startedAnew() {
  const was = fresh;
  fresh = false;
  return was;
}

let shown = 0;

/** toast shows a sentence for a while at the edge of the page, unless somebody is about to read it, and announces it to
 * people who listen. It returns what takes the sentence away when it holds no more. */
export function toast(text, kind = "bad") {
  const box = document.getElementById("toasts");
  const close = () => { clearTimeout(shown); put(box); show(box, false); };
  const el = h("div", { class: "toast " + kind }, notice(kind, null, h("p", null, text)),
    h("button", { type: "button", class: "icon-button quiet", "aria-label": t("close"), onclick: close },
      icon("cross")));
  const later = () => {
    clearTimeout(shown);
    shown = setTimeout(() => (el.matches(":hover, :focus-within") ? later() : close()), 12000);
  };
  put(box, el);
  show(box, true);
  announce(text, kind === "bad");
  later();
  return () => { if (el.isConnected) close(); };
}

/** quieten takes away what was shown for another page. */
export function quieten() {
  const box = document.getElementById("toasts");
  put(box);
  show(box, false);
}

/** missing is the page of an address that names none. */
export function missing() {
  return h("div", { class: "page narrow" }, h("h1", { tabindex: "-1" }, t("page.missing.title")),
    h("p", null, t("page.missing.text")),
    h("p", null, h("a", { href: "/" }, t("back.list"))));
}
