-- What a run of wrk found, for a program to read: times in microseconds.
-- BODY in its surroundings is posted; PAUSE_MS is how long a connection rests between an answer and its next request.
wrk.body = os.getenv("BODY")
if wrk.body then wrk.method = "POST" end

local pause = tonumber(os.getenv("PAUSE_MS"))
if pause > 0 then
  delay = function() return pause end
end

done = function(summary, latency, _)
  local wrong = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout
  io.write(string.format('{"requests": %d, "duration": %d, "wrong": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, wrong, latency:percentile(50), latency:percentile(99)))
end
