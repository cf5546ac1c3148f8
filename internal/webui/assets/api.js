// The REST API as the pages use it. There is no other way to the server.

/** Problem is an answer that says what went wrong (RFC 9457). */
export class Problem extends Error {
  constructor(status, body, wait) {
    super(body?.title || "HTTP " + status);
    this.status = status;
    this.code = body?.code || (status === 0 ? "offline" : "internal");
    this.body = body || {};
    this.wait = wait;
  }
}

let language = "en";
const listeners = new Set();

export function speak(l) { language = l; }

/** onExpired is called whenever the server says that nobody is signed in. */
export function onExpired(f) { listeners.add(f); }

/** call asks the server. A request that gets no answer is a Problem with the
 * status 0. */
export async function call(method, path, body, signal) {
  return read(await ask(method, path, body, signal, "application/json, application/problem+json"));
}

async function ask(method, path, body, signal, accept) {
  const headers = { Accept: accept, "Accept-Language": language };
  if (method !== "GET") headers["X-Mailbrook"] = "1";
  if (body !== undefined) {
    headers["Content-Type"] = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  }
  try {
    return await fetch(path, {
      method, headers, signal, credentials: "same-origin", cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Problem(0);
  }
}

async function read(answer) {
  if (answer.status === 204) return null;
  let value = null;
  try { value = await answer.json(); } catch (e) {
    if (e.name === "AbortError") throw e;
    if (answer.ok) throw new Problem(0);
  }
  if (answer.ok) return value;
  if (answer.status === 401) for (const f of listeners) f();
  throw new Problem(answer.status, value, Number(answer.headers.get("Retry-After")) || undefined);
}

/** stream posts and calls on(kind, value) for each event of the answer, in order. It returns the value of the
 * last one, "result"; a "problem" in its place is a Problem. */
export async function stream(path, body, on, signal) {
  const answer = await ask("POST", path, body, signal, "text/event-stream, application/json, application/problem+json");
  if (!answer.headers.get("Content-Type")?.startsWith("text/event-stream")) return read(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let text = ""; ;) {
      const { done, value } = await reader.read();
      if (done) break;
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const kind = /^event: (.*)$/m.exec(event)?.[1], data = /^data: (.*)$/m.exec(event)?.[1];
        if (!kind || !data) continue;
        if (kind === "result") return JSON.parse(data);
        if (kind === "problem") { const p = JSON.parse(data); throw new Problem(p.status, p); }
        on(kind, JSON.parse(data));
      }
    }
  } catch (e) {
    if (e instanceof Problem || e.name === "AbortError") throw e;
  } finally { reader.cancel().catch(() => {}); }
  throw new Problem(0);
}

export const get = (path, signal) => call("GET", path, undefined, signal);
export const post = (path, body, signal) => call("POST", path, body, signal);
export const patch = (path, body) => call("PATCH", path, body);

/** query makes the part of an address after "?" of what is given. */
export function query(values) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(values)) if (v !== undefined && v !== null && v !== "") q.set(k, v);
  const text = q.toString();
  return text ? "?" + text : "";
}

/** patient is for long rows of requests, which may be repeated: asked to slow down
 * it does, and a server that is away for a moment is waited for. */
export async function patient(request, signal) {
  for (let tries = 0; ; tries++) {
    try {
      return await request();
    } catch (e) {
      if (signal.aborted || !(e instanceof Problem) || tries > 5 || ![0, 429, 503].includes(e.status)) throw e;
      await new Promise((done) => setTimeout(done, (e.wait || 1) * 1000));
    }
  }
}
