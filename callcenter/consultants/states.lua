-- What each consultant is doing, and how one comes to the next state (see states.py). The first part
-- of the desk's script; the keys are explained in desk.lua.

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
local TIMED = {'leases', 'asked', 'wrap_up', 'gone', 'pages', 'controllers'} -- when something ends

-- The clock was set, or for longer than a lease nobody was there who could renew one: whatever was
-- to end after some seconds ends after as many all the same.
local function time_was_lost(seconds)
  for _, name in ipairs(TIMED) do
    local entries = redis.call('ZRANGE', 'desk:' .. name, 0, -1, 'WITHSCORES')
    for i = 1, #entries, 2 do
      redis.call('ZADD', 'desk:' .. name, string.format('%.6f', entries[i + 1] + seconds), entries[i])
    end
  end
  local holds = redis.call('HGETALL', 'desk:holds')
  for i = 1, #holds, 2 do
    local ends, rest = string.match(holds[i + 1], '^(%S+)(.*)$')
    redis.call('HSET', 'desk:holds', holds[i], string.format('%.6f', ends + seconds) .. rest)
  end
end

local looked = tonumber(redis.call('GET', 'desk:clock') or now)
redis.call('SET', 'desk:clock', string.format('%.6f', now))
if now < looked or now - looked > LEASE then time_was_lost(now - looked) end

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

local function wrap_up(extension)
  move(extension, 'wrap_up', '-', 'desk')
  redis.call('ZADD', 'desk:wrap_up', now + RULES.wrap_up, extension)
end

local function settle(extension, how) -- the lease is over: what comes after it
  local after = redis.call('HGET', 'desk:after', extension)
  redis.call('HDEL', 'desk:after', extension)
  local missed = 0
  if how == 'unanswered' then missed = redis.call('HINCRBY', 'desk:missed', extension, 1) end
  if how == 'talked' then redis.call('HDEL', 'desk:missed', extension) end
  if after == 'wrap_up - desk' then
    wrap_up(extension)
  elseif after then
    move(extension, string.match(after, '^(%S+) (%S+) (%S+)$'))
  elseif missed >= MISSES then
    redis.call('HDEL', 'desk:missed', extension)
    move(extension, 'paused', 'missed', 'desk')
  elseif how == 'talked' and RULES.wrap_up > 0 then
    wrap_up(extension)
  else
    move(extension, 'ready', '-', 'desk')
    if how == 'unanswered' then redis.call('ZADD', 'desk:leases', now + REST, extension) end
  end
end
