/** A few questions, and what follows from the answers. */

export const QUESTIONS = [
  { name: "client", asks: "What do people use?", choices: { pages: "Pages from my server", spa: "A single-page application", mobile: "A mobile or command-line application", machines: "Machines that come for minutes" } },
  { name: "services", asks: "Who checks who is signed in?", choices: { one: "One application", several: "Several services" } },
  { name: "origin", asks: "Where is the page?", choices: { same: "Where the API is", site: "Another origin of its site", other: "Another site" } },
  { name: "out", asks: "When somebody is signed out, how soon must that hold?", choices: { now: "With the next request, everywhere", soon: "Within seconds" } },
];

/**
 * @param {{client: string, services: string, origin: string, out: string}} answers
 * @returns {{strategy: string, carrier: string, because: string[], settings: string[]}}
 */
export function recommend({ client, services, origin, out }) {
  const settings = [];
  const because = [];
  let strategy = "hybrid";
  let carrier = client === "spa" && origin !== "other" ? "cookie" : "token";
  if (client === "machines") {
    strategy = "jwt";
    because.push("There is nothing to renew and nothing to keep: a token for as long as the work takes.");
  } else if (client === "pages" && services === "one") {
    strategy = "session";
    carrier = "cookie";
    because.push("The cookie is small, no script can read it, and ending the session is immediate.");
  } else if (client === "pages") {
    carrier = "cookie";
    because.push("Each service verifies alone, in memory; the cookie keeps people signed in.");
  } else {
    because.push(
      services === "several"
        ? "Each service verifies alone, in memory, and the feed tells it of every session that ends."
        : "A short access token, and a refresh token that gives its thief away.",
    );
    because.push(
      carrier === "cookie"
        ? "The refresh token is in an HttpOnly cookie, out of every script’s reach."
        : client === "spa"
          ? "No browser keeps a cookie for a page of another site: tokens stay in memory. Better, let the page’s own server hand /v1/ on."
          : "There is no browser to keep a cookie: the refresh token goes into the system’s keychain.",
    );
  }
  settings.push(`strategy = "${strategy}"`);
  if (client === "spa" && origin !== "same") {
    settings.push(origin === "site" ? 'issuer = "https://api.example.com"' : 'issuer = "https://doorward.example.net"');
    settings.push('cors_origins = ["https://app.example.com"]');
  }
  if (out === "now" && strategy !== "session") {
    settings.push("max_staleness = 1");
    because.push('Routes that cannot wait ask for revocation="immediate": refused rather than guessed where a service has lost touch.');
  }
  return { strategy, carrier, because, settings };
}
