// The frame of the pages: who is signed in, which page is shown, in which
// language; and what is said when something fails anywhere.

import { call, get, onExpired, speak } from "./api.js";
import { h, s, say, show, regions, announce, dialog, notice } from "./dom.js";
import * as live from "./events.js";
import { letters } from "./letters.js";
import { choose, language, languages, t } from "./i18n.js";
import { page as listPage, ticking } from "./list.js";
import { arrive, brand, copying, explain, go, missing, quieten, shownBy, setSession, toast, way } from "./page.js";

let session = null;
let current = null;
let turn = 0;
let waiting = null; // The dialog that says that the session has ended.

/** routes are the pages by address; further whether one is for administrators alone, and whether it is for guests too,
 * who are not signed in. */
const routes = [
  [/^\/$/, () => listPage],
  [/^\/accounts\/new$/, async () => (await import("./wizard.js")).page],
  [/^\/accounts\/([^/]+)$/, async () => (await import("./account.js")).page],
  [/^\/accounts\/([^/]+)\/edit$/, async () => (await import("./edit.js")).page],
  [/^\/copies$/, async () => (await import("./copies.js")).page],
  [/^\/copies\/new$/, async () => (await import("./copywizard.js")).page],
  [/^\/copies\/status$/, async () => (await import("./copystatus.js")).page, false, true],
  [/^\/copies\/([^/]+)$/, async () => (await import("./copy.js")).page],
  [/^\/admin$/, async () => (await import("./admin.js")).overview, true],
  [/^\/admin\/quotas$/, async () => (await import("./quotas.js")).quotas, true],
  [/^\/admin\/users\/([^/]+)$/, async () => (await import("./adminuser.js")).user, true],
  [/^\/admin\/accounts\/([^/]+)$/, async () => (await import("./adminuser.js")).account, true],
  [/^\/admin\/audit$/, async () => (await import("./audit.js")).acts, true],
  [/^\/admin\/accounts$/, async () => (await import("./admin.js")).health, true],
];

function frame() {
  const nav = [["/", "nav.accounts"]];
  if (copying() !== "off") nav.push(["/copies", "nav.copies"]);
  if (session?.admin) {
    nav.push(["/admin", "nav.overview"], ["/admin/quotas", "nav.quotas"], ["/admin/accounts", "nav.health"],
      ["/admin/audit", "nav.audit"]);
  }
  const picker = h("select", { id: "language", "aria-label": t("language"), onchange: () => switchTo(picker.value) },
    languages.map(([code, name]) => h("option", { value: code, lang: code, selected: code === language() }, name)));
  return [
    h("a", {
      class: "skip", href: "#main",
      onclick: (e) => { e.preventDefault(); document.querySelector("main h1")?.focus(); },
    }, t("skip")),
    h("header", { class: "top" },
      h("div", { class: "top-in" },
        h("a", { class: "brand", href: "/" }, logo(), brand.name),
        session && h("nav", { "aria-label": t("nav") }, nav.map(([path, key]) =>
          h("a", { href: path, "aria-current": path === location.pathname ? "page" : undefined }, t(key)))),
        h("div", { class: "me" }, picker,
          session && h("span", { class: "who", title: t("signedin", { user: session.user }) }, session.user),
          session && h("button", { type: "button", class: "link", onclick: signOut }, t("signout"))))),
    h("p", { class: "offline", role: "status", hidden: true, id: "offline" }),
    h("main", { id: "main" }),
    (brand.help || brand.privacy) && h("footer", { class: "foot" },
      brand.help && h("a", { href: brand.help, target: "_blank", rel: "noopener" }, t("foot.help")),
      brand.privacy && h("a", { href: brand.privacy, target: "_blank", rel: "noopener" }, t("foot.privacy"))),
  ].filter(Boolean);
}

const wave = (y) => "M6 " + y + "c2.500 0 2.500 2 5 2s2.500-2 5-2 2.500 2 5 2 2.500-2 5-2";

function logo() {
  if (brand.logo) return h("img", { class: "logo own", src: brand.logo, alt: "" });
  return s("svg", { viewBox: "0 0 32 32", class: "logo", "aria-hidden": "true" },
    s("rect", { width: "32", height: "32", rx: "8" }), s("path", { class: "fold", d: "M6 10.500 16 18l10-7.500" }),
    s("path", { class: "waves", d: wave(18) + wave(23) }));
}

function switchTo(code) {
  current?.keep?.();
  speak(choose(code) || language());
  draw();
  live.respeak();
  render(false).then(() => document.getElementById("language")?.focus());
}

function draw() {
  const said = [...document.querySelectorAll("#said, #alert, #toasts")];
  document.body.replaceChildren(...frame(), ...(said.length ? said : regions(t("toasts"))));
}

/** render shows the page that the address names. */
async function render(moved) {
  const mine = ++turn;
  current?.leave?.();
  current = null;
  document.querySelector(".menu")?.remove();
  for (const d of document.querySelectorAll("dialog")) if (d !== waiting) d.remove();
  const main = document.querySelector("main");
  for (const a of document.querySelectorAll(".top nav a")) {
    const here = a.getAttribute("href") === location.pathname;
    if (here) a.setAttribute("aria-current", "page"); else a.removeAttribute("aria-current");
  }
  const slow = setTimeout(() => {
    if (mine === turn) main.replaceChildren(h("p", { class: "loading", role: "status" }, t("loading")));
  }, 250);
  main.setAttribute("aria-busy", "true");
  try {
    const shown = await find();
    clearTimeout(slow);
    if (mine !== turn) { shown.leave?.(); return; }
    current = shown;
    main.replaceChildren(shown.el);
    if (moved) quieten();
    arrive();
    titled(shown.title);
    if (moved) {
      scrollTo(0, 0);
      (main.querySelector("[data-focus]") || main.querySelector("h1"))?.focus({ preventScroll: true });
    }
    shown.ready?.();
  } catch (e) {
    clearTimeout(slow);
    if (mine !== turn) return;
    main.replaceChildren(failed(e));
    titled(t("error.title"));
  } finally {
    if (mine === turn) main.removeAttribute("aria-busy");
  }
}

async function find() {
  for (const [pattern, module, admin, guests] of routes) {
    const match = location.pathname.match(pattern);
    if (match && (session || guests) && (!admin || session.admin)) return (await module())(...match.slice(1));
  }
  if (!session) return (await import("./enter.js")).page();
  return { el: missing(), title: t("page.missing.title") };
}

function titled(text) {
  document.title = letters(text) + " · " + brand.name;
}

function failed(e) {
  if (e.status === 404) return missing();
  return h("div", { class: "page narrow", "data-failed": e.status === 401 ? undefined : "1" },
    h("h1", { tabindex: "-1" }, t("error.title")),
    e.status === 401 ? h("p", null, t("expired.title")) : notice("bad", null, h("p", null, explain(e, true))),
    h("p", null, h("button", { type: "button", onclick: () => render(true) }, t("again"))));
}

async function signOut() {
  try { await call("DELETE", "/v1/session"); } catch (e) { if (e.status !== 401) { explain(e); return; } }
  live.stop();
  try {
    sessionStorage.clear();
    sessionStorage.setItem("mailbrook.tried", "1"); // Who signs out is not signed in again unasked.
    sessionStorage.setItem("mailbrook.out", "1");
  } catch { /* There is none. */ }
  location.replace("/"); // A new document remembers nothing of what was typed.
}

/** expired leaves the page as it is and asks the user to sign in elsewhere. */
function expired() {
  if (waiting || !session) return;
  connected(); // The server answers: it is nobody's connection that is lost.
  const note = h("p", { class: "hint", role: "status" });
  const check = h("button", { type: "button", class: "primary", onclick: () => signedIn(note) }, t("expired.check"));
  for (const d of document.querySelectorAll("dialog")) d.close();
  const again = way !== "none" && h("a", { class: "button", href: "/", target: "_blank" }, t("signin.button"),
    h("span", { class: "unseen" }, " " + t("newtab")));
  waiting = dialog({
    title: t("expired.title"), body: [h("p", null, t(again ? "expired.own" : "expired.text")), note],
    actions: [again, check].filter(Boolean),
  });
  waiting.dataset.busy = "1";
  waiting.addEventListener("cancel", (e) => e.preventDefault());
  waiting.addEventListener("close", () => { waiting = null; });
}

/** signedIn looks whether somebody is signed in again, and who. */
async function signedIn(note) {
  let now;
  try {
    now = await get("/v1/session");
  } catch (e) {
    if (note) say(note, e.status === 401 ? t("expired.still") : explain(e, true));
    return;
  }
  if (now.user !== session.user) { location.assign("/"); return; }
  setSession(session = now);
  waiting?.close();
  live.start();
  announce(t("expired.back"));
  if (current?.el && !current.el.isConnected || !current) render(false);
}

document.addEventListener("click", (e) => {
  const a = e.target.closest?.("a[href^='/']");
  const meant = e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey; // For another window, or to be saved.
  if (!a || e.defaultPrevented || meant || a.target || a.hasAttribute("download")) return;
  e.preventDefault();
  go(a.getAttribute("href"));
});
window.addEventListener("popstate", () => render(true));
document.addEventListener("visibilitychange", () => { if (!document.hidden && waiting) signedIn(); });
window.addEventListener("focus", () => { if (waiting) signedIn(); });

let lost = 0;

/** connected clears the notice that the server does not answer, and returns whether it was shown. */
function connected() {
  const bar = document.getElementById("offline");
  clearTimeout(lost);
  lost = 0;
  const visible = Boolean(bar && !bar.hidden);
  if (visible) show(bar, false);
  return visible;
}

live.follow((kind) => {
  if (kind === "offline") {
    const bar = document.getElementById("offline");
    lost ||= setTimeout(() => { if (bar?.isConnected && !waiting) { say(bar, t("offline")); show(bar, true); } }, 1500);
  } else if (kind === "online") {
    if (connected()) announce(t("online"));
    if (document.querySelector("main [data-failed]")) render(false); // Nobody has to press for what is there again.
  }
});
setInterval(ticking, 5000);

/** tellSignedOut says, in the document that follows, that somebody has signed out. */
function tellSignedOut() {
  try {
    if (!sessionStorage.getItem("mailbrook.out")) return;
    sessionStorage.removeItem("mailbrook.out");
  } catch { return; }
  toast(t("signedout"), "good");
}

async function begin() {
  choose();
  speak(language());
  try {
    setSession(session = await get("/v1/session"));
    try { sessionStorage.removeItem("mailbrook.tried"); } catch { /* There is none. */ }
  } catch (e) {
    draw();
    if (e.status === 401) { await render(false); tellSignedOut(); return; }
    document.querySelector("main").replaceChildren(failed(e));
    setTimeout(begin, 3000);
    return;
  }
  draw();
  onExpired(expired);
  live.start();
  return render(false);
}

shownBy(render);
begin();
