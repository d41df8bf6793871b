// jose.  Reads what to verify from standard input, then seconds, line by line; answers each with a rate.
import { createInterface } from "node:readline";
import { stdin, stdout } from "node:process";
import { importJWK, jwtVerify } from "jose";

// What a server has under way: jose hands each signature to another thread, and waits for it.
const AT_ONCE = 32;

const lines = createInterface({ input: stdin })[Symbol.asyncIterator]();
const job = JSON.parse((await lines.next()).value);
const key = await imported(job.jwk, job.algorithm);
const options = {
  algorithms: [job.algorithm],
  issuer: job.issuer,
  audience: job.audience,
  requiredClaims: job.required,
};

async function imported(jwk, algorithm) {
  const key = await importJWK(jwk, algorithm);
  if (!(key instanceof Uint8Array)) return key;
  // Bytes would be imported anew with each token.
  return crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
}

// Of all its threads.
const secondsOfCores = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

let turn = 0;
for await (const line of lines) {
  const seconds = Number(line);
  let done = 0;
  const begun = secondsOfCores();
  const verify = async () => {
    while (secondsOfCores() - begun < seconds) {
      await jwtVerify(job.tokens[turn++ % job.tokens.length], key, options);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, verify));
  stdout.write(`${done / (secondsOfCores() - begun)}\n`);
}
