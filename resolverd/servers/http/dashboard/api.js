// Calls to the daemon. Whether it is there, and who we are to it, is kept here and told to whoever watches.

const watchers = new Set();

/** `there`: the daemon answers. `rights`: whether the session may see and change everything; null while that is unknown. */
export const link = { there: true, rights: null };

/** Be told of changes of `link`. */
export const watch = (told) => watchers.add(told);

function set(changes) {
  const before = JSON.stringify(link);
  Object.assign(link, changes);
  if (JSON.stringify(link) !== before) for (const told of watchers) told(link);
}

/** A call that came to nothing: `status` of the answer (0: there was none), and in words why. */
export class Failure extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Make a call; gives what its answer has. `given`: parameters of the query for GET and DELETE, else a JSON object. */
export async function call(method, path, given = {}, patience = 20) {
  const inQuery = method === "GET" || method === "DELETE";
  const wanted = Object.entries(given).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = inQuery ? String(new URLSearchParams(wanted)) : "";
  const options = { method, headers: { Accept: "application/json" }, signal: AbortSignal.timeout(1000 * patience), cache: "no-store" };
  if (!inQuery && wanted.length) {
    options.body = JSON.stringify(Object.fromEntries(wanted));
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(query ? `${path}?${query}` : path, options);
  } catch (error) {
    if (error.name === "TimeoutError") throw new Failure(0, `no answer in ${patience} s`);
    lost();
    throw new Failure(0, "resolverd does not answer");
  }
  set({ there: true });
  if (response.status === 401 && link.rights) set({ rights: false });
  const text = await response.text().catch(() => "");
  let document = null;
  try {
    document = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new Failure(response.status, "an answer that is no JSON");
  }
  if (!response.ok) throw new Failure(response.status, document?.detail ?? `HTTP ${response.status}`);
  return document;
}

export const get = (path, given, patience) => call("GET", path, given, patience);

/** A part of a path. */
export const part = (text) => encodeURIComponent(text);

// -- the session --------------------------------------------------------------------------------------------------------------

/** Find out whether there is a session. */
export async function whoami() {
  try {
    const answer = await get("/v1/session");
    set({ rights: answer.by !== null });
  } catch (failure) {
    if (failure.status) set({ rights: false });
  }
}

/** Begin a session. Throws Failure. */
export async function signIn(token) {
  await call("POST", "/v1/session", { token });
  set({ rights: true });
}

/** End it. */
export async function signOut() {
  await call("DELETE", "/v1/session").catch(() => null);
  set({ rights: false });
}

// -- a daemon that went away --------------------------------------------------------------------------------------------------

let wait = 1;
let waiting = null;

/** Try again, later and later, until it answers; half a minute is the longest that anybody waits for a page to wake up. */
function lost() {
  set({ there: false });
  if (waiting !== null) return;
  waiting = setTimeout(async () => {
    waiting = null;
    try {
      await get("/healthz", {}, 5);
      wait = 1;
      await whoami();
    } catch {
      wait = Math.min(30, 2 * wait);
      if (!link.there) lost();
    }
  }, 1000 * wait);
}

/** Seconds until the next try. */
export const nextTry = () => wait;

/** Do something now and every so many seconds; not while nobody looks, nor while the daemon is away. Gives what ends it. */
export function every(seconds, work) {
  let ended = false;
  let timer = null;
  const turn = async () => {
    clearTimeout(timer);
    if (!document.hidden && link.there) await work();
    if (!ended) timer = setTimeout(turn, 1000 * seconds);
  };
  const back = () => { if (!document.hidden && !ended) turn(); };
  let there = link.there;
  const told = () => {
    if (link.there && !there && !ended) turn();
    there = link.there;
  };
  document.addEventListener("visibilitychange", back);
  watch(told);
  turn();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", back);
    watchers.delete(told);
  };
}

/** Follow the live feed. `told`: by event name. `begun` is called when it is had, `broken` when it is not. Gives what ends it. */
export function follow(given, told, begun, broken) {
  const wanted = Object.entries(given).filter(([, value]) => value);
  const source = new EventSource(`/v1/events?${new URLSearchParams(wanted)}`);
  for (const [name, act] of Object.entries(told)) source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    broken(source.readyState === EventSource.CLOSED);
    whoami();
  });
  source.addEventListener("open", begun);
  return () => source.close();
}
