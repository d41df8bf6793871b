/** What a tab knows of a session, and what tabs send each other. */

import type { Account, Session, SessionDetails } from "./types.ts";

/** What this tab knows.  Replaced, never changed: `===` tells whether there is news. */
export interface State {
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

/** What tabs send each other.  `look` is sent by Doorward's own pages: something may have changed. */
export type News = { state: State; left: number } | { over: string; reason: string | undefined } | { look: true };

/** What signing in or a renewal answers. */
export interface Answer {
  account: Account;
  session: SessionDetails;
  access_token?: string;
  expires_in?: number;
  refresh_token?: string;
  refresh_token_expires_in?: number;
  csrf_token?: string;
}

/** Make the state from an answer to a request that was sent at `since`. */
export function stateOf(answer: Answer, since: number, carrier: "cookie" | "token", before?: State): State {
  const { account, session, access_token: token, refresh_token: refresh = before?.refresh, csrf_token: csrf = before?.csrf } = answer;
  return {
    who: { account, session },
    kind: answer.refresh_token_expires_in === undefined ? "check" : "refresh",
    ...(token && { token }),
    ...(csrf && { csrf }),
    ...(refresh && carrier === "token" && { refresh }),
    lives: answer.expires_in ?? 0,
    since,
  };
}
