-- Who waits, who is free, who is leased to whom. One atomic step of the desk: an operation, then
-- whoever can be matched is matched. See desk.py for what each operation means.
--
-- desk:roster      hash  extension -> languages, separated by spaces
-- desk:devices     hash  extension -> "STAMP STATE", the switch's last word on the telephone
-- desk:idle        zset  extension -> since when free (longest idle first)
-- desk:leases      zset  extension -> when the lease ends unless it is renewed
-- desk:held        hash  call -> extension leased to it
-- desk:waiting     zset  call -> its place, see order.py
-- desk:handling    seconds that a conversation takes a consultant, a moving average
-- desk:calls       hash  call -> "CONTROLLER LANGUAGE"
-- desk:offers:NAME list  "CALL EXTENSION", for the controller of this name to take
-- desk:controllers zset  controller -> until when it counts as alive

local LEASE = 5 -- seconds; controllers renew every second
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

local function consider(extension) -- idle is: on the roster, telephone free, not leased
  local device = redis.call('HGET', 'desk:devices', extension)
  local state = device and string.match(device, ' (.*)$')
  if state == 'NOT_INUSE' and redis.call('HEXISTS', 'desk:roster', extension) == 1
      and not redis.call('ZSCORE', 'desk:leases', extension) then
    redis.call('ZADD', 'desk:idle', 'NX', now, extension)
  else
    redis.call('ZREM', 'desk:idle', extension)
  end
end

local function offer(call, controller, extension)
  redis.call('RPUSH', 'desk:offers:' .. controller, call .. ' ' .. extension)
  redis.call('EXPIRE', 'desk:offers:' .. controller, LEASE)
end

local operation = {}

function operation.roster() -- extension, languages, extension, languages, ...
  local before = redis.call('HKEYS', 'desk:roster')
  redis.call('DEL', 'desk:roster')
  for i = 2, #ARGV, 2 do redis.call('HSET', 'desk:roster', ARGV[i], ARGV[i + 1]) end
  for _, extension in ipairs(before) do consider(extension) end
  for i = 2, #ARGV, 2 do consider(ARGV[i]) end
end

function operation.devices() -- extension, state, stamp, extension, state, stamp, ...
  for i = 2, #ARGV, 3 do
    local known = redis.call('HGET', 'desk:devices', ARGV[i])
    local stamp = known and tonumber(string.match(known, '^(%S+)')) or 0
    if tonumber(ARGV[i + 2]) >= stamp then -- several controllers tell; the latest word counts
      redis.call('HSET', 'desk:devices', ARGV[i], ARGV[i + 2] .. ' ' .. ARGV[i + 1])
      consider(ARGV[i])
    end
  end
end

function operation.wait() -- call, controller, language, place
  local call = ARGV[2]
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then -- the word of it was lost
    offer(call, ARGV[3], extension)
  else
    redis.call('ZADD', 'desk:waiting', ARGV[5], call)
    redis.call('HSET', 'desk:calls', call, ARGV[3] .. ' ' .. ARGV[4])
  end
end

local function handled(seconds)
  local average = tonumber(redis.call('GET', 'desk:handling')) or seconds
  redis.call('SET', 'desk:handling', average + (seconds - average) / 20)
end

function operation.leave() -- call, seconds of rest for its consultant, seconds of talk (0: none)
  local call = ARGV[2]
  if tonumber(ARGV[4]) > 0 then handled(tonumber(ARGV[4])) end
  redis.call('ZREM', 'desk:waiting', call)
  redis.call('HDEL', 'desk:calls', call)
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then
    redis.call('HDEL', 'desk:held', call)
    if tonumber(ARGV[3]) > 0 then
      redis.call('ZADD', 'desk:leases', now + ARGV[3], extension)
    else
      redis.call('ZREM', 'desk:leases', extension)
      consider(extension)
    end
  end
end

function operation.tick() -- controller, all its calls that have a place: it renews their leases
  redis.call('ZADD', 'desk:controllers', now + LEASE, ARGV[2])
  local alive = {}
  for i = 3, #ARGV do
    alive[ARGV[i]] = true
    local extension = redis.call('HGET', 'desk:held', ARGV[i])
    if extension then redis.call('ZADD', 'desk:leases', 'XX', now + LEASE, extension) end
  end
  -- Places of its earlier life, and any whose end was lost; a new one may not be in the list yet.
  for _, call in ipairs(redis.call('ZRANGE', 'desk:waiting', '-inf', now - LEASE, 'BYSCORE')) do
    local entry = redis.call('HGET', 'desk:calls', call) or ''
    if string.match(entry, '^(%S*) ') == ARGV[2] and not alive[call] then
      redis.call('ZREM', 'desk:waiting', call)
      redis.call('HDEL', 'desk:calls', call)
    end
  end
  for _, extension in ipairs(redis.call('ZRANGE', 'desk:leases', '-inf', now, 'BYSCORE')) do
    redis.call('ZREM', 'desk:leases', extension)
    consider(extension)
  end
  redis.call('ZREMRANGEBYSCORE', 'desk:controllers', '-inf', now)
end

local function forget_dead_leases()
  local held = redis.call('HGETALL', 'desk:held')
  for i = 1, #held, 2 do
    if not redis.call('ZSCORE', 'desk:leases', held[i + 1]) then
      redis.call('HDEL', 'desk:held', held[i])
    end
  end
end

local function match()
  local idle = redis.call('ZRANGE', 'desk:idle', 0, -1)
  if #idle == 0 then return end
  local languages = {}
  for i, extension in ipairs(idle) do
    languages[i] = ' ' .. (redis.call('HGET', 'desk:roster', extension) or '') .. ' '
  end
  for _, call in ipairs(redis.call('ZRANGE', 'desk:waiting', 0, -1)) do
    local entry = redis.call('HGET', 'desk:calls', call) or ' '
    local controller, language = string.match(entry, '^(%S*) (.*)$')
    if not redis.call('ZSCORE', 'desk:controllers', controller) then
      redis.call('ZREM', 'desk:waiting', call) -- its controller died
      redis.call('HDEL', 'desk:calls', call)
    else
      for i, extension in ipairs(idle) do
        if string.find(languages[i], ' ' .. language .. ' ', 1, true) then
          redis.call('ZREM', 'desk:idle', extension)
          redis.call('ZADD', 'desk:leases', now + LEASE, extension)
          redis.call('HSET', 'desk:held', call, extension)
          redis.call('ZREM', 'desk:waiting', call)
          redis.call('HDEL', 'desk:calls', call)
          offer(call, controller, extension)
          table.remove(idle, i)
          table.remove(languages, i)
          break
        end
      end
      if #idle == 0 then return end
    end
  end
end

operation[ARGV[1]]()
if ARGV[1] == 'tick' then forget_dead_leases() end
match()
return redis.call('EXISTS', 'desk:roster')
