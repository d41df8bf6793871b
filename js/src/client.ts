/** The browser client of Doorward. */

import { ALONE, type Environment, browser, unlessAborted } from "./environment.ts";
import { DoorwardError, decideRenewal, readProblem, readRefusedCredential } from "./problems.ts";
import { type Answer, type News, type State, stateOf } from "./state.ts";
import { Tabs } from "./tabs.ts";
import type { Client, Credentials, Events, Listener, Options, Session } from "./types.ts";

export { DoorwardError, type Environment };
export type * from "./types.ts";

/** A call that takes longer than the server's grace is taken for lost. */
const ANSWERED_WITHIN = 10_000;
/** Seconds before its end in which a token is not relied on. */
const TOO_LATE = 5;
const SAFE = /^(GET|HEAD|OPTIONS)$/i;
/** What a page asks for that does not know yet whether anybody is signed in: no error where nobody is. */
const OPTIONAL = { optional: "true" };

/** Make the client.  One for each page: its tabs find each other by `base`. */
export function createClient(options: Options = {}): Client {
  const { carrier = "cookie", patience = 60 } = options;
  const byCookie = carrier === "cookie";
  const page = globalThis.location?.href;
  const env: Environment = { ...browser(), ...options, ...(byCookie ? {} : ALONE) };
  // A page that is rendered on a server has no cookies: nobody is signed in until the browser takes over.
  const rendering = page === undefined && byCookie && !options.fetch;
  const base = new URL(options.base ?? "/", page ?? "http://localhost").href.replace(/\/$/, "");
  const origins = new Set([base, ...(options.origins ?? [])].map((each) => new URL(each, page ?? base).origin));
  const foreign = page !== undefined && new URL(page).origin !== new URL(base).origin;
  const listeners: { [Name in keyof Events]: Set<Events[Name]> } = { started: new Set(), ended: new Set(), renewed: new Set() };
  const subscribers = new Set<() => void>();
  const tabs = new Tabs<News>(`doorward ${base}`, env, hear);

  let state: State | undefined;
  let known = false;
  let flight: { of: State | undefined; lands: Promise<void> } | undefined;
  /** Sessions that are over: news of them that was overtaken is no news. */
  const past = new Set<string>();

  // What is known, and who is told

  const snapshot = () => (known ? (state?.who ?? null) : undefined);

  /** Call each listener.  One that throws is reported, and keeps neither the others nor a renewal from going on. */
  function call<Arguments extends unknown[]>(these: Iterable<(...given: Arguments) => void>, ...given: Arguments): void {
    for (const each of [...these])
      try {
        each(...given);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
  }

  function become(next: State | undefined, reason?: string): void {
    const [before, seen] = [state, snapshot()];
    const same = before?.who.session.id === next?.who.session.id;
    // The times of a session move with each request: they are no news, and who shows it need not be drawn again.
    const kept = before && next && same && JSON.stringify(before.who.account) === JSON.stringify(next.who.account);
    [state, known] = [kept ? { ...next, who: before.who } : next, true];
    if (before && !next) past.add(before.who.session.id);
    if (before && !next) call(listeners.ended, before.who, reason);
    if (next && !same) call(listeners.started, next.who);
    if (next?.token && same && before?.token !== next.token) call(listeners.renewed, next.who);
    if (seen !== snapshot()) call(subscribers);
  }

  function share(next: State): void {
    become(next);
    // Whoever could listen is a script of this origin, and could as well ask the server as we do.
    tabs.tell({ state: next, left: left(next) });
  }

  /** The session is over by the server's word, or by ours. */
  function end(ended: State | undefined, reason?: string): void {
    // What came meanwhile is another session: a late answer to an old one says nothing about it.
    if (state !== ended) return;
    become(undefined, reason);
    if (ended) tabs.tell({ over: ended.who.session.id, reason });
  }

  function hear(news: News): void {
    if ("look" in news) return glance(true);
    if ("over" in news) {
      past.add(news.over);
      if (state?.who.session.id === news.over) become(undefined, news.reason);
      return;
    }
    const { id } = news.state.who.session;
    if (past.has(id) || (state?.who.session.id === id && left(state) >= news.left)) return;
    become({ ...news.state, since: env.now() - (news.state.lives - news.left) * 1000 });
  }

  const left = ({ lives, since }: State) => lives - (env.now() - since) / 1000;

  // Calls to Doorward

  async function ask(method: string, path: string, init: RequestInit = {}, as: State | undefined = undefined): Promise<any> {
    const headers = new Headers(init.headers);
    if (as) authenticate(headers, method, as);
    const request = { ...init, method, headers, signal: env.timeout(ANSWERED_WITHIN), redirect: "error" } as const;
    const response = await env.fetch(base + path, { ...request, credentials: byCookie ? "include" : "omit" }).catch((cause) => {
      throw Object.assign(new DoorwardError(0, {}), { cause });
    });
    if (!response.ok) throw await readProblem(response);
    try {
      const body = await response.text();
      return body ? JSON.parse(body) : undefined;
    } catch {
      throw new DoorwardError(0, {}); // cut off on its way
    }
  }

  const post = (path: string, body: object) =>
    ask("POST", path, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });

  function authenticate(headers: Headers, method: string, { token, csrf }: State): void {
    if (token) headers.set("authorization", `Bearer ${token}`);
    else if (csrf && !SAFE.test(method)) headers.set("x-csrf-token", csrf);
  }

  // Renewing

  /**
   * Make `state` newer than `stale`; one attempt at a time.  Throws where nothing could be learned.
   *
   * @param why the reason that was given when the session was refused: a cookie that is gone by now has none.
   */
  function renew(stale: State | undefined, why?: string): Promise<void> {
    if (!flight) {
      const lands = attempt(stale, why).finally(() => (flight = undefined));
      flight = { of: stale, lands };
    } else if (flight.of !== stale) {
      // It was about another session, and so says nothing about this one.
      return flight.lands.catch(() => undefined).then(() => (state === stale ? renew(stale, why) : undefined));
    }
    return flight.lands;
  }

  async function attempt(stale: State | undefined, why?: string): Promise<void> {
    const isNews = () => state !== stale || (!stale && known);
    const key = tabs.attempt();
    const until = env.now() + patience * 1000;
    for (let pause = 250; ; pause = Math.min(pause * 2, 4000)) {
      try {
        await tabs.alone(() => renewOnce(stale, key, why), isNews);
        return;
      } catch (error) {
        // Not under the lock: another tab may have better luck, and signing out must not wait for us.
        if (!(error instanceof DoorwardError) || decideRenewal(error) !== "wait") throw error;
        const wait = (error.retryAfter ?? 0) * 1000 + pause * (0.5 + env.random());
        if (env.now() + wait > until) throw error;
        await env.sleep(wait);
      }
      if (isNews()) return;
    }
  }

  async function renewOnce(stale: State | undefined, key: string, why?: string): Promise<void> {
    try {
      const since = env.now();
      const next = stale?.kind === "check" ? await check(stale, since) : await refresh(stale, key, since);
      tabs.settled(key);
      if (state !== stale) return;
      if (next) share(next);
      else become(undefined);
    } catch (error) {
      if (!(error instanceof DoorwardError) || decideRenewal(error) !== "over") throw error;
      tabs.settled(key);
      end(stale, error.reason ?? why);
      known = true;
    }
  }

  /** A new access token, for a refresh token that the cookie brings; `undefined` where nobody is signed in. */
  async function refresh(stale: State | undefined, key: string, since: number): Promise<State | undefined> {
    const more = stale ? stale.refresh && { refresh_token: stale.refresh } : OPTIONAL;
    const body = new URLSearchParams({ grant_type: "refresh_token", ...more });
    const headers = { "idempotency-key": key, ...(stale?.csrf && { "x-csrf-token": stale.csrf }) };
    const tokens: Answer | undefined = await ask("POST", "/v1/token", { body, headers });
    // No refresh cookie: a page that was just loaded does not know yet that its session travels in the other one.
    if (!tokens) return check(undefined, since);
    const who = stale?.who ?? (await ask("GET", "/v1/sessions/current", {}, stateOf(tokens, since, carrier)));
    return stateOf({ ...tokens, ...who }, since, carrier, stale);
  }

  /** Whether the session stands, where nothing can be renewed; `undefined` where nobody is signed in. */
  async function check(stale: State | undefined, since: number): Promise<State | undefined> {
    const who: Session | undefined = await ask("GET", `/v1/sessions/current${stale ? "" : `?${new URLSearchParams(OPTIONAL)}`}`, {}, stale);
    return who && { lives: 0, since, ...stale, who, kind: "check" };
  }

  /** The first call of a page: a reload has lost what memory held. */
  const restore = async () => known || (byCookie && !rendering ? renew(undefined) : become(undefined));

  /** Ask whether the session still stands: it may have ended while nobody looked at this tab. */
  async function look(orStarted = false): Promise<void> {
    const seen = state;
    if (!known || !byCookie) return;
    if (!seen) {
      if (orStarted) await tabs.alone(() => renewOnce(undefined, tabs.attempt()), () => !!state);
    } else if (seen.kind === "refresh" && left(seen) < TOO_LATE) await renew(seen);
    else
      try {
        const who: Session = await ask("GET", "/v1/sessions/current", {}, seen);
        if (state === seen) become({ ...seen, who });
      } catch (error) {
        // A token that is refused can perhaps be renewed.
        if (error instanceof DoorwardError && decideRenewal(error) === "over") await renew(seen, error.reason);
      }
  }

  /** Where nothing can be learned, the next request asks again. */
  const glance = (orStarted?: boolean) => void look(orStarted).catch(() => undefined);

  // What the application calls

  async function signIn({ email, password, label, remember }: Credentials): Promise<Session> {
    const more = { ...(label && { label }), ...(remember !== undefined && { remember }) };
    const start = async () => {
      const since = env.now();
      let next = stateOf(await post("/v1/sessions", { email, password, carrier, ...more }), since, carrier);
      if (byCookie && foreign) next = await proveCookie(next);
      share(next);
      return next.who;
    };
    return (await tabs.alone(start)) as Session;
  }

  /** Use the cookie at once: a browser that keeps none for this page would otherwise be found out in a quarter of an hour. */
  async function proveCookie(started: State): Promise<State> {
    const since = env.now();
    const key = tabs.attempt();
    try {
      const proved = await (started.kind === "check" ? check(started, since) : refresh(started, key, since));
      tabs.settled(key);
      return proved ?? started;
    } catch (error) {
      // Nothing learned: what is not settled, the next renewal goes on with.
      if (!(error instanceof DoorwardError) || decideRenewal(error) !== "over") return started;
      tabs.settled(key);
      await ask("DELETE", "/v1/sessions/current", {}, started).catch(() => undefined);
      throw new DoorwardError(0, {
        code: "cookie_not_kept",
        detail: `This browser keeps no cookie of ${base} for this page. "doorward doctor" says what works.`,
      });
    }
  }

  async function signOut(): Promise<void> {
    await restore();
    await tabs.alone(async () => {
      const ending = state;
      for (let tries = 0; ; tries++) {
        try {
          if (ending?.refresh) await ask("POST", "/v1/revoke", { body: new URLSearchParams({ token: ending.refresh }) });
          else await ask("DELETE", "/v1/sessions/current", {}, ending);
          break;
        } catch (error) {
          const means = decideRenewal(error as DoorwardError);
          if (means === "over") break;
          // An answer was lost, perhaps: ending what has ended does no harm.
          if (means === "refused" || tries === 2) throw error;
          await env.sleep(250 + 250 * env.random());
        }
      }
      end(ending, "signed_out");
    });
  }

  /** Renew what is about to run out.  Waits only where the token is not good for this request. */
  async function beFresh(): Promise<State | undefined> {
    await restore();
    if (state?.kind === "refresh" && left(state) < Math.max(state.lives * early, TOO_LATE)) {
      const renewed = renew(state);
      // Still good: the request does not wait, and whether this attempt fails is not its business.
      if (left(state) > TOO_LATE) renewed.catch(() => undefined);
      else await renewed;
    }
    return state;
  }

  async function fetchWith(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const given = input instanceof Request ? input : undefined;
    const url = new URL(given?.url ?? String(input), page ?? base);
    const own = new Headers(init?.headers ?? given?.headers);
    if (!origins.has(url.origin) || own.has("authorization")) return env.fetch(input, init);
    const signal = init?.signal ?? given?.signal;
    const used = await unlessAborted(beFresh(), signal);
    if (!used) return env.fetch(input, init);
    const again = given?.clone() ?? input;
    const send = (what: RequestInfo | URL, as: State) => {
      const headers = new Headers(own);
      authenticate(headers, init?.method ?? given?.method ?? "GET", as);
      return env.fetch(what, { ...init, headers, ...(!as.token && { credentials: "include" }) });
    };
    const response = await send(input, used);
    // Any other 401 is the application's own answer: it has acted on the request, perhaps.
    const refused = await readRefusedCredential(response);
    if (!refused) return response;
    await unlessAborted(renew(used, refused.reason), signal);
    // A stream has been read: there is nothing to send again.
    if (!state || init?.body instanceof ReadableStream) return response;
    await response.body?.cancel();
    return send(again, state);
  }

  /** A call of this API for the one who is signed in. */
  async function manage(method: string, path: string, body?: object): Promise<any> {
    const content = body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetchWith(base + path, { method, redirect: "error", signal: env.timeout(ANSWERED_WITHIN), ...content }).catch(
      (cause) => {
        throw cause instanceof DoorwardError ? cause : Object.assign(new DoorwardError(0, {}), { cause });
      },
    );
    if (!response.ok) throw await readProblem(response);
    return response.status === 204 ? undefined : response.json();
  }

  /** The part of a token's life in which it is renewed: another one in each tab, so that they do not all begin at once. */
  const early = 0.1 + 0.1 * env.random();

  function on<Name extends keyof Events>(name: Name, listener: Events[Name]): () => void {
    listeners[name].add(listener);
    return () => void listeners[name].delete(listener);
  }

  // A page that comes back, from another tab or from the back-forward cache, may have missed what happened meanwhile.
  const comeBack = (event: Event) => {
    if (event.type === "pageshow" ? (event as PageTransitionEvent).persisted : globalThis.document.visibilityState === "visible")
      glance();
  };
  globalThis.addEventListener?.("pageshow", comeBack);
  globalThis.document?.addEventListener("visibilitychange", comeBack);

  return {
    signIn,
    signUp: async ({ name, ...credentials }) => {
      const { email, password } = credentials;
      await post("/v1/accounts", { email, password, ...(name && { name }) });
      return signIn(credentials);
    },
    signOut,
    session: async () => {
      await restore();
      return state?.who ?? null;
    },
    snapshot,
    subscribe: (listener) => {
      subscribers.add(listener);
      return () => void subscribers.delete(listener);
    },
    onChange: (listener: Listener) => {
      const stops = [on("started", (session) => listener(session)), on("ended", (_, reason) => listener(null, reason))];
      return () => stops.forEach((stop) => stop());
    },
    on,
    fetch: fetchWith,
    token: async () => (await beFresh())?.token ?? null,
    sessions: async () => (await manage("GET", "/v1/sessions")).sessions,
    endSession: async (id) => {
      const before = state;
      await manage("DELETE", `/v1/sessions/${encodeURIComponent(id)}`);
      if (before?.who.session.id === id) end(before, "signed_out");
    },
    changePassword: async ({ current, next }) => {
      await manage("PUT", "/v1/password", { current_password: current, new_password: next });
      // Tokens of the old password are refused from now on.
      if (state?.kind === "refresh") await renew(state).catch(() => undefined);
    },
    dispose: () => {
      globalThis.removeEventListener?.("pageshow", comeBack);
      globalThis.document?.removeEventListener("visibilitychange", comeBack);
      for (const each of [subscribers, ...Object.values(listeners)]) each.clear();
      tabs.close();
    },
  };
}
