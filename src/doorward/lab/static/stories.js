/** What a thief can do, and what two tabs do, told step by step as it happens. */

import { claim } from "./token.js";
import { ask, call, endAndWait, renew, signIn, visit, watched } from "./wire.js";

const MINUTE = 60;

const pass = (seconds) => ask("time", { seconds });
const outcome = ({ status, body }) => (status === 200 ? "let in" : `refused: ${body.reason ?? body.code}`);

async function* trail(strategy, session) {
  const events = await ask(`trail?${strategy}/${session}`);
  const words = events.reverse().map((each) => each.action);
  yield { text: `What the audit trail says: ${words.join(" → ")}` };
}

async function* cookie() {
  const owner = await signIn("session");
  yield { text: "Ada has signed in. The cookie is HttpOnly: no script in her page can read it. Somebody copies it from her disk." };
  const thief = () => watched("session", "GET", "/hello", { cookie: owner.cookie });
  let answer = await thief();
  yield { text: `The thief sends the copy: ${outcome(answer)}. Nothing tells it from the original.`, good: answer.status !== 200 };
  await pass(16 * MINUTE);
  answer = await thief();
  yield { text: `A quarter of an hour later: ${outcome(answer)}. It works as long as the session does.`, good: answer.status !== 200 };
  const { milliseconds } = await endAndWait(owner);
  answer = await thief();
  yield { text: `Ada ends her session, from another device. ${milliseconds.toFixed(1)} ms later the thief is ${outcome(answer)}.`, good: answer.status !== 200 };
  yield* trail("session", owner.session);
}

async function* accessToken() {
  const owner = await signIn("jwt");
  yield { text: "Ada has signed in. A script that was injected into her page reads the token." };
  const thief = () => watched("jwt", "GET", "/hello", { token: owner.token });
  let answer = await thief();
  yield { text: `The thief sends the copy: ${outcome(answer)}.`, good: answer.status !== 200 };
  await pass(16 * MINUTE);
  answer = await thief();
  yield { text: `A quarter of an hour later the thief is ${outcome(answer)}: the token has run out, for Ada as well.`, good: answer.status !== 200 };
  yield* trail("jwt", owner.session);
}

async function* refreshToken() {
  const owner = await signIn("hybrid");
  yield { text: "Ada has signed in on an application that keeps its refresh token where it can be copied. It is." };
  await pass(MINUTE);
  const renewed = await renew("hybrid", owner.refresh);
  await visit({ strategy: "hybrid", token: renewed.body.access_token });
  yield { text: "A minute later Ada’s application renews and goes on: its refresh token is the next one. The copy is the one before." };
  await pass(MINUTE);
  const theft = await renew("hybrid", owner.refresh);
  yield { text: `The thief presents the copy: ${outcome(theft)}. It has been used, and the answer has arrived: two parties hold this session.`, good: theft.status !== 200 };
  const after = await visit({ strategy: "hybrid", token: renewed.body.access_token });
  yield { text: `Ada’s next request is ${outcome(after)}. She signs in again; the thief is left with nothing. Her other devices stay.`, good: after.status !== 200 };
  yield* trail("hybrid", owner.session);
}

export const thefts = { session: cookie, jwt: accessToken, hybrid: refreshToken };

export async function* race() {
  const owner = await signIn("hybrid");
  await pass(MINUTE);
  yield { text: "Signed in, and a minute has passed. Both tabs present the same refresh token, without a word to each other." };
  const [one, two] = await Promise.all([renew("hybrid", owner.refresh), renew("hybrid", owner.refresh)]);
  for (const [name, { status, body }] of [["One", one], ["The other", two]])
    yield {
      text: `${name} is answered ${status}${status === 200 ? `, with refresh token number ${claim(body.access_token, "gen")}` : ""}.`,
      good: status === 200,
    };
  const same = one.body.refresh_token === two.body.refresh_token;
  yield { text: same ? "It is the same refresh token, to the byte: one chain, and both tabs go on." : "The chain has forked.", good: same };
  const answers = await Promise.all([one, two].map(({ body }) => visit({ strategy: "hybrid", token: body.access_token }, call)));
  yield { text: `Their next requests: ${answers.map(outcome).join(" and ")}.`, good: answers.every(({ status }) => status === 200) };
  yield* trail("hybrid", owner.session);
}
