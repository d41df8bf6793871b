/** The lab's page. */

import { QUESTIONS, recommend } from "./questions.js";
import { thefts, race } from "./stories.js";
import { read } from "./token.js";
import { ask, call, endAndWait, listeners, signIn, visit } from "./wire.js";

const STRATEGIES = {
  session: "An opaque cookie. The server keeps the session, and looks it up.",
  jwt: "A signed token. The server keeps what has been revoked, and nothing else.",
  hybrid: "A short token, and a refresh token that changes with each use.",
};
const REQUESTS = 40;

const $ = (id) => document.getElementById(id);

/** An element with attributes and children; text is never taken for HTML. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== undefined) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A button whose work is done before it can be pressed again. */
function pressed(button, work, after = () => (button.disabled = false)) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await work();
    } finally {
      after();
    }
  });
}

const duration = (seconds) => `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
const verdict = (good, text) => el("span", { class: good ? "good" : "bad" }, text);
const NOTHING = "nothing: answered from memory";
/** The store's operations by their names in the code, which say what they do. */
const asked = ({ asked: each }) => [...new Set(each)].map((name) => named(name, each.filter((other) => other === name).length)).join(", ") || NOTHING;
const named = (name, times) => name.replaceAll("_", " ") + (times > 1 ? ` ×${times}` : "");
const short = (text) => (text.length > 44 ? `${text.slice(0, 40)}…` : text);

// Sign in, and watch

function column(strategy) {
  const facts = el("dl");
  const tell = (rows) => facts.replaceChildren(...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const [enter, send, end] = ["Sign in", "Send a request", "End it elsewhere"].map((text) => el("button", { type: "button" }, text));
  let owner;
  /** What can be pressed: nothing can be sent or ended before somebody has signed in. */
  const ready = () => {
    enter.disabled = false;
    send.disabled = end.disabled = !owner;
  };
  ready();

  pressed(enter, async () => {
    owner = await signIn(strategy);
    const rows = [["session", owner.session]];
    if (owner.cookie) rows.push(["cookie", el("code", {}, short(owner.cookie))]);
    if (owner.token) rows.push(["access token", el("span", {}, el("code", {}, short(owner.token)), " ", reader(owner.token))]);
    if (owner.refresh) rows.push(["refresh token", el("code", {}, short(owner.refresh))]);
    tell(rows);
  }, ready);
  pressed(send, async () => {
    const { status, body, exchange } = await visit(owner);
    tell([
      ["answer", verdict(status === 200, status === 200 ? "200, let in" : `${status} ${body.reason ?? body.code}`)],
      ["travelled", `${exchange.sent_bytes} bytes there, ${exchange.credential_bytes} of them the credential; ${exchange.received_bytes} back`],
      ["of the store", asked(exchange)],
      ["took", `${exchange.microseconds} µs in the server`],
    ]);
  }, ready);
  pressed(end, async () => {
    const { milliseconds, answer, plain } = await endAndWait(owner);
    await visit(owner);
    tell([
      ["Doorward", verdict(true, `refused after ${milliseconds.toFixed(1)} ms: ${answer.body.reason ?? answer.body.code}`)],
      ["plain check", left(plain)],
    ]);
    owner = undefined;
  }, ready);
  return el(
    "article",
    { class: "column", id: `column-${strategy}` },
    el("h3", {}, strategy),
    el("p", {}, STRATEGIES[strategy]),
    el("div", { class: "buttons" }, enter, send, end),
    facts,
  );
}

/** Who checks a signature alone. */
function left(plain) {
  if (!plain) return "there is nothing that a service could check without asking";
  if (!plain.accepts) return verdict(true, "refused: the token has run out");
  return verdict(false, `a service that checks the signature alone lets it in for another ${duration(plain.seconds_left)}`);
}

const reader = (token) =>
  el("button", { type: "button", onclick: () => { $("token").value = token; decode(); $("token").scrollIntoView({ block: "center" }); } }, "read");

// What travelled

const exchanges = [];

function show(exchange) {
  $("wire").hidden = false;
  $("wire-hint").textContent = "As it travelled, headers and all; what is marked is the credential.";
  for (const each of $("exchanges").querySelectorAll("button"))
    each.setAttribute("aria-current", String(Number(each.dataset.number) === exchange.number));
  $("sent").replaceChildren(...marked(exchange.sent));
  $("received").replaceChildren(...marked(exchange.received));
  $("sent-bytes").textContent = `${exchange.sent_bytes} bytes`;
  $("received-bytes").textContent = `${exchange.received_bytes} bytes`;
}

const CREDENTIAL = /((?:^(?:authorization|cookie|set-cookie): |refresh_token=|"(?:access|refresh)_token":")[^\r\n";&]+)/m;
const marked = (text) => text.split(new RegExp(CREDENTIAL, "gm")).map((part) => (CREDENTIAL.test(part) ? el("mark", {}, part) : part));

listeners.push((exchange) => {
  exchanges.unshift(exchange);
  exchanges.length = Math.min(exchanges.length, 40);
  $("exchanges").replaceChildren(
    ...exchanges.map((each) => {
      const [method, path] = each.sent.split(" ", 2);
      const line = `${each.status} ${method} ${path.replace(/^\/lab\/api\/[a-z]+/, "")}`;
      const about = `${each.strategy} · ${each.microseconds} µs · of the store: ${asked(each)}`;
      const button = el("button", { type: "button", onclick: () => show(each) }, line, el("br"), el("small", {}, about));
      button.dataset.number = each.number;
      return el("li", {}, button);
    }),
  );
  show(exchange);
});

// The comparison, measured

async function measure() {
  const measured = [];
  for (const strategy of Object.keys(STRATEGIES)) {
    $("measuring").textContent = `measuring ${strategy} …`;
    const owner = await signIn(strategy);
    const first = await visit(owner);
    const numbers = [];
    for (let n = 0; n < REQUESTS; n++) numbers.push((await visit(owner, call)).number);
    const all = await Promise.all(numbers.map((number) => ask(`exchange?number=${number}`)));
    const times = all.map((each) => each.microseconds).sort((a, b) => a - b);
    const lookups = all.reduce((sum, each) => sum + each.asked.length, 0);
    measured.push({ owner, first: first.exchange, median: times[REQUESTS / 2], lookups, ...(await endAndWait(owner)) });
  }
  const rows = [
    ["A request carries", ({ first }) => `${first.credential_bytes} bytes of credential`],
    ["The first request asks of the store", ({ first }) => asked(first)],
    [`The next ${REQUESTS} ask`, ({ lookups }) => (lookups ? `${lookups} times` : NOTHING)],
    ["The server takes, median", ({ median }) => `${median} µs`],
    ["Ended elsewhere, refused after", ({ milliseconds }) => verdict(true, `${milliseconds.toFixed(1)} ms`)],
    ["Where a service checks signatures alone", ({ plain }) => (plain ? verdict(false, `lets it in for ${duration(plain.seconds_left)}`) : "it cannot")],
    ["Signed in after the token ran out", ({ owner }) => (owner.refresh ? "yes, by the refresh token" : owner.token ? verdict(false, "no") : "yes, until it idles")],
    ["A stolen copy", ({ owner }) => (owner.refresh ? verdict(true, "is found out when both use it") : owner.token ? "works until it runs out" : "works until the session ends")],
  ];
  $("table").tBodies[0].replaceChildren(
    ...rows.map(([name, of]) => el("tr", {}, el("th", { scope: "row" }, name), ...measured.map((each) => el("td", {}, of(each))))),
  );
  $("table").hidden = false;
  $("measuring").textContent = "";
}

// Stories

async function play(list, story) {
  list.replaceChildren();
  for await (const { text, good } of story) list.append(el("li", {}, good === undefined ? text : verdict(good, text)));
  await ahead();
}

// Read a token

function decode() {
  const text = $("token").value;
  const members = text.trim() ? read(text) : [];
  $("unreadable").textContent = members ? "" : "This is no token in three parts.";
  $("claims").hidden = !members?.length;
  const rows = (members ?? []).map(({ member, value, says }) => el("tr", {}, el("td", {}, member), el("td", {}, value), el("td", {}, says)));
  $("claims").tBodies[0].replaceChildren(...rows);
}

// Which one?

function questions() {
  const form = $("questions");
  form.append(
    ...QUESTIONS.map(({ name, asks, choices }) =>
      el("fieldset", {}, el("legend", {}, asks), ...Object.entries(choices).map(([value, text], at) =>
        el("label", {}, el("input", { type: "radio", name, value, checked: at === 0 ? "" : undefined }), text)))),
  );
  const answer = () => {
    const { strategy, carrier, because, settings } = recommend(Object.fromEntries(new FormData(form)));
    $("advice").replaceChildren(
      el("h3", {}, `${strategy}, carried by ${carrier === "cookie" ? "a cookie" : "a token"}`),
      el("ul", {}, ...because.map((each) => el("li", {}, each))),
      el("pre", { tabindex: "0", "aria-label": "doorward.toml" }, ["# doorward.toml", ...settings].join("\n")),
      el("button", { type: "button", onclick: () => navigator.clipboard.writeText(settings.join("\n")) }, "Copy the settings"),
    );
  };
  form.addEventListener("change", answer);
  answer();
}

// The clock

async function ahead() {
  const { ahead: seconds } = await ask("time");
  $("ahead").textContent = seconds ? `${duration(seconds)} ahead` : "on time";
}

for (const strategy of Object.keys(STRATEGIES)) $("columns").append(column(strategy));
for (const button of document.querySelectorAll("[data-leap]"))
  pressed(button, async () => {
    await ask("time", { seconds: Number(button.dataset.leap) });
    await ahead();
  });
for (const button of document.querySelectorAll("[data-theft]")) pressed(button, () => play($("theft"), thefts[button.dataset.theft]()));
pressed($("race"), () => play($("races"), race()));
pressed($("measure"), measure);
$("token").addEventListener("input", decode);
questions();
await ahead();
