-- Who waits, who is free, who is leased to whom, and what each consultant is doing. One atomic step
-- of the desk: an operation, then whoever can be matched is matched. See desk.py and presence.py for
-- what each operation means; script.py puts the rules (RULES, LEGAL) before this text.
--
-- desk:roster      hash  extension -> languages, separated by spaces
-- desk:devices     hash  extension -> "STAMP STATE", the switch's last word on the telephone
-- desk:states      hash  extension -> "STATE SINCE REASON BY" (see states.py), - for no reason
-- desk:after       hash  extension -> "STATE REASON BY", what comes after the conversation
-- desk:changes     stream of changes of states, until they are in the database
-- desk:missed      hash  extension -> offers in a row that were not answered
-- desk:wrap_up     zset  extension -> when the time after a conversation ends
-- desk:gone        zset  extension -> since when a signed-in consultant's telephone is away
-- desk:idle        zset  extension -> since when free (longest idle first)
-- desk:leases      zset  extension -> when the lease (or a rest) ends unless it is renewed
-- desk:holders     hash  extension -> "CALL CONTROLLER" that it is leased to
-- desk:held        hash  call -> extension leased to it
-- desk:waiting     zset  call -> its place, see order.py
-- desk:handling    seconds that a conversation takes a consultant, a moving average
-- desk:calls       hash  call -> "CONTROLLER LANGUAGE ARRIVAL"
-- desk:offers:NAME list  "CALL EXTENSION", for the controller of this name to take; with a third
--                        word, withdrawn, the consultant is not to be rung any more
-- desk:controllers zset  controller -> until when it counts as alive

local LEASE = 5 -- seconds; controllers renew every second
local REST = 5 -- seconds before a consultant who did not answer is offered another call
local MISSES = 2 -- offers in a row that are not answered before the consultant is paused
local KEPT = 100000 -- changes that may wait for the database
local UNREGISTERED = {UNAVAILABLE = true, INVALID = true, UNKNOWN = true}
local IN_USE = {INUSE = true, BUSY = true, ONHOLD = true, RINGINUSE = true}
local ENGAGED = {offered = true, ringing = true, talking = true}
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local moves = 0

local function telephone(extension)
  local device = redis.call('HGET', 'desk:devices', extension)
  return device and string.match(device, ' (.*)$') or 'UNKNOWN'
end

local function on_roster(extension) return redis.call('HEXISTS', 'desk:roster', extension) == 1 end

local function is_leased(extension) return redis.call('ZSCORE', 'desk:leases', extension) end

local function standing(extension) -- state, reason
  local entry = redis.call('HGET', 'desk:states', extension)
  if not entry then return 'signed_out', '-' end
  local state, _, reason = string.match(entry, '^(%S+) (%S+) (%S+)')
  return state, reason
end

local function move(extension, state, reason, by)
  local before, why = standing(extension)
  if before == state and why == reason then return end
  if before ~= state and not LEGAL[before .. ' ' .. state] then
    error('ILLEGAL ' .. before .. ' ' .. state)
  end
  moves = moves + 1 -- two moves in one step have an order
  local at = string.format('%.6f', now + moves / 1000000)
  redis.call('HSET', 'desk:states', extension, table.concat({state, at, reason, by}, ' '))
  if state ~= 'wrap_up' then redis.call('ZREM', 'desk:wrap_up', extension) end
  if state == 'ready' or state == 'signed_out' then redis.call('HDEL', 'desk:after', extension) end
  redis.call('XADD', 'desk:changes', 'MAXLEN', '~', KEPT, '*', 'extension', extension,
    'state', state, 'reason', reason, 'at', at, 'by', by)
end

local function sign_in_or_out(extension) -- as the telephone and the roster have it
  local state, reason = standing(extension)
  local away = UNREGISTERED[telephone(extension)]
  if ENGAGED[state] then return end
  if not on_roster(extension) then
    if state ~= 'signed_out' then move(extension, 'signed_out', 'off_roster', 'desk') end
  elseif not away then
    redis.call('ZREM', 'desk:gone', extension)
    if not RULES.sign_in_required and state == 'signed_out' and reason ~= 'asked' then
      redis.call('HDEL', 'desk:missed', extension)
      move(extension, 'ready', '-', 'desk')
    end
  elseif not RULES.sign_in_required and (state ~= 'paused' or reason == 'missed') then
    if redis.call('HEXISTS', 'desk:states', extension) == 1 then
      move(extension, 'signed_out', 'telephone', 'desk')
    end
  elseif state ~= 'signed_out' then
    redis.call('ZADD', 'desk:gone', 'NX', now, extension)
  end
end

local function settle(extension, how) -- the lease is over: what comes after it
  local after = redis.call('HGET', 'desk:after', extension)
  redis.call('HDEL', 'desk:after', extension)
  local missed = 0
  if how == 'unanswered' then missed = redis.call('HINCRBY', 'desk:missed', extension, 1) end
  if how == 'talked' then redis.call('HDEL', 'desk:missed', extension) end
  if after then
    move(extension, string.match(after, '^(%S+) (%S+) (%S+)$'))
  elseif missed >= MISSES then
    redis.call('HDEL', 'desk:missed', extension)
    move(extension, 'paused', 'missed', 'desk')
  elseif how == 'talked' and RULES.wrap_up > 0 then
    move(extension, 'wrap_up', '-', 'desk')
    redis.call('ZADD', 'desk:wrap_up', now + RULES.wrap_up, extension)
  else
    move(extension, 'ready', '-', 'desk')
    if how == 'unanswered' then redis.call('ZADD', 'desk:leases', now + REST, extension) end
  end
end

local function release(extension)
  local holder = redis.call('HGET', 'desk:holders', extension)
  if holder then redis.call('HDEL', 'desk:held', string.match(holder, '^%S+')) end
  redis.call('HDEL', 'desk:holders', extension)
  redis.call('ZREM', 'desk:leases', extension)
end

local function consider(extension) -- idle is: ready, telephone free, not leased
  if standing(extension) == 'talking' and not is_leased(extension)
      and not IN_USE[telephone(extension)] then
    settle(extension, 'talked') -- a conversation that outlived its controller
  end
  sign_in_or_out(extension)
  if standing(extension) == 'ready' and telephone(extension) == 'NOT_INUSE'
      and not is_leased(extension) then
    redis.call('ZADD', 'desk:idle', 'NX', now, extension)
  else
    redis.call('ZREM', 'desk:idle', extension)
  end
end

local function offer(call, controller, extension, withdrawn)
  local word = call .. ' ' .. extension .. (withdrawn and ' withdrawn' or '')
  redis.call('RPUSH', 'desk:offers:' .. controller, word)
  redis.call('EXPIRE', 'desk:offers:' .. controller, LEASE)
end

local operation = {}

function operation.roster() -- extension, languages, last known state, its reason and time, ...
  local before = redis.call('HKEYS', 'desk:roster')
  redis.call('DEL', 'desk:roster')
  for i = 2, #ARGV, 5 do
    local extension, state = ARGV[i], ARGV[i + 2]
    redis.call('HSET', 'desk:roster', extension, ARGV[i + 1])
    if state ~= '' and redis.call('HEXISTS', 'desk:states', extension) == 0 then
      local known = {state, ARGV[i + 4], ARGV[i + 3], 'desk'}
      redis.call('HSET', 'desk:states', extension, table.concat(known, ' '))
      -- No lease, no end of a wrap-up outlived the loss of our memory.
      if ENGAGED[state] or state == 'wrap_up' then move(extension, 'ready', '-', 'desk') end
    end
  end
  for _, extension in ipairs(before) do consider(extension) end
  for i = 2, #ARGV, 5 do consider(ARGV[i]) end
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

function operation.ask() -- extension, state, reason, by: what a person wants; returns the state
  local extension, wanted = ARGV[2], ARGV[3]
  if not on_roster(extension) then return redis.error_reply('OFFROSTER') end
  local state = standing(extension)
  if wanted == 'ready' then
    redis.call('HDEL', 'desk:missed', extension)
    redis.call('HDEL', 'desk:after', extension)
  end
  if state == 'talking' and wanted ~= 'ready' then
    redis.call('HSET', 'desk:after', extension, table.concat({wanted, ARGV[4], ARGV[5]}, ' '))
  elseif not ENGAGED[state] or wanted ~= 'ready' then
    if state ~= wanted and not LEGAL[state .. ' ' .. wanted] then
      return redis.error_reply('ILLEGAL ' .. state .. ' ' .. wanted)
    end
    local holder = redis.call('HGET', 'desk:holders', extension)
    if holder then
      local call, controller = string.match(holder, '^(%S+) (%S+)$')
      offer(call, controller, extension, true)
    end
    release(extension) -- a rest ends as well
    move(extension, wanted, ARGV[4], ARGV[5])
    consider(extension)
  end
  return (standing(extension))
end

function operation.wait() -- call, controller, language, place, arrival
  local call = ARGV[2]
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then -- the word of it was lost
    offer(call, ARGV[3], extension)
  else
    redis.call('ZADD', 'desk:waiting', ARGV[5], call)
    redis.call('HSET', 'desk:calls', call, table.concat({ARGV[3], ARGV[4], ARGV[6]}, ' '))
  end
end

function operation.stage() -- call, ringing or talking: how far the offer has come
  local extension = redis.call('HGET', 'desk:held', ARGV[2])
  if extension and LEGAL[standing(extension) .. ' ' .. ARGV[3]] then
    if ARGV[3] == 'talking' then redis.call('HDEL', 'desk:missed', extension) end
    move(extension, ARGV[3], '-', 'desk')
  end
end

local function handled(seconds)
  local average = tonumber(redis.call('GET', 'desk:handling')) or seconds
  redis.call('SET', 'desk:handling', average + (seconds - average) / 20)
end

function operation.leave() -- call, became of its lease (unused, unanswered, talked), seconds of talk
  local call = ARGV[2]
  if ARGV[3] == 'talked' then handled(tonumber(ARGV[4])) end
  redis.call('ZREM', 'desk:waiting', call)
  redis.call('HDEL', 'desk:calls', call)
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then
    release(extension)
    settle(extension, ARGV[3])
    consider(extension)
  end
end

local function lease_ended(extension) -- nobody renewed it, or a rest is over
  release(extension)
  local state = standing(extension)
  if state == 'offered' or state == 'ringing' then settle(extension, 'unused') end
  consider(extension)
end

local function due(key, before)
  return ipairs(redis.call('ZRANGE', key, '-inf', before, 'BYSCORE'))
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
  for _, call in due('desk:waiting', now - LEASE) do
    local entry = redis.call('HGET', 'desk:calls', call) or ''
    if string.match(entry, '^(%S*) ') == ARGV[2] and not alive[call] then
      redis.call('ZREM', 'desk:waiting', call)
      redis.call('HDEL', 'desk:calls', call)
    end
  end
  for _, extension in due('desk:leases', now) do lease_ended(extension) end
  for _, extension in due('desk:wrap_up', now) do
    move(extension, 'ready', '-', 'desk')
    consider(extension)
  end
  for _, extension in due('desk:gone', now - RULES.away_limit) do
    if not ENGAGED[standing(extension)] then
      redis.call('ZREM', 'desk:gone', extension)
      if standing(extension) ~= 'signed_out' then
        move(extension, 'signed_out', 'telephone', 'desk')
      end
      consider(extension)
    end
  end
  redis.call('ZREMRANGEBYSCORE', 'desk:controllers', '-inf', now)
end

local function lease(call, controller, extension)
  redis.call('ZREM', 'desk:idle', extension)
  redis.call('ZADD', 'desk:leases', now + LEASE, extension)
  redis.call('HSET', 'desk:holders', extension, call .. ' ' .. controller)
  redis.call('HSET', 'desk:held', call, extension)
  redis.call('ZREM', 'desk:waiting', call)
  redis.call('HDEL', 'desk:calls', call)
  move(extension, 'offered', '-', 'desk')
  offer(call, controller, extension)
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
    local controller, language = string.match(entry, '^(%S*) (%S*)')
    if not redis.call('ZSCORE', 'desk:controllers', controller) then
      redis.call('ZREM', 'desk:waiting', call) -- its controller died
      redis.call('HDEL', 'desk:calls', call)
    else
      for i, extension in ipairs(idle) do
        if string.find(languages[i], ' ' .. language .. ' ', 1, true) then
          lease(call, controller, extension)
          table.remove(idle, i)
          table.remove(languages, i)
          break
        end
      end
      if #idle == 0 then return end
    end
  end
end

local said = operation[ARGV[1]]()
match()
return said or redis.call('EXISTS', 'desk:roster')
