// Building the page: elements, icons, dialogs, announcements. Text goes in as
// text nodes only, so that nothing a server says can become markup, and names of hosts
// in letters, except in what is shown word for word (class "mono").

import { letters } from "./letters.js";

/** h makes an element: h("p", {class: "x", onclick: f}, "text", child). */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** s makes an SVG element. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill(el, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else if (name === "value" && "value" in el) el.value = value;
    else el.setAttribute(name, value === true ? "" : texts.has(name) ? letters(String(value)) : value);
  }
  el.append(...shown(el, children));
  return el;
}

const texts = new Set(["title", "aria-label", "placeholder"]);

const verbatim = (el) => el.classList.contains("mono");

function shown(el, children) {
  const there = children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false);
  return verbatim(el) ? there : there.map((c) => (typeof c === "string" ? letters(c) : c));
}

/** address is one of mail, to be broken before its domain where there is no room for both. */
export const address = (text) => text.split(/(?<=@)/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));

/** put makes these, and nothing else, the children of an element; what is
 * null or false is left out. */
export function put(el, ...children) {
  el.replaceChildren(...shown(el, children));
}

/** say sets an element's text, only if it differs, so that readers are not disturbed. */
export function say(el, text) {
  const words = verbatim(el) ? text : letters(String(text));
  if (el.textContent !== words) el.textContent = words;
}

/** show hides or shows an element. */
export function show(el, on) {
  if (el.hidden === Boolean(on)) el.hidden = !on;
}

const paths = {
  add: "M12 5v14M5 12h14",
  fetch: "M20 11a8 8 0 1 0-2.300 6.300M20 5v6h-6",
  trash: "M4 7h16M10 11v6M14 11v6M6 7l1 13h10l1-13M9 7V4h6v3",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  open: "M9 6l6 6-6 6",
  back: "M15 6l-6 6 6 6",
  check: "M5 13l4 4L19 7",
  cross: "M6 6l12 12M18 6 6 18",
  warn: "M12 4 2.500 20h19zM12 10v4M12 17h.01",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 8h.01",
  pause: "M9 6v12M15 6v12",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2",
  dot: "M12 12h.01",
  folder: "M3 7a1 1 0 0 1 1-1h5l2 2h8a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z",
  mail: "M3 6h18v12H3zM3 7l9 7 9-7",
  full: "M4 5h16v14H4zM4 13h16M8 9h.01",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  out: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
};

/** icon is a picture beside words; readers do not hear it. */
export function icon(name, extra) {
  return s("svg", {
    class: "icon" + (extra ? " " + extra : ""), viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false",
  }, s("path", { d: paths[name] }));
}

let polite, urgent;

/** regions are where announcements are made; the page has them from the start. The last is for what is seen. */
export function regions(label) {
  polite = h("div", { class: "unseen", role: "status", "aria-live": "polite", id: "said" });
  urgent = h("div", { class: "unseen", role: "alert", id: "alert" });
  return [polite, urgent, h("section", { id: "toasts", "aria-label": label, hidden: true })];
}

/** announce says to people who listen what others see; no text clears what was said last. */
export function announce(text, now) {
  const region = now ? urgent : polite;
  region.replaceChildren(...(text ? [h("p", null, text)] : []));
}

/** dialog opens a modal dialog and returns it; it is gone when closed, and the
 * focus is back where it was. */
export function dialog({ title, body, actions, onclose, kind }) {
  const back = document.activeElement;
  const id = "d" + Math.random().toString(36).slice(2);
  const d = h("dialog", { class: "dialog" + (kind ? " " + kind : ""), "aria-labelledby": id },
    h("h2", { id, tabindex: "-1" }, title), body, h("div", { class: "actions" }, actions));
  d.addEventListener("close", () => {
    d.remove();
    // Unless it was led elsewhere meanwhile.
    if (back?.isConnected && document.activeElement === document.body) back.focus();
    onclose?.();
  });
  d.addEventListener("click", (e) => { if (e.target === d && !d.dataset.busy) d.close(); });
  document.body.append(d);
  d.showModal();
  return d;
}

/** steady has a press count although the page moves the button away under a
 * pointer that keeps still, and count once. */
export function steady(button) {
  let down = null, finger = null;
  const near = (a, b) => a && Math.hypot(b.clientX - a.clientX, b.clientY - a.clientY) < 10;
  const up = (e) => {
    if (!near(down, e)) down = null;
    setTimeout(() => { if (down) button.click(); }); // A mouse's own click comes before.
  };
  button.addEventListener("pointerdown", (e) => {
    down = e.isPrimary && e.button === 0 && e.pointerType !== "touch" ? e : null;
    if (down) document.addEventListener("pointerup", up, { once: true });
  });
  button.addEventListener("click", () => { down = null; });
  // After a finger the browser presses and focuses once more, as a mouse would, when the page may long have led the
  // user on to another field: what is typed there would be lost.
  const touched = (e) => { finger = e.touches.length === 1 ? e.touches[0] : null; };
  button.addEventListener("touchstart", touched, { passive: true });
  button.addEventListener("contextmenu", () => { finger = null; });
  button.addEventListener("touchend", (e) => {
    if (!e.cancelable || !near(finger, e.changedTouches[0])) return;
    e.preventDefault();
    button.click();
  });
  return button;
}

let counter = 0;

/** uid is an id that nothing else on the page has. */
export function uid(prefix) {
  counter += 1;
  return prefix + "-" + counter;
}

/** notice is a box with words: kind is bad, warn, good or info. */
export function notice(kind, title, ...body) {
  const pictures = { bad: "cross", warn: "warn", good: "check", info: "info" };
  return h("div", { class: "notice " + kind }, icon(pictures[kind]),
    h("div", null, title && h("p", { class: "strong" }, title), body));
}

/** external is a link to somebody else's page. */
export function external(url, text, hint) {
  let safe;
  try { safe = new URL(url); } catch { return null; }
  if (safe.protocol !== "https:" && safe.protocol !== "http:") return null;
  return h("a", { href: safe.href, target: "_blank", rel: "noopener noreferrer" }, text, icon("out", "small"),
    h("span", { class: "unseen" }, " " + hint));
}
