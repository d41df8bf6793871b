/** What the server refuses, and what that means for a session. */

import type { EndReason, ErrorCode } from "./types.ts";

/** A refusal (RFC 9457, or RFC 6749 section 5.2), or no answer at all (`code` is `unreachable`). */
export class DoorwardError extends Error {
  override readonly name = "DoorwardError";
  /** Stable, such as `invalid_credentials`: what to act on. */
  readonly code: ErrorCode;
  /** 0 where there was no answer. */
  readonly status: number;
  /** Why a session is over, such as `signed_out` or `password_changed`. */
  readonly reason: EndReason | undefined;
  /** Seconds after which trying again makes sense. */
  readonly retryAfter: number | undefined;
  /** The whole answer: `errors` of fields, `advice` on a password. */
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(status: number, problem: Record<string, unknown>, retryAfter?: number) {
    super(text(problem["detail"]) ?? text(problem["error_description"]) ?? "Doorward did not answer.");
    this.status = status;
    this.problem = problem;
    this.code = text(problem["code"]) ?? text(problem["error"]) ?? (status ? "unknown" : "unreachable");
    this.reason = text(problem["reason"]);
    this.retryAfter = retryAfter;
  }
}

const text = (value: unknown) => (typeof value === "string" ? value : undefined);

/** Read a refusal.  Whatever stands between us and the server may have written it, so nothing in it is relied on. */
export async function readProblem(response: Response): Promise<DoorwardError> {
  const body: unknown = await response.json().catch(() => null);
  const wait = response.headers.get("retry-after") ?? "";
  return new DoorwardError(
    response.status,
    body && typeof body === "object" ? (body as Record<string, unknown>) : {},
    /^\d{1,6}$/.test(wait) ? Number(wait) : undefined,
  );
}

/**
 * Decide what a refused renewal means: the session is `over`, or it is not known yet and asking again makes sense
 * (`wait`), or the page is set up wrongly (`refused`).  Only the server's own word ends a session: an error page of a
 * proxy does not.
 */
export function decideRenewal(error: DoorwardError): "over" | "wait" | "refused" {
  const { code, status } = error;
  if (status === 400 && (code === "invalid_grant" || code === "invalid_request")) return "over";
  if (status === 401 && code !== "unknown") return "over";
  return status === 0 || status === 408 || status === 429 || status >= 500 ? "wait" : "refused";
}

/**
 * Read the refusal of an access token or a session, which came before the request reached the application (RFC 6750
 * section 3.1): then it can be sent again with a new token, whatever its method is.  `undefined` for any other answer.
 */
export async function readRefusedCredential(response: Response): Promise<DoorwardError | undefined> {
  if (response.status !== 401) return undefined;
  const problem = await readProblem(response.clone());
  // Another origin may hide the header; the body says the same.
  const challenged = /error="invalid_token"/.test(response.headers.get("www-authenticate") ?? "");
  return challenged || problem.code === "invalid_token" || problem.code === "session_ended" ? problem : undefined;
}
