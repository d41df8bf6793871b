// better-auth on PostgreSQL, with e-mail and password.  It has no refresh tokens: a session is extended instead, here
// whenever it is looked at (updateAge 0), and its token stays as it is.

import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import pg from "pg";

const { DATABASE, TOKENS, PORT } = process.env;
const [accounts, sessions] = [Number(process.env.ACCOUNTS ?? 0), Number(process.env.SESSIONS ?? 0)];
const password = "seven green kettles whistle at dawn";

const auth = betterAuth({
  baseURL: `http://127.0.0.1:${PORT}`,
  secret: "a secret for benchmarks alone, of no use to anybody",
  database: new pg.Pool({ connectionString: DATABASE, max: 10 }),
  emailAndPassword: {
    enabled: true,
    // Checking passwords is not what is compared.
    password: { hash: async (text) => text, verify: async ({ hash, password }) => hash === password },
  },
  session: { updateAge: 0 },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});

await (await getMigrations(auth.options)).runMigrations();

const cookieOf = (headers) => headers.getSetCookie().map((cookie) => cookie.split(";")[0]).join("; ");
const signUp = (email) => auth.api.signUpEmail({ body: { name: email, email, password } });
const signIn = async (email) => cookieOf((await auth.api.signInEmail({ body: { email, password }, returnHeaders: true })).headers);

for (let number = 0; number < accounts; number++) await signUp(`ada${number}@example.com`);
const tokens = [];
if (sessions) await signUp("owner@example.com");
for (let number = 0; number < sessions; number++) tokens.push(await signIn("owner@example.com"));
writeFileSync(TOKENS, tokens.map((token) => `${token}\n`).join(""));

const own = toNodeHandler(auth);
createServer((request, response) => {
  if (request.url !== "/") return own(request, response);
  response.setHeader("content-type", "application/json");
  response.end('{"hello":"world"}');
}).listen(Number(PORT), "127.0.0.1");
