// One signed-in session of express-session's, as connect-redis puts it into the Redis at the address given.
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const client = await createClient({ url: process.argv[2] }).connect();
const app = express();
const store = new RedisStore({ client });
app.use(session({ store, secret: "a secret for benchmarks alone", resave: false, saveUninitialized: false }));
app.get("/", (request, response) => {
  request.session.user = "acc_0123456789abcdefghij";
  response.end();
});
const server = app.listen(0, "127.0.0.1", async () => {
  await fetch(`http://127.0.0.1:${server.address().port}/`);
  server.close();
  server.closeAllConnections();
  await client.quit();
});
