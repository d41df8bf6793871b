import assert from "node:assert/strict";
import { test } from "node:test";
import { makeClock } from "../src/clock.ts";

for (const [name, steady, wall, elapsed] of [
  ["time that passes", 5_000, 5_000, 5_000],
  ["a laptop that slept, where the steady clock stood still", 0, 3_600_000, 3_600_000],
  ["a wall clock set back", 5_000, -3_600_000, 5_000],
  ["a wall clock set forth, which cannot be told from sleep", 5_000, 3_600_000, 3_600_000],
] as const)
  test(`the clock counts ${name}`, () => {
    const at = { steady: 1_000, wall: 1_700_000_000_000 };
    const now = makeClock(() => at.steady, () => at.wall);
    const before = now();
    at.steady += steady;
    at.wall += wall;
    assert.equal(now() - before, elapsed);
  });
