// better-auth in Express on PostgreSQL, as its documents have it, with joins and, one way, with its cookie cache: what
// they recommend for speed.  Its limit of rates is off: it would be what is measured.
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import pg from "pg";
import { application, handOver, origin, serve, way } from "./serving.mjs";

const auth = betterAuth({
  baseURL: origin,
  secret: "the secret of a peer in benchmarks, thirty-two bytes long",
  database: new pg.Pool({ connectionString: process.env.DATABASE_URL }),
  emailAndPassword: { enabled: true },
  // The cache lasts longer than all rounds together.
  session: { cookieCache: { enabled: way === "cookie cache", maxAge: 5 * 60 } },
  advanced: { database: { joins: true } },
  rateLimit: { enabled: false },
});
const { runMigrations } = await getMigrations(auth.options);
await runMigrations();

const user = { name: "Ada", email: "ada@example.com", password: "seven green kettles whistle at dawn" };
handOver(await auth.api.signUpEmail({ body: user, asResponse: true }));

const app = application();
app.all("/api/auth/*splat", toNodeHandler(auth));
app.get("/me", async (request, response) => {
  const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  if (found) response.json({ account: found.user.id, session: found.session.id });
  else response.status(401).json({});
});
serve(app);
