-- The load of both systems, for wrk: SYSTEM=quorate|etcd OPERATION=put|get wrk -s load.lua URL
--
-- Keys are chosen at random out of KEYS; values have VALUE_BYTES bytes. Each thread makes POOL requests once and sends
-- them in turn: while it runs, Lua costs next to nothing. etcd is asked through its JSON gateway.
local system, operation = os.getenv("SYSTEM"), os.getenv("OPERATION")
local keys, value_bytes = tonumber(os.getenv("KEYS")), tonumber(os.getenv("VALUE_BYTES"))
local pool = tonumber(os.getenv("POOL"))

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
  local out = {}
  for at = 1, #text, 3 do
    local first, second, third = text:byte(at, at + 2)
    local bits = first * 65536 + (second or 0) * 256 + (third or 0)
    for place = 3, 0, -1 do
      local digit = math.floor(bits / 64 ^ place) % 64
      out[#out + 1] = alphabet:sub(digit + 1, digit + 1)
    end
    if not second then out[#out - 1] = "=" end
    if not third then out[#out] = "=" end
  end
  return table.concat(out)
end

local value = string.rep("x", value_bytes)
local value64 = base64(value)
local json = { ["Content-Type"] = "application/json" }

local make = {}
function make.quorate_put(key) return wrk.format("POST", "/key/" .. key, nil, value) end
function make.quorate_get(key) return wrk.format("GET", "/key/" .. key) end
function make.etcd_put(key)
  return wrk.format("POST", "/v3/kv/put", json, '{"key":"' .. base64(key) .. '","value":"' .. value64 .. '"}')
end
function make.etcd_get(key)
  return wrk.format("POST", "/v3/kv/range", json, '{"key":"' .. base64(key) .. '"}')
end

local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local requests, turn = {}, 0
function init()
  -- The same keys in every run: what is read was written before.
  math.randomseed(number)
  for i = 1, pool do
    requests[i] = make[system .. "_" .. operation](string.format("key-%08d", math.random(0, keys - 1)))
  end
end

function request()
  turn = turn % pool + 1
  return requests[turn]
end

-- One line. What is an error is no operation: a fast error must not look like a high rate.
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("RESULT requests=%d microseconds=%d errors=%d", summary.requests, summary.duration, failed))
  for _, percent in ipairs({ 50, 90, 99, 99.9 }) do
    io.write(string.format(" p%g=%d", percent, latency:percentile(percent)))
  end
  io.write(string.format(" max=%d\n", latency.max))
end
