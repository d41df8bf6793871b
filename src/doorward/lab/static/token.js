/** What an access token says, without checking anything. */

const SAYS = {
  alg: "with which algorithm it is signed",
  kid: "with which key: one of /.well-known/jwks.json",
  typ: "an access token, and nothing else (RFC 9068)",
  iss: "who issued it",
  aud: "whom it is for",
  sub: "whose it is",
  sid: "of which session: what is revoked",
  client_id: "through which client",
  iat: "issued at",
  exp: "good until",
  auth_time: "signed in at",
  jti: "its own name",
  gen: "which refresh token of the session it came with",
  ver: "the account’s version: raised when all its sessions end",
  amr: "how it was proved",
  roles: "of the account",
  scope: "what it allows",
};
const TIMES = new Set(["iat", "exp", "auth_time"]);

/** @returns {{member: string, value: string, says: string}[] | null} null where it is no token. */
export function read(text) {
  try {
    const [header, claims] = text.trim().split(".", 2).map(decode);
    const members = [...Object.entries(header), ...Object.entries(claims)];
    return members.map(([member, value]) => ({ member, value: shown(member, value), says: SAYS[member] ?? "" }));
  } catch {
    return null;
  }
}

/** One claim of a token. */
export const claim = (token, name) => decode(token.split(".")[1])[name];

function decode(part) {
  const binary = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
  const found = JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (sign) => sign.charCodeAt(0))));
  if (found === null || typeof found !== "object") throw new TypeError("no object");
  return found;
}

const shown = (member, value) =>
  TIMES.has(member) ? `${value} (${new Date(value * 1000).toISOString().replace(".000Z", "Z")})` : JSON.stringify(value);
