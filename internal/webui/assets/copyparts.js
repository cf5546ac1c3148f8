// What the list of copies and the page of one have in common: how one is, how far it has come, and what can be done.

import { call, post } from "./api.js";
import { address as broken, announce, dialog, h, icon, say, show } from "./dom.js";
import { count, folderName, size, span, t } from "./i18n.js";
import { due, timeLine } from "./list.js";
import { explain, toast } from "./page.js";

export const ended = (c) => ["completed", "completed_with_warnings", "failed", "cancelled"].includes(c.state);

const glyph = {
  queued: "clock", running: "fetch", waiting: "clock", paused: "pause", needs_attention: "warn", completed: "check",
  completed_with_warnings: "info", failed: "cross", cancelled: "cross",
};

/** looks are the states of accounts that look as those of copies do. */
const looks = {
  running: "fetching", waiting: "retrying", completed: "ok", completed_with_warnings: "partial",
  needs_attention: "needs_attention", failed: "needs_attention",
};

/** stateView says how a copy is, in the server's words. */
export function stateView() {
  const el = h("p", { class: "state" }), words = h("span");
  return {
    el,
    update(c) {
      if (el.dataset.copy !== c.state) {
        el.dataset.copy = c.state;
        el.dataset.state = looks[c.state] || c.state;
        el.replaceChildren(icon(glyph[c.state] || "info"), words);
      }
      say(words, c.title);
    },
  };
}

/** between says which mailbox is copied where. */
export const between = ({ source, target }) => [
  h("span", { class: "unseen" }, t("copies.from") + ": "), h("span", { class: "address" }, broken(source.email)),
  h("span", { "aria-hidden": "true" }, " → "),
  h("span", { class: "unseen" }, ", " + t("copies.to") + ": "), h("span", { class: "address" }, broken(target.email)),
];

/** name is a copy in one line. */
export const name = ({ source, target }) => t("copies.name", { from: source.email, to: target.email });

/** progressView shows how far a copy has come that has begun and has not ended. */
export function progressView() {
  const bar = h("progress", { max: "1" }), text = h("p", { class: "progress-text" });
  const el = h("div", { class: "progress", hidden: true }, bar, text);
  return {
    el,
    update(c) {
      const p = c.progress, on = !ended(c) && c.state !== "queued" && (c.state === "running" || p.messages_total > 0);
      show(el, on);
      if (!on) return;
      bar.setAttribute("aria-label", t("progress.label", { name: name(c) }));
      if (!p.messages_total) {
        bar.removeAttribute("value");
        say(text, "");
        return;
      }
      bar.max = p.messages_total;
      bar.value = Math.min(p.messages_done, p.messages_total);
      const running = c.state === "running", bytes = p.bytes_total === null
        ? size(p.bytes_done) : t("progress.count", { done: size(p.bytes_done), total: size(p.bytes_total) });
      say(text, [
        running && p.folder && folderName(p.folder),
        t("copies.done", { done: count(p.messages_done), n: p.messages_total }), p.bytes_done > 0 && bytes,
        running && p.messages_per_minute !== null && t("copies.rate", { n: p.messages_per_minute }),
        running && p.seconds_left !== null && t("progress.left", { span: span(p.seconds_left) }),
      ].filter(Boolean).join(" · "));
    },
  };
}

/** untilLine says when something that waits is tried again. */
export function untilLine(el, c) {
  const at = c.state === "waiting" ? c.until : c.state === "queued" ? c.options.start_at : null;
  show(el, Boolean(at));
  if (at) timeLine(el, "copies.until." + c.state, at, due);
}

/** act asks for something to be done with a copy, says that it is, and returns the copy, or null. */
export async function act(c, what, query = "") {
  try {
    const now = await post("/v1/copies/" + c.id + "/" + what + query);
    toast(t("copies.asked." + what), "good");
    return now;
  } catch (e) {
    if (e.code === "credentials_erased") throw e;
    explain(e);
    return null;
  }
}

/** sure asks before something is done that cannot be undone. */
export function sure(key, values, perform) {
  const bad = h("p", { class: "error", role: "alert" });
  const no = h("button", { type: "button", onclick: () => d.close() }, t("copies." + key + ".no"));
  const yes = h("button", { type: "button", class: "danger" }, t("copies." + key + ".yes"));
  const d = dialog({
    title: t("copies." + key + ".title", values), body: [h("p", null, t("copies." + key + ".text")), bad],
    actions: [no, yes],
  });
  yes.addEventListener("click", async () => {
    yes.disabled = true;
    try {
      await perform();
      d.close();
    } catch (e) {
      yes.disabled = false;
      if (e.status === 401) d.close(); else say(bad, explain(e, true));
    }
  });
}

/** remove forgets a copy; done is called when it is. */
export function remove(c, done) {
  sure("delete", { name: name(c) }, async () => {
    try {
      await call("DELETE", "/v1/copies/" + c.id);
    } catch (e) { if (e.status !== 404) throw e; }
    done();
  });
}

/** tell announces how a copy is, when that has changed. */
export function tell(before, now) {
  if (before && before.state !== now.state) announce(t("said.state", { name: name(now), state: now.title }));
}

/** merged is a copy with news of how far it is. */
export function merged(c, { copy_id: _, phase, ...progress }) {
  return { ...c, phase, progress };
}
