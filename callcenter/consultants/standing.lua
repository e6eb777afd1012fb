-- How a waiting call stands: reads only. The keys are explained in desk.lua.
-- call, language -> { place among those who wait for the language (0: it does not wait),
--   average seconds of a conversation ('' while unknown),
--   for each language in which somebody is signed in: language, number of consultants, ... }

local function waits(call, language) -- its controller being alive, it is one that can be served
  local entry = redis.call('HGET', 'desk:calls', call) or ' '
  local controller, wanted = string.match(entry, '^(%S*) (%S*)')
  return wanted == language and redis.call('ZSCORE', 'desk:controllers', controller)
end

local function place(call, language)
  local own = redis.call('ZRANK', 'desk:waiting', call)
  if not own then return 0 end
  local before = 0
  if own > 0 then
    for _, other in ipairs(redis.call('ZRANGE', 'desk:waiting', 0, own - 1)) do
      if waits(other, language) then before = before + 1 end
    end
  end
  return before + 1
end

local GONE = { UNAVAILABLE = true, INVALID = true, UNKNOWN = true }

local function is_signed_in(extension)
  local entry = redis.call('HGET', 'desk:states', extension)
  local device = redis.call('HGET', 'desk:devices', extension)
  return entry and not string.match(entry, '^signed_out ')
    and device and not GONE[string.match(device, ' (.*)$')]
end

local function signed_in() -- language -> number of consultants who are at work, paused or not
  local count = {}
  local roster = redis.call('HGETALL', 'desk:roster')
  for i = 1, #roster, 2 do
    if is_signed_in(roster[i]) then
      for language in string.gmatch(roster[i + 1], '%S+') do
        count[language] = (count[language] or 0) + 1
      end
    end
  end
  return count
end

local answer = { place(ARGV[1], ARGV[2]), redis.call('GET', 'desk:handling') or '' }
for language, count in pairs(signed_in()) do
  table.insert(answer, language)
  table.insert(answer, count)
end
return answer
