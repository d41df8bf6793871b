import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, type Session, DoorwardError } from "../src/client.ts";
import { ADA, BASE, World, json, problem, settle } from "./world.ts";

const DATA = `${BASE}/data`;
const AN_HOUR = 3_600_000;

/** A tab that has signed in, and what it was told since. */
async function signedIn(world: World, options = {}): Promise<[Client, (string | null)[]]> {
  const tab = world.tab(options);
  const told: (string | null)[] = [];
  tab.onChange((session, reason) => told.push(session?.session.id ?? reason ?? null));
  await tab.signIn(ADA);
  return [tab, told];
}

async function tabs(world: World, count: number, options = {}): Promise<Client[]> {
  const all = [];
  for (let n = 0; n < count; n++) {
    const tab = world.tab(options);
    await tab.session();
    all.push(tab);
  }
  await settle();
  return all;
}

const codeOf = (code: string) => (error: unknown) => error instanceof DoorwardError && error.code === code;

test("the access token goes to the allowed origins, and nowhere else", async () => {
  const world = new World();
  const [tab] = await signedIn(world, { origins: ["https://api.example.test"] });
  for (const url of [DATA, "https://api.example.test/x", "https://cdn.example.test/y", "http://auth.example.test/z"]) await tab.fetch(url);
  const sent = world.seen.slice(1).map((each) => [each.path, each.headers.has("authorization")]);
  assert.deepEqual(sent, [["/data", true], ["/x", true], ["/y", false], ["/z", false]]);
});

test("a credential that the application brings is left alone, and so is the answer to it", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  const answer = await tab.fetch(DATA, { headers: { authorization: "Bearer its-own" } });
  assert.equal(answer.status, 401);
  assert.equal(world.seen.at(-1)?.headers.get("authorization"), "Bearer its-own");
  assert.equal(world.calls("/v1/token").length, 0);
});

test("a wrong password is told by its code", async () => {
  const tab = new World().tab();
  await assert.rejects(tab.signIn({ ...ADA, password: "wrong" }), codeOf("invalid_credentials"));
  assert.equal(await tab.session(), null);
});

test("signing up signs in", async () => {
  const world = new World();
  const session = await world.tab().signUp({ ...ADA, name: "Ada" });
  assert.equal(session.session.id, "s1");
  assert.deepEqual(world.seen.map((each) => each.path), ["/v1/accounts", "/v1/sessions"]);
});

test("a reload restores the session, without a word to the application of anything having changed hands", async () => {
  const world = new World();
  await signedIn(world);
  const tab = world.tab();
  assert.equal((await tab.session())?.account.email, ADA.email);
  assert.equal((await tab.fetch(DATA)).status, 200);
  assert.equal(world.calls("/v1/sessions").length, 1);
});

test("where nobody is signed in, the first call finds out, once", async () => {
  const world = new World();
  const tab = world.tab();
  assert.deepEqual(await Promise.all([tab.session(), tab.session()]), [null, null]);
  assert.equal(await tab.session(), null);
  assert.equal(world.calls("/v1/token").length, 1);
});

test("where the server does not answer the first call, nobody is signed out, and the next call asks again", async () => {
  const world = new World();
  await signedIn(world);
  const tab = world.tab({ patience: 1 });
  world.fate = () => "down";
  await assert.rejects(tab.session(), codeOf("unreachable"));
  world.fate = () => undefined;
  assert.equal((await tab.session())?.session.id, "s1");
});

test("what has run out is renewed before the request is sent", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  world.time += AN_HOUR;
  assert.equal((await tab.fetch(DATA)).status, 200);
  assert.deepEqual(world.seen.slice(1).map((each) => each.path), ["/v1/token", "/data"]);
});

for (const [seconds, renewals] of [[760, 0], [770, 1]] as const)
  test(`${seconds} s into a token's 900 there are ${renewals} renewals, and the request does not wait for one`, async () => {
    const world = new World();
    const [tab] = await signedIn(world);
    world.fate = ({ path }) => (path === "/v1/token" ? "down" : undefined);
    world.time += seconds * 1000;
    assert.equal((await tab.fetch(DATA)).status, 200);
    assert.equal(Math.min(world.calls("/v1/token").length, 1), renewals);
    world.fate = () => undefined;
    await settle();
    assert.equal((await tab.fetch(DATA)).status, 200);
  });

test("ten tabs whose token has run out at once renew once between them", async () => {
  const world = new World();
  await signedIn(world);
  const ten = await tabs(world, 10);
  const [before, rotations] = [world.calls("/v1/token").length, world.rotations];
  world.time += AN_HOUR;
  const answers = await Promise.all(ten.map((tab) => tab.fetch(DATA)));
  assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([200]));
  assert.equal(world.calls("/v1/token").length - before, 1);
  assert.equal(world.rotations - rotations, 1);
});

for (const missing of [{ locks: undefined }, { channel: undefined }, { locks: undefined, channel: undefined, storage: undefined }])
  test(`nobody is signed out where a browser lacks ${Object.keys(missing)}`, async () => {
    const world = new World();
    // Without what tabs share, the server's grace is what keeps them: it takes any key here.
    await signedIn(world, missing);
    const ten = await tabs(world, 10, missing);
    world.time += AN_HOUR;
    for (const tab of ten) assert.equal((await tab.fetch(DATA)).status, 200);
    assert.deepEqual(world.ended, {});
  });

test("an attempt keeps its key over lost answers, and the next attempt has another one", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  let left = 2;
  world.fate = ({ path }) => (path === "/v1/token" && left-- > 0 ? "lost" : undefined);
  for (const _ of [1, 2]) {
    world.time += AN_HOUR;
    assert.equal((await tab.fetch(DATA)).status, 200);
  }
  const keys = world.calls("/v1/token").map((each) => each.headers.get("idempotency-key"));
  assert.equal(keys.length, 4);
  assert.equal(new Set(keys.slice(0, 3)).size, 1);
  assert.notEqual(keys[3], keys[0]);
  assert.match(keys[0] ?? "", /^[0-9a-f]{32}$/);
});

test("an attempt that a reload has cut off goes on with its key", async () => {
  const world = new World();
  const [tab] = await signedIn(world, { patience: 0 });
  world.time += AN_HOUR;
  world.fate = ({ path }) => (path === "/v1/token" ? "lost" : undefined);
  await assert.rejects(tab.fetch(DATA), codeOf("unreachable"));
  world.fate = () => undefined;
  assert.equal((await world.tab().session())?.session.id, "s1");
  const [first, second] = world.calls("/v1/token").map((each) => each.headers.get("idempotency-key"));
  assert.equal(first, second);
  assert.equal(world.storage.size, 0);
});

test("503 is waited out for as long as it says", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  world.time += AN_HOUR;
  let left = 1;
  world.fate = ({ path }) => (path === "/v1/token" && left-- > 0 ? problem(503, "too_early", {}, { "retry-after": "20" }) : undefined);
  assert.equal((await tab.fetch(DATA)).status, 200);
  assert.ok(Math.max(...world.slept) >= 20_000);
});

test("while one tab waits, another may be served, and then both are", async () => {
  const world = new World();
  await signedIn(world);
  const [one, other] = (await tabs(world, 2)) as [Client, Client];
  world.time += AN_HOUR;
  let left = 1;
  world.fate = ({ path }) => (path === "/v1/token" && left-- > 0 ? problem(503, "too_early", {}, { "retry-after": "20" }) : undefined);
  const answers = await Promise.all([one.fetch(DATA), other.fetch(DATA)]);
  assert.deepEqual(answers.map((answer) => answer.status), [200, 200]);
});

test("a server that stays away fails the request, and signs nobody out", async () => {
  const world = new World();
  const [tab, told] = await signedIn(world);
  world.time += AN_HOUR;
  world.fate = () => "down";
  await assert.rejects(tab.fetch(DATA), codeOf("unreachable"));
  world.fate = () => undefined;
  assert.equal((await tab.fetch(DATA)).status, 200);
  assert.deepEqual(told, ["s1"]);
});

for (const [name, answer] of [
  ["a proxy's 401", () => new Response("<h1>Who are you?</h1>", { status: 401 })],
  ["a proxy's 400", () => new Response("", { status: 400 })],
  ["a failed CSRF check", () => problem(403, "csrf_failed")],
] as const)
  test(`${name} in place of a renewal signs nobody out`, async () => {
    const world = new World();
    const [tab, told] = await signedIn(world);
    world.time += AN_HOUR;
    world.fate = ({ path }) => (path === "/v1/token" ? answer() : undefined);
    await assert.rejects(tab.fetch(DATA), DoorwardError);
    assert.deepEqual(told, ["s1"]);
  });

test("a 401 is answered by renewing, and repeating once", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  let refusals = 1;
  world.fate = ({ path }) => (path === "/data" && refusals-- > 0 ? problem(401, "invalid_token") : undefined);
  assert.equal((await tab.fetch(DATA, { method: "POST", body: "once" })).status, 200);
  assert.deepEqual(world.calls("/data").map((each) => each.body), ["once", "once"]);
  const [first, second] = world.calls("/data").map((each) => each.headers.get("authorization"));
  assert.notEqual(first, second);
});

test("a refused session is asked for again as well, by the header or by the body alone", async () => {
  for (const refused of [
    () => problem(401, "session_ended"),
    () => new Response("", { status: 401, headers: { "www-authenticate": 'Bearer error="invalid_token"' } }),
  ]) {
    const world = new World();
    const [tab] = await signedIn(world);
    let refusals = 1;
    world.fate = ({ path }) => (path === "/data" && refusals-- > 0 ? refused() : undefined);
    assert.equal((await tab.fetch(DATA, { method: "POST", body: "once" })).status, 200);
  }
});

for (const [name, answer] of [
  ["an application's own 401", () => problem(401, "invalid_credentials")],
  ["a route that wants a recent sign-in", () => problem(401, "insufficient_user_authentication")],
  ["a 401 without a body", () => new Response(null, { status: 401 })],
  ["a 401 in HTML", () => new Response("<h1>No</h1>", { status: 401, headers: { "content-type": "text/html" } })],
] as const)
  test(`${name} is passed on: the request is not sent twice, and nothing is renewed`, async () => {
    const world = new World();
    const [tab] = await signedIn(world);
    world.fate = ({ path }) => (path === "/data" ? answer() : undefined);
    const response = await tab.fetch(DATA, { method: "POST", body: "once" });
    assert.equal(response.status, 401);
    await response.text();
    assert.equal(world.calls("/data").length, 1);
    assert.equal(world.calls("/v1/token").length, 0);
  });

test("a Request is repeated with its body", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  let refusals = 1;
  world.fate = ({ path }) => (path === "/data" && refusals-- > 0 ? problem(401, "invalid_token") : undefined);
  const answer = await tab.fetch(new Request(DATA, { method: "PUT", body: "again", headers: { "x-own": "1" } }));
  assert.equal(answer.status, 200);
  assert.deepEqual(world.calls("/data").map((each) => [each.method, each.body, each.headers.get("x-own")]), Array(2).fill(["PUT", "again", "1"]));
});

test("a stream is not sent again", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  world.fate = ({ path }) => (path === "/data" ? problem(401, "invalid_token") : undefined);
  const body = new Blob(["once"]).stream();
  assert.equal((await tab.fetch(DATA, { method: "POST", body, duplex: "half" } as RequestInit)).status, 401);
  assert.equal(world.calls("/data").length, 1);
});

test("a session that was ended elsewhere shows with the next request, in every tab, and says why", async () => {
  const world = new World();
  const [tab, told] = await signedIn(world);
  const other = world.tab();
  await other.session();
  const heard: unknown[] = [];
  other.onChange((...change) => heard.push(change));
  world.end("password_changed");
  assert.equal((await tab.fetch(DATA)).status, 401);
  await settle();
  assert.deepEqual(told, ["s1", "password_changed"]);
  assert.deepEqual(heard, [[null, "password_changed"]]);
  assert.equal(await other.session(), null);
});

test("signing out empties the other tabs, and a new one finds nobody", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  const other = world.tab();
  await other.session();
  await settle();
  await tab.signOut();
  await settle();
  assert.equal(await other.session(), null);
  assert.equal(await world.tab().session(), null);
});

test("signing out without a server fails and says so: the session stands", async () => {
  const world = new World();
  const [tab, told] = await signedIn(world);
  world.fate = () => "down";
  await assert.rejects(tab.signOut(), codeOf("unreachable"));
  assert.deepEqual(told, ["s1"]);
  world.fate = () => undefined;
  assert.notEqual(await tab.session(), null);
});

test("signing out whose answer is lost is asked for again, and done", async () => {
  const world = new World();
  const [tab, told] = await signedIn(world);
  let left = 1;
  world.fate = () => (left-- > 0 ? "lost" : undefined);
  await tab.signOut();
  assert.deepEqual(told, ["s1", "signed_out"]);
});

test("other tabs hear of a session that has just started, and use its token", async () => {
  const world = new World();
  const other = world.tab();
  await other.session();
  await signedIn(world);
  await settle();
  assert.equal((await other.fetch(DATA)).status, 200);
  assert.equal(world.calls("/v1/token").length, 1);
});

test("a late refusal of an old session does not end the one that came after it", async () => {
  const world = new World();
  const [tab, told] = await signedIn(world, { locks: undefined });
  const other = world.tab({ locks: undefined });
  world.time += AN_HOUR;
  world.end("admin");
  let refuse: (response: Response) => void = () => undefined;
  world.fate = ({ path }) => (path === "/v1/token" ? new Promise<Response>((done) => (refuse = done)) : undefined);
  const waiting = tab.fetch(DATA);
  await settle();
  const session = await other.signIn(ADA);
  await settle();
  refuse(problem(400, "invalid_grant", { reason: "admin" }));
  assert.equal((await waiting).status, 200);
  assert.deepEqual(told, ["s1", session.session.id]);
  assert.equal((await other.session())?.session.id, session.session.id);
});

test("a late renewal of an old session does not replace the one that came after it", async () => {
  const world = new World();
  const [tab, told] = await signedIn(world, { locks: undefined });
  const other = world.tab({ locks: undefined });
  world.time += AN_HOUR;
  let answer: (response: Response) => void = () => undefined;
  let held = 1;
  world.fate = ({ path }) => (path === "/v1/token" && held-- > 0 ? new Promise<Response>((done) => (answer = done)) : undefined);
  const waiting = tab.fetch(DATA);
  await settle();
  const { session } = await other.signIn(ADA);
  await settle();
  // Asked for while the other renewal is under way: it must not be taken for this one.
  let refused: string | null | undefined;
  const before = world.fate;
  world.fate = (seen) =>
    seen.path === "/data" && (refused ??= seen.headers.get("authorization")) === seen.headers.get("authorization")
      ? problem(401, "invalid_token")
      : before(seen);
  const again = tab.fetch(DATA);
  await settle();
  answer(json(200, { access_token: "of-the-old-one", expires_in: 900, refresh_token_expires_in: 1 }));
  assert.deepEqual([(await waiting).status, (await again).status], [200, 200]);
  assert.deepEqual(told, ["s1", session.id]);
});

test("news of a session that has just been signed out, overtaken on its way, does not bring it back", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  const channel = world.environment().channel!(`doorward ${BASE}`);
  const who = (await tab.session()) as Session;
  await tab.signOut();
  channel.postMessage({ state: { who, kind: "refresh", token: "access-1", lives: 900, since: 0 }, left: 899 });
  await settle();
  assert.equal(await tab.session(), null);
});

test("news of a session that is over, overtaken on its way, does not bring it back", async () => {
  const world = new World();
  const channels: BroadcastChannel[] = [];
  const { channel } = world.environment();
  const [tab] = await signedIn(world, { channel: (name: string) => (channels.push(channel!(name)), channels.at(-1)) });
  const who = (await tab.session()) as Session;
  const take = (data: unknown) => channels[0]!.dispatchEvent(Object.assign(new Event("message"), { data }));
  take({ over: who.session.id, reason: "signed_out" });
  take({ state: { who, kind: "refresh", token: "access-9", lives: 900, since: 0 }, left: 899 });
  assert.equal(await tab.session(), null);
});

test("under the strategy session the cookie carries it, and a CSRF token goes with what changes something", async () => {
  const world = new World("session");
  const [tab] = await signedIn(world);
  await tab.fetch(DATA);
  await tab.fetch(DATA, { method: "POST" });
  const sent = world.calls("/data").map((each) => [each.headers.get("authorization"), each.headers.get("x-csrf-token"), each.credentials]);
  assert.deepEqual(sent, [[null, null, "include"], [null, "csrf-s1", "include"]]);
  const reloaded = world.tab();
  assert.equal((await reloaded.session())?.session.id, "s1");
  world.end("idle");
  assert.equal((await reloaded.fetch(DATA)).status, 401);
  await settle();
  assert.equal(await tab.session(), null);
});

test("under the strategy jwt nothing is renewed: the session is over with its token", async () => {
  const world = new World("jwt");
  const [tab, told] = await signedIn(world, { carrier: "token" });
  assert.equal((await tab.fetch(DATA)).status, 200);
  world.time += AN_HOUR;
  assert.equal((await tab.fetch(DATA)).status, 401);
  assert.equal(world.calls("/v1/token").length, 0);
  assert.equal(told.length, 2);
});

/** As a page of another origin. */
async function elsewhere(work: () => Promise<void>): Promise<void> {
  Object.defineProperty(globalThis, "location", { value: { href: "https://app.example.test/" }, configurable: true });
  try {
    await work();
  } finally {
    Reflect.deleteProperty(globalThis, "location");
  }
}

for (const strategy of ["hybrid", "session"] as const) {
  test(`${strategy}: a browser that keeps no cookie for the page is found out when signing in`, () =>
    elsewhere(async () => {
      const world = new World(strategy);
      world.keepsCookies = false;
      const tab = world.tab();
      await assert.rejects(tab.signIn(ADA), codeOf("cookie_not_kept"));
      assert.equal(world.storage.size, 0);
      assert.equal(await tab.session(), null);
      assert.equal(world.seen.filter((each) => each.method === "DELETE").length, 1);
    }));

  test(`${strategy}: where it keeps the cookie, a page of another origin signs in as any`, () =>
    elsewhere(async () => {
      const world = new World(strategy);
      const [tab] = await signedIn(world);
      world.time += AN_HOUR;
      assert.equal((await tab.fetch(DATA, { method: "POST" })).status, 200);
      assert.equal(world.storage.size, 0);
    }));
}

test("a page of another origin whose first use of the cookie is lost has signed in, and goes on with its key", () =>
  elsewhere(async () => {
    const world = new World();
    let left = 1;
    world.fate = ({ path }) => (path === "/v1/token" && left-- > 0 ? "lost" : undefined);
    const [tab] = await signedIn(world);
    world.time += AN_HOUR;
    assert.equal((await tab.fetch(DATA)).status, 200);
    assert.deepEqual(world.ended, {});
  }));

test("with the carrier token the refresh token stays in this page's memory, and no cookie is sent or taken", async () => {
  const world = new World();
  const [tab] = await signedIn(world, { carrier: "token" });
  for (const _ of [1, 2]) {
    world.time += AN_HOUR;
    assert.equal((await tab.fetch(DATA)).status, 200);
  }
  assert.deepEqual(world.calls("/v1/token").map((each) => new URLSearchParams(each.body).get("refresh_token")), ["s1.0", "s1.1"]);
  assert.deepEqual(new Set(world.calls("/v1/token").map((each) => each.credentials)), new Set(["omit"]));
  assert.equal(world.storage.size, 0);
  const asked = world.calls("/v1/token").length;
  const other = world.tab({ carrier: "token" });
  await tab.signIn(ADA);
  await settle();
  assert.equal(await other.session(), null);
  assert.equal(world.calls("/v1/token").length, asked);
  world.time += AN_HOUR;
  await tab.signOut();
  assert.deepEqual(world.ended, { s2: "signed_out" });
});

test("a page that may store nothing works", async () => {
  const world = new World();
  const refuse = () => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  };
  const [tab] = await signedIn(world, { storage: { getItem: refuse, setItem: refuse, removeItem: refuse } });
  let left = 1;
  world.fate = ({ path }) => (path === "/v1/token" && left-- > 0 ? "lost" : undefined);
  world.time += AN_HOUR;
  assert.equal((await tab.fetch(DATA)).status, 200);
});

test("nothing is kept but the key of an attempt that is under way", async () => {
  const world = new World();
  const kept: string[] = [];
  const storage = { ...world.environment().storage!, setItem: (_: string, value: string) => void kept.push(value) };
  const [tab] = await signedIn(world, { storage });
  world.time += AN_HOUR;
  await tab.fetch(DATA);
  await tab.signOut();
  assert.deepEqual(new Set(kept), new Set(world.calls("/v1/token").map((each) => each.headers.get("idempotency-key"))));
});

test("calls to Doorward follow no redirect: a credential would go where it leads", async () => {
  const world = new World();
  const followed: (string | undefined)[] = [];
  const { fetch } = world.environment();
  await signedIn(world, { fetch: (input: RequestInfo, init: RequestInit) => (followed.push(init.redirect), fetch(input, init)) });
  assert.deepEqual(followed, ["error"]);
});

test("a fetch that is aborted while a renewal hangs rejects at once, and the renewal goes on", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  world.time += AN_HOUR;
  let answer: (response: undefined) => void = () => undefined;
  world.fate = ({ path }) => (path === "/v1/token" ? new Promise<undefined>((done) => (answer = done)) : undefined);
  const stop = new AbortController();
  const { signal } = stop;
  const requests = [tab.fetch(DATA, { signal }), tab.fetch(new Request(DATA, { signal }))];
  const rejected = Promise.all(requests.map((request) => assert.rejects(request, /enough/)));
  await settle();
  stop.abort(new Error("enough"));
  await rejected;
  await assert.rejects(tab.fetch(DATA, { signal }), /enough/);
  assert.equal(world.calls("/data").length, 0);
  world.fate = () => undefined;
  answer(undefined);
  assert.equal((await tab.fetch(DATA)).status, 200);
  assert.equal(world.calls("/v1/token").length, 1);
});

test("where nobody is signed in, no request of a new page is answered with an error", async () => {
  for (const strategy of ["hybrid", "session", "jwt"] as const) {
    const world = new World(strategy);
    const { fetch } = world.environment();
    const statuses: number[] = [];
    const counted: typeof fetch = async (...request) => {
      const response = await fetch(...request);
      statuses.push(response.status);
      return response;
    };
    assert.equal(await world.tab({ fetch: counted }).session(), null);
    assert.deepEqual(statuses, [204, 204]);
  }
});

test("the snapshot is unknown until the server has answered, and the same object until it changes", async () => {
  const world = new World();
  const tab = world.tab();
  const seen: unknown[] = [];
  const stop = tab.subscribe(() => seen.push(tab.snapshot()));
  assert.equal(tab.snapshot(), undefined);
  await tab.session();
  const session = await tab.signIn(ADA);
  assert.equal(tab.snapshot(), session);
  world.time += AN_HOUR;
  await tab.fetch(DATA);
  assert.equal(tab.snapshot(), session);
  await tab.signOut();
  stop();
  await tab.signIn(ADA);
  assert.deepEqual(seen, [null, session, null]);
});

test("events have names: started, renewed, ended with the session and the reason", async () => {
  const world = new World();
  const tab = world.tab();
  const seen: unknown[] = [];
  tab.on("started", ({ session }) => seen.push(["started", session.id]));
  tab.on("renewed", ({ session }) => seen.push(["renewed", session.id]));
  const stop = tab.on("ended", ({ session }, reason) => seen.push(["ended", session.id, reason]));
  await tab.signIn(ADA);
  world.time += AN_HOUR;
  await tab.fetch(DATA);
  world.end("admin");
  await tab.fetch(DATA);
  stop();
  await tab.signIn(ADA);
  await tab.signOut();
  assert.deepEqual(seen, [["started", "s1"], ["renewed", "s1"], ["ended", "s1", "admin"], ["started", "s2"]]);
});

test("a listener that throws keeps neither the others from being called nor the session from being renewed", async (context) => {
  const reported = context.mock.method(console, "error", () => undefined);
  const world = new World();
  const tab = world.tab();
  const seen: string[] = [];
  for (const name of ["started", "renewed"] as const) {
    tab.on(name, () => {
      throw new Error("a bug of the application");
    });
    tab.on(name, () => seen.push(name));
  }
  await tab.signIn(ADA);
  world.time += AN_HOUR;
  assert.equal((await tab.fetch(DATA)).status, 200);
  assert.deepEqual(seen, ["started", "renewed"]);
  assert.equal(reported.mock.callCount(), 2);
});

test("a listener may call the client, and wait for it, whatever the event is", async () => {
  const world = new World();
  const tab = world.tab();
  const answers: unknown[] = [];
  for (const name of ["started", "renewed"] as const)
    tab.on(name, async () => answers.push(name, (await tab.fetch(DATA)).status, (await tab.session())?.session.id));
  tab.on("ended", async () => answers.push("ended", await tab.session(), (await tab.signIn(ADA)).session.id));
  await tab.signIn(ADA);
  await settle();
  world.time += AN_HOUR;
  await tab.fetch(DATA);
  await settle();
  await tab.signOut();
  await settle();
  assert.deepEqual(answers.map(String).sort(), ["started", 200, "s1", "renewed", 200, "s1", "started", 200, "s2", "ended", null, "s2"].map(String).sort());
});

test("token() gives an access token that is good, and null where there is none", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  const first = await tab.token();
  world.time += AN_HOUR;
  const second = await tab.token();
  assert.ok(first && second && first !== second);
  await tab.signOut();
  assert.equal(await tab.token(), null);
  const [byCookie] = await signedIn(new World("session"));
  assert.equal(await byCookie.token(), null);
});

test("the account's sessions are listed, and one of them is ended", async () => {
  const world = new World();
  const [tab, told] = await signedIn(world);
  assert.deepEqual((await tab.sessions()).map((each) => [each.id, each.current]), [["s1", true], ["s0", false]]);
  await tab.endSession("s0");
  assert.deepEqual(told, ["s1"]);
  await tab.endSession("s1");
  assert.deepEqual(told, ["s1", "signed_out"]);
  await assert.rejects(tab.sessions(), codeOf("not_authenticated"));
});

test("a changed password renews the access token, since older ones are refused", async () => {
  const world = new World();
  const [tab] = await signedIn(world);
  const before = await tab.token();
  await tab.changePassword({ current: ADA.password, next: "eight copper pans ring at dusk" });
  assert.deepEqual(JSON.parse(world.calls("/v1/password")[0]!.body), {
    current_password: ADA.password,
    new_password: "eight copper pans ring at dusk",
  });
  assert.notEqual(await tab.token(), before);
  const refusals = world.calls("/data").length;
  assert.equal((await tab.fetch(DATA)).status, 200);
  assert.equal(world.calls("/data").length, refusals + 1);
});

test("a wrong current password is an error of its own, and signs nobody out", async () => {
  const world = new World();
  const [tab, told] = await signedIn(world);
  world.fate = ({ path }) => (path === "/v1/password" ? problem(401, "invalid_credentials") : undefined);
  await assert.rejects(tab.changePassword({ current: "wrong", next: "x" }), codeOf("invalid_credentials"));
  assert.equal(world.calls("/v1/password").length, 1);
  assert.deepEqual(told, ["s1"]);
});

test("whether to remember the session is the server's to know, where it is said", async () => {
  const world = new World();
  await world.tab().signIn({ ...ADA, remember: true });
  await world.tab().signIn(ADA);
  const said = world.calls("/v1/sessions").map((each) => (JSON.parse(each.body) as Record<string, unknown>)["remember"]);
  assert.deepEqual(said, [true, undefined]);
});

/** As a page that is shown and hidden. */
async function inAWindow(work: (comeBack: (hidden?: boolean) => Promise<void>) => Promise<void>): Promise<void> {
  const page = new EventTarget() as EventTarget & { visibilityState: string };
  Object.defineProperty(globalThis, "document", { value: page, configurable: true });
  try {
    await work(async (hidden = false) => {
      page.visibilityState = hidden ? "hidden" : "visible";
      page.dispatchEvent(new Event("visibilitychange"));
      await settle();
    });
  } finally {
    Reflect.deleteProperty(globalThis, "document");
  }
}

for (const strategy of ["hybrid", "session"] as const)
  test(`${strategy}: a page that becomes visible asks whether its session still stands`, () =>
    inAWindow(async (comeBack) => {
      const world = new World(strategy);
      const [tab, told] = await signedIn(world);
      const seen: unknown[] = [];
      tab.subscribe(() => seen.push(tab.snapshot()));
      tab.on("renewed", () => seen.push("renewed"));
      await comeBack();
      assert.deepEqual(seen, []);
      world.end("password_changed");
      await comeBack(true);
      assert.deepEqual(told, ["s1"]);
      await comeBack();
      assert.deepEqual(told, ["s1", "password_changed"]);
      assert.equal(tab.snapshot(), null);
    }));

test("a page that becomes visible without an answer keeps its session", () =>
  inAWindow(async (comeBack) => {
    const world = new World();
    const [tab, told] = await signedIn(world, { patience: 0 });
    for (const time of [0, AN_HOUR]) {
      world.time += time;
      world.fate = () => "down";
      await comeBack();
    }
    world.fate = () => undefined;
    assert.equal((await tab.fetch(DATA)).status, 200);
    assert.deepEqual(told, ["s1"]);
  }));

test("a client that was disposed of hears nothing more, of the page or of other tabs", () =>
  inAWindow(async (comeBack) => {
    const world = new World();
    const [tab, told] = await signedIn(world);
    const other = world.tab();
    await other.session();
    const asked = world.seen.length;
    tab.dispose();
    world.end("admin");
    await comeBack();
    await other.signOut().catch(() => undefined);
    await settle();
    assert.deepEqual(told, ["s1"]);
    assert.equal(world.seen.slice(asked).some((each) => each.path === "/v1/sessions/current" && each.method === "GET"), true);
    assert.ok(tab.snapshot());
  }));

test("Doorward's own pages say that something may have changed, and each tab asks", async () => {
  const world = new World();
  const waiting = world.tab();
  await waiting.session();
  const channel = world.environment().channel!(`doorward ${BASE}`);
  await world.tab({ channel: undefined }).signIn(ADA);
  channel.postMessage({ look: true });
  await settle();
  assert.equal(waiting.snapshot()?.session.id, "s1");
  world.end("signed_out");
  channel.postMessage({ look: true });
  await settle();
  assert.equal(waiting.snapshot(), null);
});

test("whoever has unsubscribed is told nothing more", async () => {
  const world = new World();
  const tab = world.tab();
  const told: unknown[] = [];
  tab.onChange((session) => told.push(session))();
  await tab.signIn(ADA);
  assert.deepEqual(told, []);
  assert.equal(json(200, {}).status, 200);
});
