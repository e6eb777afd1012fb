-- Presence states of consultants and their transitions (see rules/states.py). First part of the
-- script; distributor.lua explains the keys.

local LEASE = 5 -- seconds; controllers renew every second
local REST_AFTER_MISS = 5 -- seconds before a consultant who did not answer is offered another call
local MISSED_LIMIT = 2 -- unanswered offers in a row after which the consultant is paused
local CHANGES_LIMIT = 100000 -- presence changes that may wait for the database
local UNREGISTERED = {UNAVAILABLE = true, INVALID = true, UNKNOWN = true}
local IN_USE = {INUSE = true, BUSY = true, ONHOLD = true, RINGINUSE = true}
local ENGAGED = {offered = true, ringing = true, talking = true}
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local state_changes = 0
local TIMED = {'leases', 'asked', 'wrap_up', 'gone', 'pages', 'controllers'} -- sorted sets of deadlines

-- The clock was set, or no controller renewed leases for longer than a lease: shift deadlines, so that
-- each still has as many seconds left.
local function shift_deadlines(seconds)
  for _, name in ipairs(TIMED) do
    local entries = redis.call('ZRANGE', 'desk:' .. name, 0, -1, 'WITHSCORES')
    for i = 1, #entries, 2 do
      redis.call('ZADD', 'desk:' .. name, string.format('%.6f', entries[i + 1] + seconds), entries[i])
    end
  end
  local paused = redis.call('HGETALL', 'desk:holds')
  for i = 1, #paused, 2 do
    local ends, rest = string.match(paused[i + 1], '^(%S+)(.*)$')
    redis.call('HSET', 'desk:holds', paused[i], string.format('%.6f', ends + seconds) .. rest)
  end
end

-- Redis started from a snapshot, or a replica took over: the distributor's state is as old as that. What lasts only
-- under leases is dropped, and the roster, so that controllers push it again with the states of the
-- database (see operation.roster).
local OUTLIVES_REDIS = {states = true, changes = true, pages = true, web = true, handling = true,
  clock = true, alarms = true, alarmed = true, alarm_counts = true}
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local run_before = redis.call('GET', 'desk:run')
if run_before ~= run then
  for _, key in ipairs(run_before and redis.call('KEYS', 'desk:*') or {}) do
    if not OUTLIVES_REDIS[string.match(key, '^desk:([^:]+)')] then redis.call('DEL', key) end
  end
  redis.call('SET', 'desk:run', run)
end

local last_run = tonumber(redis.call('GET', 'desk:clock') or now)
redis.call('SET', 'desk:clock', string.format('%.6f', now))
if now < last_run or now - last_run > LEASE then shift_deadlines(now - last_run) end

local entries = {} -- of roster, skills, devices and states, as this operation has read or written them

local function read(hash, extension) -- false when there is no entry
  local key = hash .. ' ' .. extension
  if entries[key] == nil then entries[key] = redis.call('HGET', 'desk:' .. hash, extension) end
  return entries[key]
end

local function write(hash, extension, entry)
  redis.call('HSET', 'desk:' .. hash, extension, entry)
  entries[hash .. ' ' .. extension] = entry
end

local function telephone(extension)
  local device = read('devices', extension)
  return device and string.match(device, ' (.*)$') or 'UNKNOWN'
end

local function on_roster(extension) return read('roster', extension) ~= false end

local function is_leased(extension) return redis.call('ZSCORE', 'desk:leases', extension) end

local function state_of(extension) -- state, reason
  local entry = read('states', extension)
  if not entry then return 'signed_out', '-' end
  local state, _, reason = string.match(entry, '^(%S+) (%S+) (%S+)')
  return state, reason
end

local function set_state(extension, state, reason, by)
  local before, why = state_of(extension)
  if before == state and why == reason then return end
  if before ~= state and not LEGAL[before .. ' ' .. state] then
    error('ILLEGAL ' .. before .. ' ' .. state)
  end
  state_changes = state_changes + 1 -- two changes in one step keep their order
  local at = string.format('%.6f', now + state_changes / 1000000)
  write('states', extension, table.concat({state, at, reason, by}, ' '))
  if state ~= 'wrap_up' then redis.call('ZREM', 'desk:wrap_up', extension) end
  if state == 'ready' or state == 'signed_out' then redis.call('HDEL', 'desk:after', extension) end
  redis.call('XADD', 'desk:changes', 'MAXLEN', '~', CHANGES_LIMIT, '*', 'extension', extension,
    'state', state, 'reason', reason, 'at', at, 'by', by)
end

local function signs_in_by_telephone(extension) -- one in the browser registers as the page opens
  return not RULES.sign_in_required and redis.call('SISMEMBER', 'desk:browsers', extension) == 0
end

local function update_sign_in(extension) -- by telephone and roster
  local state, reason = state_of(extension)
  local is_unregistered = UNREGISTERED[telephone(extension)]
  if ENGAGED[state] then return end
  if not on_roster(extension) then
    if state ~= 'signed_out' then set_state(extension, 'signed_out', 'off_roster', 'desk') end
  elseif not is_unregistered then
    redis.call('ZREM', 'desk:gone', extension)
    if signs_in_by_telephone(extension) and state == 'signed_out'
        and reason ~= 'asked' and reason ~= 'missed' then
      set_state(extension, 'ready', '-', 'desk')
    end
  elseif signs_in_by_telephone(extension) and state ~= 'paused' and reason ~= 'missed' then
    if read('states', extension) then
      set_state(extension, 'signed_out', 'telephone', 'desk')
    end
  elseif state ~= 'signed_out' then
    redis.call('ZADD', 'desk:gone', 'NX', now, extension)
  end
end

local function wrap_up(extension)
  set_state(extension, 'wrap_up', '-', 'desk')
  redis.call('ZADD', 'desk:wrap_up', now + RULES.wrap_up, extension)
end

local function end_offer(extension, how) -- the lease ended: set the next state
  local after = redis.call('HGET', 'desk:after', extension)
  redis.call('HDEL', 'desk:after', extension)
  -- A lease that was lost and held again (hold_again) binds somebody who signed out in between.
  if not ENGAGED[state_of(extension)] then return end
  local missed = 0
  if how == 'unanswered' then missed = redis.call('HINCRBY', 'desk:missed', extension, 1) end
  if how == 'talked' then redis.call('HDEL', 'desk:missed', extension) end
  if after == 'wrap_up - desk' then
    wrap_up(extension)
  elseif after then
    set_state(extension, string.match(after, '^(%S+) (%S+) (%S+)$'))
  elseif missed >= MISSED_LIMIT then
    redis.call('HDEL', 'desk:missed', extension)
    set_state(extension, 'paused', 'missed', 'desk')
  elseif how == 'talked' and RULES.wrap_up > 0 then
    wrap_up(extension)
  else
    set_state(extension, 'ready', '-', 'desk')
    if how == 'unanswered' then redis.call('ZADD', 'desk:leases', now + REST_AFTER_MISS, extension) end
  end
end
