/** The browser client of Doorward. */

import { makeClock } from "./clock.ts";
import { DoorwardError, decideRenewal, readProblem } from "./problems.ts";
import { type Environment, Tabs } from "./tabs.ts";

export { DoorwardError, type Environment };

export interface Account {
  readonly id: string;
  readonly email: string;
  readonly email_verified: boolean;
  readonly name: string | null;
  readonly roles: readonly string[];
  readonly created_at: string;
}

export interface Session {
  readonly account: Account;
  /** As `GET /v1/sessions/current` told it when it was last asked. */
  readonly session: Readonly<Record<string, unknown>> & { readonly id: string };
}

export interface Options extends Partial<Environment> {
  /** Where Doorward is, such as `https://api.example.com` or `/auth`.  By default the page's own origin. */
  base?: string;
  /** Further origins whose requests get the access token.  The origin of `base` always does. */
  origins?: readonly string[];
  /**
   * `cookie`: a reload keeps the session, and the refresh token is out of every script's reach.  `token`: it lives in
   * this page's memory, for a page that is not on the site of `base`, and for the strategy `jwt`; a reload signs out.
   */
  carrier?: "cookie" | "token";
  /** For how many seconds a renewal is tried again while the server does not answer. */
  patience?: number;
}

/** Told of the session when it starts, ends (`null`, with why), or is replaced, in whichever tab. */
export type Listener = (session: Session | null, reason?: string) => void;

export interface Client {
  /**
   * Sign in.  Throws `DoorwardError`: its `code` is `invalid_credentials` where the password is wrong, and
   * `cookie_not_kept` where the page is on another site than `base` and the carrier is `cookie`.
   */
  signIn(credentials: { email: string; password: string; label?: string; remember?: boolean }): Promise<Session>;
  /** Make an account and sign in.  Throws `DoorwardError`: `email_taken`, `weak_password` with `problem.advice`. */
  signUp(details: { email: string; password: string; name?: string; label?: string; remember?: boolean }): Promise<Session>;
  /** End the session here and on the server.  Throws where the server cannot be reached: then it has not ended. */
  signOut(): Promise<void>;
  /** Who is signed in.  The first call asks the server, since a reload has lost what memory held. */
  session(): Promise<Session | null>;
  /** Returns what ends the subscription. */
  onChange(listener: Listener): () => void;
  /** As `fetch`, with the access token on requests to the allowed origins, and one repetition after a 401. */
  readonly fetch: typeof fetch;
}

/** What this tab knows.  Replaced, never changed: `===` tells whether there is news. */
interface State {
  readonly who: Session;
  /** What renewing means: ask for a token, or only whether the session stands. */
  readonly kind: "refresh" | "check";
  readonly token?: string;
  readonly csrf?: string;
  /** The refresh token, with the carrier `token` alone. */
  readonly refresh?: string;
  /** Seconds that the token lives; 0 where there is none. */
  readonly lives: number;
  /** By our clock. */
  readonly since: number;
}

type News = { state: State; left: number } | { over: string; reason: string | undefined };

interface Answer {
  account: Account;
  session: Session["session"];
  access_token?: string;
  expires_in?: number;
  refresh_token?: string;
  refresh_token_expires_in?: number;
  csrf_token?: string;
}

/** A call that takes longer than the server's grace is taken for lost. */
const ANSWERED_WITHIN = 10_000;
/** Seconds before its end in which a token is not relied on. */
const TOO_LATE = 5;
const SAFE = /^(GET|HEAD|OPTIONS)$/i;

function browser(): Environment {
  let storage: Environment["storage"];
  try {
    storage = globalThis.localStorage;
  } catch {
    // A page that may keep nothing.
  }
  return {
    fetch: (input, init) => fetch(input, init),
    now: makeClock(),
    sleep: (milliseconds) => new Promise((done) => setTimeout(done, milliseconds)),
    timeout: (milliseconds) => AbortSignal.timeout(milliseconds),
    random: Math.random,
    locks: globalThis.navigator?.locks,
    channel: globalThis.BroadcastChannel && ((name) => new BroadcastChannel(name)),
    storage,
  };
}

/** Make the client.  One for each page: its tabs find each other by `base`. */
export function createClient(options: Options = {}): Client {
  const { carrier = "cookie", patience = 60 } = options;
  const byCookie = carrier === "cookie";
  const alone = byCookie ? {} : { locks: undefined, channel: undefined, storage: undefined };
  const env: Environment = { ...browser(), ...options, ...alone };
  const page = globalThis.location?.href;
  const base = new URL(options.base ?? "/", page).href.replace(/\/$/, "");
  const origins = new Set([base, ...(options.origins ?? [])].map((each) => new URL(each, page).origin));
  const foreign = page !== undefined && new URL(page).origin !== new URL(base).origin;
  const listeners = new Set<Listener>();
  const tabs = new Tabs<News>(`doorward ${base}`, env, hear);

  let state: State | undefined;
  let known = false;
  let flight: { of: State | undefined; lands: Promise<void> } | undefined;
  /** Sessions that are over: news of them that was overtaken is no news. */
  const past = new Set<string>();

  // What is known, and who is told

  function become(next: State | undefined, reason?: string): void {
    const before = state?.who.session.id;
    state = next;
    known = true;
    if (before && !next) past.add(before);
    if (before !== next?.who.session.id) for (const each of [...listeners]) each(next?.who ?? null, reason);
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

  async function call(method: string, path: string, init: RequestInit = {}, as: State | undefined = undefined): Promise<any> {
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
    call("POST", path, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });

  function authenticate(headers: Headers, method: string, { token, csrf }: State): void {
    if (token) headers.set("authorization", `Bearer ${token}`);
    else if (csrf && !SAFE.test(method)) headers.set("x-csrf-token", csrf);
  }

  function stateOf(answer: Answer, since: number, before?: State): State {
    const { account, session, access_token: token, refresh_token: refresh = before?.refresh, csrf_token: csrf = before?.csrf } = answer;
    return {
      who: { account, session },
      kind: answer.refresh_token_expires_in === undefined ? "check" : "refresh",
      ...(token && { token }),
      ...(csrf && { csrf }),
      ...(refresh && !byCookie && { refresh }),
      lives: answer.expires_in ?? 0,
      since,
    };
  }

  // Renewing

  /** Make `state` newer than `stale`; one attempt at a time.  Throws where nothing could be learned. */
  function renew(stale: State | undefined): Promise<void> {
    if (!flight) {
      const lands = attempt(stale).finally(() => (flight = undefined));
      flight = { of: stale, lands };
    } else if (flight.of !== stale) {
      // It was about another session, and so says nothing about this one.
      return flight.lands.catch(() => undefined).then(() => (state === stale ? renew(stale) : undefined));
    }
    return flight.lands;
  }

  async function attempt(stale: State | undefined): Promise<void> {
    const isNews = () => state !== stale || (!stale && known);
    const key = tabs.attempt();
    const until = env.now() + patience * 1000;
    for (let pause = 250; ; pause = Math.min(pause * 2, 4000)) {
      try {
        await tabs.alone(() => ask(stale, key), isNews);
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

  async function ask(stale: State | undefined, key: string): Promise<void> {
    try {
      const since = env.now();
      const next = stale?.kind === "check" ? await check(stale, since) : await refresh(stale, key, since);
      tabs.settled(key);
      if (state === stale) share(next);
    } catch (error) {
      if (!(error instanceof DoorwardError) || decideRenewal(error) !== "over") throw error;
      tabs.settled(key);
      end(stale, error.reason);
      known = true;
    }
  }

  /** A new access token, for a refresh token that the cookie brings. */
  async function refresh(stale: State | undefined, key: string, since: number): Promise<State> {
    const body = new URLSearchParams({ grant_type: "refresh_token", ...(stale?.refresh && { refresh_token: stale.refresh }) });
    const headers = { "idempotency-key": key, ...(stale?.csrf && { "x-csrf-token": stale.csrf }) };
    let tokens: Answer;
    try {
      tokens = await call("POST", "/v1/token", { body, headers });
    } catch (error) {
      // No refresh cookie: a page that was just loaded does not know yet that its session travels in the other one.
      if (!stale && byCookie && (error as DoorwardError).code === "invalid_request") return check(stale, since);
      throw error;
    }
    const who = stale?.who ?? (await call("GET", "/v1/sessions/current", {}, stateOf(tokens, since)));
    return stateOf({ ...tokens, ...who }, since, stale);
  }

  /** Whether the session stands, where nothing can be renewed. */
  async function check(stale: State | undefined, since: number): Promise<State> {
    const who: Session = await call("GET", "/v1/sessions/current", {}, stale);
    return { lives: 0, since, ...stale, who, kind: "check" };
  }

  /** The first call of a page: a reload has lost what memory held. */
  const restore = async () => known || (byCookie ? renew(undefined) : become(undefined));

  // What the application calls

  async function signIn({ email, password, label, remember }: Parameters<Client["signIn"]>[0]): Promise<Session> {
    const start = async () => {
      const since = env.now();
      const asked = { email, password, carrier, ...(label && { label }), ...(remember && { remember }) };
      let next = stateOf(await post("/v1/sessions", asked), since);
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
      return proved;
    } catch (error) {
      // Nothing learned: what is not settled, the next renewal goes on with.
      if (!(error instanceof DoorwardError) || decideRenewal(error) !== "over") return started;
      tabs.settled(key);
      await call("DELETE", "/v1/sessions/current", {}, started).catch(() => undefined);
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
          if (ending?.refresh) await call("POST", "/v1/revoke", { body: new URLSearchParams({ token: ending.refresh }) });
          else await call("DELETE", "/v1/sessions/current", {}, ending);
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

  async function fetchWith(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const given = input instanceof Request ? input : undefined;
    const url = new URL(given?.url ?? String(input), page);
    const own = new Headers(init?.headers ?? given?.headers);
    if (!origins.has(url.origin) || own.has("authorization")) return env.fetch(input, init);
    await restore();
    if (state?.kind === "refresh" && left(state) < Math.max(state.lives * early, TOO_LATE)) {
      const renewed = renew(state);
      // Still good: the request does not wait, and whether this attempt fails is not its business.
      if (left(state) > TOO_LATE) renewed.catch(() => undefined);
      else await renewed;
    }
    const used = state;
    if (!used) return env.fetch(input, init);
    const again = given?.clone() ?? input;
    const send = (what: RequestInfo | URL, as: State) => {
      const headers = new Headers(own);
      authenticate(headers, init?.method ?? given?.method ?? "GET", as);
      return env.fetch(what, { ...init, headers, ...(!as.token && { credentials: "include" }) });
    };
    const response = await send(input, used);
    if (response.status !== 401) return response;
    await renew(used);
    // A stream has been read: there is nothing to send again.
    if (!state || init?.body instanceof ReadableStream) return response;
    await response.body?.cancel();
    return send(again, state);
  }

  /** The part of a token's life in which it is renewed: another one in each tab, so that they do not all begin at once. */
  const early = 0.1 + 0.1 * env.random();

  // A page that comes back from the back-forward cache has missed the news.
  globalThis.addEventListener?.("pageshow", (event) => {
    if ((event as PageTransitionEvent).persisted && state) renew(state).catch(() => undefined);
  });

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
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    fetch: fetchWith,
  };
}
