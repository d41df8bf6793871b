// better-auth, as its documentation has it in Express, on SQLite: signing in by e-mail and password, and `/me`.
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import express from "express";

const PORT = Number(process.env.PORT);
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${PORT}`,
  database: new DatabaseSync("users.db"),
  emailAndPassword: { enabled: true },
  // Else it refuses the fourth within ten seconds.
  rateLimit: { enabled: false },
  secret: "the secret of a peer in benchmarks, thirty-two bytes long",
});
await (await getMigrations(auth.options)).runMigrations();
const { headers } = await auth.api.signUpEmail({
  body: { name: "Ada", email: "ada@example.com", password: "seven green kettles" },
  returnHeaders: true,
});
const cookies = headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
writeFileSync(process.env.CREDENTIAL, `Cookie: ${cookies.join("; ")}`);

const app = express();
app.all("/api/auth/{*any}", toNodeHandler(auth));
app.get("/", (_, response) => response.json({ hello: "world" }));
app.get("/me", async (request, response) => {
  const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  if (found === null) response.sendStatus(401);
  else response.json({ account: found.user.id, session: found.session.id });
});
app.listen(PORT, "127.0.0.1");
