// One signed-in session of better-auth's, in the tables that it makes in the PostgreSQL at the address given.
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import pg from "pg";

const database = new pg.Pool({ connectionString: process.argv[2] });
const auth = betterAuth({
  baseURL: "http://127.0.0.1:8000",
  database,
  emailAndPassword: { enabled: true },
  secret: "the secret of a peer in benchmarks, thirty-two bytes long",
});
await (await getMigrations(auth.options)).runMigrations();
await auth.api.signUpEmail({
  body: { name: "Ada", email: "ada@example.com", password: "seven green kettles" },
  headers: new Headers({ "x-forwarded-for": "203.0.113.77" }),
});
await database.end();
