/** A browser with tabs and a server, both made up, in which a test decides what is lost and how time passes. */

import { type Client, type Environment, type Options, createClient } from "../src/client.ts";

export const BASE = "https://auth.example.test";
export const ADA = { email: "ada@example.com", password: "seven green kettles whistle at dawn" };
const LIVES = 900;

export interface Seen {
  method: string;
  path: string;
  query: string;
  origin: string;
  headers: Headers;
  body: string;
  credentials: string | undefined;
}

type Strategy = "hybrid" | "session" | "jwt";

/** The server: one session at a time, its refresh token a number in a cookie. */
export class World {
  /** Milliseconds. */
  time = 0;
  slept: number[] = [];
  seen: Seen[] = [];
  strategy: Strategy;
  generation = 0;
  predecessorKey: string | null = null;
  rotations = 0;
  sessions = 0;
  ended: Record<string, string> = {};
  /** What the browser's cookie holds. */
  jar: { id: string; generation: number } | undefined;
  keepsCookies = true;
  storage = new Map<string, string>();
  /** Called for every request: an answer of its own, "lost" once processed, or "down" before it. */
  fate: (request: Seen) => Response | "lost" | "down" | undefined | Promise<Response | undefined> = () => undefined;
  #locks = new Map<string, Promise<unknown>>();
  #channels = new Set<FakeChannel>();
  #token = 0;
  #good = new Map<string, { id: string; until: number }>();

  constructor(strategy: Strategy = "hybrid") {
    this.strategy = strategy;
  }

  /** Open a tab. */
  tab(options: Options = {}): Client {
    return createClient({ base: BASE, ...this.environment(), ...options });
  }

  environment(): Environment {
    return {
      fetch: (input, init) => this.#fetch(new Request(input, { duplex: "half", ...init } as RequestInit), init?.credentials),
      now: () => this.time,
      sleep: (milliseconds) => {
        if (milliseconds > 10) {
          this.slept.push(milliseconds);
          this.time += milliseconds;
        }
        return new Promise((done) => setImmediate(done));
      },
      timeout: () => new AbortController().signal,
      random: () => 0.5,
      locks: { request: this.#lock } as unknown as LockManager,
      channel: (name) => this.#channel(name),
      storage: {
        getItem: (name) => this.storage.get(name) ?? null,
        setItem: (name, value) => void this.storage.set(name, value),
        removeItem: (name) => void this.storage.delete(name),
      },
    };
  }

  calls(path: string): Seen[] {
    return this.seen.filter((each) => each.path === path);
  }

  /** End the session somewhere else. */
  end(reason: string): void {
    this.ended[`s${this.sessions}`] = reason;
  }

  #lock = async (name: string, ...rest: unknown[]): Promise<unknown> => {
    const work = rest.at(-1) as (lock: object | null) => Promise<unknown>;
    const { ifAvailable = false } = rest.length > 1 ? (rest[0] as { ifAvailable?: boolean }) : {};
    const held = this.#locks.get(name);
    if (held && ifAvailable) return work(null);
    const turn = (held ?? Promise.resolve()).then(() => work({}));
    const settled = turn.catch(() => undefined).then(() => {
      if (this.#locks.get(name) === settled) this.#locks.delete(name);
    });
    this.#locks.set(name, settled);
    return turn;
  };

  #channel(name: string): BroadcastChannel {
    const channel: FakeChannel = new FakeChannel(
      name,
      (message) => {
        for (const each of this.#channels)
          if (each !== channel && each.name === name) setImmediate(() => each.take(structuredClone(message)));
      },
      () => void this.#channels.delete(channel),
    );
    this.#channels.add(channel);
    return channel as unknown as BroadcastChannel;
  }

  async #fetch(request: Request, credentials: RequestCredentials | undefined): Promise<Response> {
    const { pathname, search, origin } = new URL(request.url);
    const { method, headers } = request;
    const seen = { method, path: pathname, query: search, origin, headers, credentials, body: await request.text() };
    this.seen.push(seen);
    await new Promise((done) => setImmediate(done));
    const fate = await this.fate(seen);
    if (fate instanceof Response) return fate;
    if (fate === "down") throw new TypeError("Failed to fetch");
    // What is lost is lost with its cookie.
    const [answer, jar] = origin === BASE || origin.endsWith("api.example.test") ? this.#answer(seen) : [json(200, {}), this.jar];
    if (fate === "lost") throw new TypeError("Failed to fetch");
    if (this.keepsCookies) this.jar = jar;
    return answer;
  }

  #answer({ method, path, query, headers, body }: Seen): [Response, World["jar"]] {
    const kept = this.jar;
    const said = () => JSON.parse(body) as Record<string, string>;
    if (path === "/v1/accounts") return [json(201, { account: account(said()["email"] ?? "") }), kept];
    if (path === "/v1/sessions" && method === "POST") {
      const { carrier, password } = said();
      if (password !== ADA.password) return [problem(401, "invalid_credentials"), kept];
      if (this.strategy === "jwt" && carrier === "cookie")
        return [problem(422, "validation_failed", { errors: [{ field: "carrier", message: "jwt has no cookie" }] }), kept];
      const id = `s${++this.sessions}`;
      this.generation = 0;
      const answer = { account: account(ADA.email), session: { id } };
      if (this.strategy === "session") return [json(201, { ...answer, csrf_token: `csrf-${id}` }), { id, generation: 0 }];
      if (this.strategy === "jwt") return [json(201, { ...answer, ...this.#access(id) }), kept];
      const tokens = { ...this.#access(id), refresh_token_expires_in: 43200 };
      if (carrier === "token") return [json(201, { ...answer, ...tokens, refresh_token: `${id}.0` }), kept];
      return [json(201, { ...answer, ...tokens, csrf_token: `csrf-${id}` }), { id, generation: 0 }];
    }
    if (path === "/v1/token") return this.#refresh(headers, new URLSearchParams(body));
    if (path === "/v1/revoke") {
      this.ended[new URLSearchParams(body).get("token")?.split(".")[0] ?? ""] = "signed_out";
      return [new Response(null, { status: 200 }), kept];
    }
    const good = this.#good.get(headers.get("authorization")?.slice(7) ?? "");
    const byCookie = this.strategy === "session" && kept ? kept.id : undefined;
    const id = good && good.until > this.time ? good.id : byCookie;
    if (path === "/v1/sessions/current" && method === "DELETE") {
      const leaving = id ?? kept?.id;
      if (!leaving || this.ended[leaving]) return [problem(401, "session_ended"), kept];
      this.ended[leaving] = "signed_out";
      return [new Response(null, { status: 204 }), undefined];
    }
    if (!id && !headers.has("authorization") && query) return [new Response(null, { status: 204 }), kept];
    if (!id) return [problem(401, good ? "invalid_token" : "not_authenticated"), kept];
    if (this.ended[id]) return [problem(401, "session_ended", { reason: this.ended[id] }), kept];
    if (path === "/v1/sessions") return [json(200, { sessions: [{ id, current: true }, { id: "s0", current: false }] }), kept];
    if (path.startsWith("/v1/sessions/s") || path === "/v1/password") {
      const gone = path.slice("/v1/sessions/".length);
      if (gone.startsWith("s")) this.ended[gone] = "signed_out";
      // A new password is a new version of the account, by which older access tokens are refused.
      else this.#good.clear();
      return [new Response(null, { status: 204 }), gone === id ? undefined : kept];
    }
    return [json(200, { account: account(ADA.email), session: { id } }), kept];
  }

  #access(id: string) {
    const token = `access-${++this.#token}`;
    this.#good.set(token, { id, until: this.time + LIVES * 1000 });
    return { access_token: token, token_type: "Bearer", expires_in: LIVES };
  }

  #refresh(headers: Headers, form: URLSearchParams): [Response, World["jar"]] {
    const inBody = form.get("refresh_token");
    const [id, generation] = (inBody ?? (this.jar && `${this.jar.id}.${this.jar.generation}`))?.split(".") ?? [];
    if (id === undefined || this.strategy !== "hybrid")
      return [form.has("optional") ? new Response(null, { status: 204 }) : problem(400, "invalid_request"), this.jar];
    const key = headers.get("idempotency-key");
    if (this.ended[id]) return [problem(400, "invalid_grant", { reason: this.ended[id] }), this.jar];
    const presented = Number(generation);
    if (presented === this.generation) {
      this.generation++;
      this.rotations++;
      this.predecessorKey = key;
    } else if (presented !== this.generation - 1 || key !== this.predecessorKey) {
      this.ended[id] = "reuse";
      return [problem(400, "invalid_grant", { reason: "reuse" }), this.jar];
    }
    const tokens = { ...this.#access(id), refresh_token_expires_in: 43200 };
    if (inBody) return [json(200, { ...tokens, refresh_token: `${id}.${this.generation}` }), this.jar];
    return [json(200, tokens), { id, generation: this.generation }];
  }
}

class FakeChannel extends EventTarget {
  readonly name: string;
  readonly postMessage: (message: unknown) => void;

  readonly close: () => void;

  constructor(name: string, postMessage: (message: unknown) => void, close: () => void) {
    super();
    this.name = name;
    this.postMessage = postMessage;
    this.close = close;
  }

  take(data: unknown): void {
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }
}

const account = (email: string) => ({ id: "a1", email, email_verified: false, name: null, roles: [], created_at: "2026-01-01T00:00:00Z" });

export const json = (status: number, body: object, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });

export const problem = (status: number, code: string, more: object = {}, headers: Record<string, string> = {}) =>
  json(status, { code, ...more }, headers);

/** Let everything that needs no time happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((done) => setImmediate(done));
}
