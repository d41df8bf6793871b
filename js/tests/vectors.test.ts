/** What Python writes is read here: `vectors/problems.json`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decideRenewal, readProblem } from "../src/problems.ts";

interface Vector {
  name: string;
  status: number;
  headers: Record<string, string>;
  body: string;
  read: { code: string; reason: string | null; retry_after: number | null; detail: string };
  renewal: string;
}

const { vectors } = JSON.parse(readFileSync(new URL("../../vectors/problems.json", import.meta.url), "utf8")) as { vectors: Vector[] };

assert.ok(vectors.length > 0);
for (const { name, status, headers, body, read, renewal } of vectors)
  test(name, async () => {
    const error = await readProblem(new Response(body, { status, headers }));
    const found = { code: error.code, reason: error.reason ?? null, retry_after: error.retryAfter ?? null, detail: error.message };
    assert.deepEqual(found, read);
    assert.equal(decideRenewal(error), renewal);
  });
