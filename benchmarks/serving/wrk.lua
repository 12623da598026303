-- wrk ... URL -- COUNT FOLDER HEADER: VALUE ...: posts the files FOLDER/0 to FOLDER/<COUNT - 1> in turns.
-- The last line of the output is JSON.
local requests = {}
local turn = 0

function init(args)
  for place = 3, #args do
    local name, value = args[place]:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
  for number = 0, args[1] - 1 do
    local file = assert(io.open(args[2] .. "/" .. number, "rb"))
    requests[number] = wrk.format("POST", nil, nil, file:read("*a"))
    file:close()
  end
end

function request()
  turn = (turn + 1) % (#requests + 1)
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p99": %.6f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
