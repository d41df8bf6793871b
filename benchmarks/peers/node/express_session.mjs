// Express without authentication, or with express-session on Redis as both their documents have it for production.
// No `secure` cookie: this is plain HTTP.
import { once } from "node:events";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";
import { application, handOver, serve, way } from "./serving.mjs";

const app = application();

if (way === "none") {
  app.get("/me", (_, response) => {
    response.json({ account: "acc_0123456789abcdefghij", session: "ses_0123456789abcdefghij" });
  });
} else {
  const client = await createClient({ url: process.env.REDIS_URL }).connect();
  const secret = "the secret of a peer in benchmarks, thirty-two bytes long";
  app.use(session({ store: new RedisStore({ client }), resave: false, saveUninitialized: false, secret }));
  app.post("/login", (request, response, next) => {
    request.session.regenerate((error) => {
      if (error) return next(error);
      request.session.account = "acc_0123456789abcdefghij";
      response.json({});
    });
  });
  app.get("/me", (request, response) => {
    const { account } = request.session;
    if (account) response.json({ account, session: request.sessionID });
    else response.status(401).json({});
  });
  await signIn();
}

async function signIn() {
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  handOver(await fetch(`http://127.0.0.1:${server.address().port}/login`, { method: "POST" }));
  server.close();
}

serve(app);
