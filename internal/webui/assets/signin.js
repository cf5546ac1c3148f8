// Signing in on a provider's own page: the way there, and what comes back.

import { get, post } from "./api.js";
import { t } from "./i18n.js";
import { explain } from "./page.js";

/** framed says whether another site shows these pages in a frame. A provider's
 * page opens in none, and a browser that comes back to a window of its own
 * has another cookie there: the way begins in a new window then. */
const framed = window.top !== window;

const returns = "mailbrook.back";

/** leave takes the browser to the provider's page, and from there to a path. What was typed must have
 * been kept before. It says false, and says why, when that cannot be. */
export async function leave(provider, body, path) {
  try {
    if (path.startsWith("/accounts/")) sessionStorage.removeItem(returns); else sessionStorage.setItem(returns, path);
  } catch { /* There is no storage: it ends on the page for accounts then. */ }
  if (framed) {
    const w = window.open("about:blank", "_blank");
    try {
      const link = await post("/v1/links", { return_to: path });
      if (w) w.location.replace(link.url); else location.assign(link.url);
      return true;
    } catch (e) {
      w?.close();
      explain(e);
      return false;
    }
  }
  try {
    const on = await post("/v1/oauth/" + encodeURIComponent(provider) + "/start", body);
    location.assign(on.authorize_url);
    return true;
  } catch (e) {
    explain(e);
    return false;
  }
}

/** back is where somebody continues who has just come back from a provider's page to the one for accounts, which is
 * where the server sends everybody, and set out from another page; null otherwise. */
export function back() {
  if (!/^#grant=/.test(location.hash)) return null;
  try {
    const path = sessionStorage.getItem(returns);
    sessionStorage.removeItem(returns);
    return path && path + location.hash;
  } catch { return null; }
}

/** arrived is what the user allowed, when the browser has just come back with
 * it; null otherwise. One that is gone meanwhile is {gone: true}. The address
 * is cleared of it, so that a reload does not do things twice. */
export async function arrived() {
  const id = location.hash.match(/^#grant=([\w-]{43})$/)?.[1];
  if (!id) return null;
  history.replaceState(null, "", location.pathname);
  try {
    const g = await get("/v1/oauth/grants/" + id);
    return { id, email: g.email, name: g.provider_name, presets: g.presets };
  } catch (e) {
    if (e.status === 404) return { gone: true };
    throw e;
  }
}

/** fold is an address as the server compares it: only A to Z have two cases. */
const fold = (address) => address.trim().replace(/[A-Z]/g, (c) => c.toLowerCase());

/** differs says whether somebody else signed in there than is meant here. */
export const differs = (grant, email) => Boolean(grant?.email && fold(grant.email) !== fold(email));

/** signedInAs says who signed in, as far as the provider says. */
export const signedInAs = ({ name, email }) =>
  (email ? t("signedin.as", { name, email }) : t("signedin.there", { name }));
