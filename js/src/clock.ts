/**
 * A clock that is never set back, and counts the time that a laptop sleeps, in milliseconds.
 *
 * `performance.now()` stands still during sleep in some browsers; the wall clock goes on, but is set back and forth.
 * Between two looks, the larger step is taken: a token may look older than it is, and is renewed early; never younger.
 */
export function makeClock(steady: () => number = () => performance.now(), wall: () => number = Date.now): () => number {
  let [atSteady, atWall, elapsed] = [steady(), wall(), 0];
  return () => {
    const [nowSteady, nowWall] = [steady(), wall()];
    elapsed += Math.max(nowSteady - atSteady, nowWall - atWall, 0);
    [atSteady, atWall] = [nowSteady, nowWall];
    return elapsed;
  };
}
