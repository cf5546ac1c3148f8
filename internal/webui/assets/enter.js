// The page of who is not signed in: a form, the way to where people sign in, or
// whom to ask.

import { post, Problem } from "./api.js";
import { h, announce, external, notice, put, show } from "./dom.js";
import { field, isAddress, password, problemFields } from "./form.js";
import { t } from "./i18n.js";
import { labels } from "./letters.js";
import { brand, explain, way } from "./page.js";

/** page shows what the operator's web.signin is. */
export function page() {
  if (way === "imap") return form();
  if (way === "header" && untried()) {
    location.replace(elsewhere());
    return shown(h("p", { class: "loading", role: "status" }, t("loading")));
  }
  if (way === "none") {
    return shown(h("p", null, t("signin.text")), h("p", null, t("signin.ask")),
      brand.help && h("p", null, external(brand.help, t("signin.help"), t("newtab"))));
  }
  return shown(h("p", null, t("signin.elsewhere")),
    h("div", { class: "actions start" },
      h("a", { class: "button primary", href: elsewhere(), target: "_self" }, t("signin.button"))));
}

const shown = (...parts) => ({
  el: h("div", { class: "page narrow" }, h("h1", { tabindex: "-1" }, t("signin.title")), parts),
  title: t("signin.title"),
});

const elsewhere = () => "/signin?return_to=" + encodeURIComponent(location.pathname);

/** untried says whether the proxy was not asked yet: a browser that keeps no
 * cookie, or somebody who has just signed out, is not sent around for ever. */
function untried() {
  try {
    if (sessionStorage.getItem(tried)) return false;
    sessionStorage.setItem(tried, "1");
    return true;
  } catch {
    return false;
  }
}

const tried = "mailbrook.tried";

function form() {
  const trouble = h("div", { hidden: true });
  const user = field({
    name: "user", label: t("signin.user"), type: "email", autocomplete: "username", maxlength: "254", required: true,
  });
  const pass = password({
    label: t("signin.password"), autocomplete: "current-password", maxlength: "1024", required: true,
  });
  const go = h("button", { type: "submit", class: "primary" }, t("signin.button"));
  const say = (text) => {
    put(trouble, notice("bad", null, h("p", null, text)));
    show(trouble, true);
    announce(text, true);
  };
  const forgive = () => { show(trouble, false); announce("", true); };
  for (const f of [user, pass]) f.input.addEventListener("input", forgive);
  let busy = false;
  const el = h("form", { novalidate: true, class: "panel", onsubmit: submit }, trouble, user.el, pass.el,
    h("p", { class: "hint" }, t("signin.safe")),
    h("div", { class: "actions" }, go));
  async function submit(e) {
    e.preventDefault();
    if (busy) return;
    forgive();
    user.fail(isAddress(user.input.value) ? "" : t("field.email"));
    pass.fail(pass.input.value ? "" : t("field.required"));
    const wrong = el.querySelector("[aria-invalid]");
    if (wrong) { wrong.focus(); return; }
    busy = true;
    go.setAttribute("aria-disabled", "true");
    go.textContent = t("signin.busy");
    try {
      const on = await post("/signin", {
        user: labels(user.input.value.trim()), password: pass.input.value, return_to: location.pathname,
      });
      location.assign(on.location);
      return;
    } catch (x) {
      const ours = ["sign_in_refused", "sign_in_unavailable", "rate_limited"];
      const detail = x instanceof Problem && ours.includes(x.code) && x.body.detail;
      const fields = problemFields(x);
      for (const [name, text] of fields) (name === "user" ? user : pass).fail(text);
      if (!fields.length) say(detail || explain(x, true));
      if (x.code === "sign_in_refused") pass.input.value = "";
      (fields[0]?.[0] === "user" ? user : pass).input.focus();
    }
    busy = false;
    go.removeAttribute("aria-disabled");
    go.textContent = t("signin.button");
  }
  return { ...shown(el), ready: () => user.input.focus() };
}
