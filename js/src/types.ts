/** The types of the client's interface. */

import type { Environment } from "./environment.ts";

export interface Account {
  readonly id: string;
  readonly email: string;
  readonly email_verified: boolean;
  readonly name: string | null;
  readonly roles: readonly string[];
  readonly created_at: string;
}

/** One session of an account.  Times are RFC 3339 in UTC. */
export interface SessionDetails {
  readonly id: string;
  readonly created_at: string;
  readonly last_seen_at: string;
  readonly idle_expires_at: string;
  readonly expires_at: string;
  readonly label: string | null;
  readonly ip: string | null;
  readonly user_agent: string | null;
  readonly location: string | null;
  /** How the account proved itself: RFC 8176 `amr` values. */
  readonly methods: readonly string[];
  /** Whether this is the session that asks. */
  readonly current: boolean;
}

/** Who is signed in, and by which session, as the server answered last. */
export interface Session {
  readonly account: Account;
  readonly session: SessionDetails;
}

/** Any other text as well, without losing the completion of those that are known. */
type Known<Text extends string> = Text | (string & {});

/** Why a session has ended. */
export type EndReason = Known<
  | "signed_out"
  | "reuse"
  | "password_changed"
  | "account_disabled"
  | "session_limit"
  | "admin"
  | "idle"
  | "expired"
  | "key_revoked"
>;

/** What a call is refused with.  `unreachable` and `cookie_not_kept` are the client's own. */
export type ErrorCode = Known<
  | "invalid_credentials"
  | "email_taken"
  | "weak_password"
  | "validation_failed"
  | "rate_limited"
  | "not_authenticated"
  | "session_ended"
  | "invalid_token"
  | "csrf_failed"
  | "not_found"
  | "unavailable"
  | "unreachable"
  | "cookie_not_kept"
>;

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

/** The events of a client, in whichever tab their cause happens, and what their listeners get. */
export interface Events {
  /** A session has started, or one has replaced another. */
  started: (session: Session) => void;
  /** The session has ended. */
  ended: (session: Session, reason: EndReason | undefined) => void;
  /** The session has a new access token: `token()` returns it. */
  renewed: (session: Session) => void;
}

/** Gets the session when it starts or is replaced; `null` and the reason when it ends. */
export type Listener = (session: Session | null, reason?: EndReason) => void;

export interface Credentials {
  email: string;
  password: string;
  /** What the list of sessions calls this one. */
  label?: string;
  /** Whether the session lasts when the browser is closed (carrier `cookie`). */
  remember?: boolean;
}

export interface Client {
  /**
   * Sign in.  Throws `DoorwardError`: its `code` is `invalid_credentials` where the password is wrong, and
   * `cookie_not_kept` where the page is on another site than `base` and the carrier is `cookie`.
   */
  signIn(credentials: Credentials): Promise<Session>;
  /** Make an account and sign in.  Throws `DoorwardError`: `email_taken`, `weak_password` with `problem.advice`. */
  signUp(details: Credentials & { name?: string }): Promise<Session>;
  /** End the session here and on the server.  Throws where the server cannot be reached: then it has not ended. */
  signOut(): Promise<void>;
  /** Who is signed in.  The first call asks the server, since a reload has lost what memory held. */
  session(): Promise<Session | null>;
  /** What is known of that without asking: `undefined` until the server has answered.  The same object until it changes. */
  snapshot(): Session | null | undefined;
  /** Call `listener` whenever `snapshot()` changes.  Returns a function that ends the subscription. */
  subscribe(listener: () => void): () => void;
  /** Call `listener` when the session starts, is replaced, or ends.  Returns a function that ends the subscription. */
  onChange(listener: Listener): () => void;
  /** Call `listener` at each event of a name.  Returns a function that ends the subscription. */
  on<Name extends keyof Events>(name: Name, listener: Events[Name]): () => void;
  /** As `fetch`, with the access token on requests to the allowed origins, repeated once where Doorward refused it. */
  readonly fetch: typeof fetch;
  /** An access token that is good for a while, such as for a WebSocket; `null` where nobody is signed in by one. */
  token(): Promise<string | null>;
  /** The account's sessions, the newest first.  Throws `DoorwardError`. */
  sessions(): Promise<readonly SessionDetails[]>;
  /** End one of them.  Throws `DoorwardError`: `not_found`. */
  endSession(id: string): Promise<void>;
  /** Throws `DoorwardError`: `invalid_credentials`, `weak_password`.  Every other session of the account ends. */
  changePassword(passwords: { current: string; next: string }): Promise<void>;
  /** Stop listening to other tabs and to the page, for a client that is no longer used.  Nobody is signed out. */
  dispose(): void;
}
