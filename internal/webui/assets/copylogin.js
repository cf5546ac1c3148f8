// New passwords for a copy: where one is refused, or where they were erased after its end.

import { patch } from "./api.js";
import { h, notice, put, show } from "./dom.js";
import { complain, failure, fieldFor, password } from "./form.js";
import { t } from "./i18n.js";
import { explain } from "./page.js";
import { arrived, leave } from "./signin.js";
import { query } from "./api.js";

/** wanted are the sides of a copy whose sign-in is asked for, as it is now. */
export function wanted(c) {
  const d = c.diagnosis;
  if (c.state !== "needs_attention" || !d?.side || c[d.side].protocol === "local") return [];
  return ["password", "email"].includes(fieldFor(d.code)) ? [d.side] : [];
}

/** erased says whether the passwords are gone. */
export const erased = (c) => Boolean(c.credentials_until) && Date.parse(c.credentials_until) <= Date.now();

/** all are the sides that are signed in to. */
export const all = (c) => ["source", "target"].filter((side) => c[side].protocol !== "local");

/** form asks for the sign-in of some sides; done is given the copy as it was saved. */
export function form(c, sides, done) {
  const trouble = h("div", { class: "trouble-box" }), fields = {};
  const typed = sides.filter((side) => c[side].auth !== "oauth2");
  for (const side of typed) {
    fields[side] = password({
      name: side, label: t("copies.password." + side, { email: c[side].email }), required: true, maxlength: "1024",
    });
  }
  const pages = sides.filter((side) => c[side].auth === "oauth2").map((side) => again(c, side));
  const go = h("button", { type: "submit", class: "primary" }, t("copies.password.save"));
  show(go, typed.length);
  const el = h("form", { novalidate: true }, trouble, typed.map((side) => fields[side].el), pages,
    typed.length > 0 && h("p", { class: "hint" }, t("copies.password.hint")), h("div", { class: "actions start" }, go));
  el.addEventListener("submit", async (e) => {
    e.preventDefault();
    put(trouble);
    const empty = typed.filter((side) => !fields[side].input.value).map((side) => [side, t("field.required")]);
    if (complain(fields, empty)) return;
    go.disabled = true;
    try {
      const body = Object.fromEntries(typed.map((side) => [side, { password: fields[side].input.value }]));
      done(await patch("/v1/copies/" + c.id, body));
    } catch (x) { refused(x, fields, trouble); } finally { go.disabled = false; }
  });
  return el;
}

/** refused says which sign-in failed, and why. */
function refused(e, fields, trouble) {
  const { diagnosis: d, side, errors } = e.body || {};
  if (d) put(trouble, failure(d, null, e.wait));
  else if (e.status !== 401 && !errors) put(trouble, notice("bad", t("error.title"), h("p", null, explain(e, true))));
  const wrong = d && side ? [[side, t("field.refused")]] : (errors || []).map((x) => [x.field, x.detail]);
  complain(fields, wrong);
}

/** again leads to the provider's own page. */
function again(c, side) {
  const button = h("button", { type: "button", class: "primary" }, t("copies.password.page", { email: c[side].email }));
  button.addEventListener("click", async () => {
    button.disabled = true;
    const path = "/copies/" + c.id + query({ side });
    if (!await leave(c[side].provider, { email: c[side].email }, path)) button.disabled = false;
  });
  return h("p", { class: "actions start" }, button);
}

/** signedIn takes what the user has just allowed on a provider's page for a copy, and returns the copy; null if nobody
 * comes from there. */
export async function signedIn(id) {
  const side = new URLSearchParams(location.search).get("side"), grant = await arrived();
  if (!grant || !["source", "target"].includes(side)) return null;
  if (grant.gone) throw new Error(t("signin.gone"));
  return patch("/v1/copies/" + id, { [side]: { grant: grant.id } });
}
