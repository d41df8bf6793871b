-- Refreshing over and over: each answer brings the token for the next request.  Every connection asks again once it has
-- been answered, so there are as many tokens on hand as connections that are not waiting.
--
-- wrk ... -s rotate.lua ADDRESS -- TOKENS FIRST COUNT METHOD PATH TYPE BODY MEMBER COOKIE
-- TOKENS is a file with a token a line, of which COUNT from number FIRST are taken.  "{token}" in BODY and COOKIE is the
-- token; MEMBER is where the answer has the next one, and empty where a token stays as it is.
local tokens, head, tail = {}, 1, 0
local method, path, headers, body, cookie, pattern
local tried = false

function init(args)
  local first, count, number = tonumber(args[2]), tonumber(args[3]), 0
  for token in io.lines(args[1]) do
    if number >= first and number < first + count then
      tail = tail + 1
      tokens[tail] = token
    end
    number = number + 1
  end
  method, path, body, cookie = args[4], args[5], args[7], args[9]
  headers = { ["Content-Type"] = args[6], ["Accept"] = "application/json" }
  pattern = args[8] ~= "" and '"' .. args[8] .. '":%s*"([^"]+)"' or nil
end

local function with(text, token)
  return (text:gsub("{token}", function() return token end))
end

function request()
  local token = tokens[head] or "there is none"
  if tried then -- once, before it begins, wrk only looks at what is asked
    head = head + 1
    if not pattern then
      tail = tail + 1
      tokens[tail] = token
    end
    tokens[head - 1] = nil
  end
  tried = true
  if cookie ~= "" then
    headers["Cookie"] = with(cookie, token)
  end
  return wrk.format(method, path, headers, body ~= "" and with(body, token) or nil)
end

function response(_, _, answer)
  if pattern then
    tail = tail + 1
    tokens[tail] = answer:match(pattern)
  end
end

function done(summary, latency, _)
  local wrong = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout
  io.write(string.format('{"requests": %d, "duration": %d, "wrong": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, wrong, latency:percentile(50), latency:percentile(99)))
end
