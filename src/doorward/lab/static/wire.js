/** Calls to the lab's deployments, and what travelled in them. */

export const WHO = { email: `ada-${crypto.randomUUID()}@example.com`, password: "seven green kettles whistle at dawn" };

/** Told of every exchange. */
export const listeners = [];

/**
 * Call one of the deployments.
 *
 * @param {{token?: string, cookie?: string, json?: object, form?: object}} how `cookie` is a copied one; without it and
 *   without a token the browser sends its own.
 */
export async function call(strategy, method, path, { token, cookie, json, form } = {}) {
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (cookie) headers["x-lab-cookie"] = cookie;
  if (json) headers["content-type"] = "application/json";
  const body = json ? JSON.stringify(json) : form && new URLSearchParams(form);
  const credentials = token || cookie ? "omit" : "same-origin";
  const answer = await fetch(`/lab/api/${strategy}${path}`, { method, headers, body, credentials });
  const text = await answer.text();
  return {
    status: answer.status,
    body: text ? JSON.parse(text) : null,
    number: Number(answer.headers.get("x-lab-exchange")),
  };
}

/** The same, with the exchange; the listeners are told. */
export async function watched(strategy, method, path, how) {
  const answer = await call(strategy, method, path, how);
  const exchange = await (await fetch(`/lab/exchange?number=${answer.number}`)).json();
  for (const each of listeners) each(exchange);
  return { ...answer, exchange };
}

/** What the lab itself is asked. */
export async function ask(path, body) {
  const init = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(`/lab/${path}`, init);
  return answer.status === 204 ? null : answer.json();
}

const known = new Set();

/** Sign in, with an account that is made the first time.  The credential, as a thief would copy it. */
export async function signIn(strategy) {
  if (!known.has(strategy)) await call(strategy, "POST", "/v1/accounts", { json: WHO });
  known.add(strategy);
  const answer = await watched(strategy, "POST", "/v1/sessions", { json: WHO });
  const { session, access_token: token, refresh_token: refresh } = answer.body;
  // No script can read the cookie: it is taken from the answer as the server wrote it.
  const cookie = /^set-cookie: lab_[a-z]+_(session=[^;]*)/m.exec(answer.exchange.received)?.[1];
  return { strategy, session: session.id, token, refresh, cookie: cookie && `doorward_${cookie}` };
}

/** Ask the application, as the owner of a session. */
export const visit = ({ strategy, token }, send = watched) => send(strategy, "GET", "/hello", { token });

/** Present a refresh token. */
export const renew = (strategy, token, send = watched) =>
  send(strategy, "POST", "/v1/token", { form: { grant_type: "refresh_token", refresh_token: token } });

/** End a session from elsewhere, and measure until its owner is refused. */
export async function endAndWait(owner) {
  const begun = performance.now();
  await ask("end", { strategy: owner.strategy, session: owner.session });
  let answer;
  do answer = await visit(owner, call);
  while (answer.status === 200 && performance.now() - begun < 60_000);
  const milliseconds = performance.now() - begun;
  const plain = owner.token && (await ask("plain", { strategy: owner.strategy, token: owner.token }));
  return { milliseconds, answer, plain };
}
