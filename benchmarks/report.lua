-- What a run of wrk found, for a program to read: times in microseconds.
-- BODY in its surroundings is posted; PAUSE_MS is how long a connection rests between an answer and its next request.
wrk.body = os.getenv("BODY")
if wrk.body then wrk.method = "POST" end

local pause = tonumber(os.getenv("PAUSE_MS") or 0)
if pause > 0 then
  delay = function() return pause end
end

done = function(summary, latency, _)
  local wrong = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout
  io.write(string.format('{"requests": %d, "duration": %d, "wrong": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, wrong, latency:percentile(50), latency:percentile(99)))
end

-- A file with a header in each line, named after `--`: each request sends another one of them, in turns.
init = function(arguments)
  if arguments[1] == nil then return end
  local requests, turn = {}, 0
  for line in io.lines(arguments[1]) do
    local name, value = line:match("^(.-): (.*)$")
    requests[#requests + 1] = wrk.format(nil, nil, { Host = wrk.headers["Host"], [name] = value })
  end
  request = function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end
