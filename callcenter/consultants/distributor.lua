-- Call distributor (ACD): queue, idle consultants, leases and presence. One atomic step: run an
-- operation, then match idle consultants with waiting calls. See acd/distributor.py, queue_control.py
-- and presence.py for what each operation means; redis_script.py puts the rules (RULES, LEGAL),
-- states.lua and matching.lua before this text. Keys keep their names: versions share them.
--
-- desk:roster       hash  extension -> languages, separated by spaces
-- desk:skills       hash  extension -> "SKILL:LEVEL ..."
-- desk:devices      hash  extension -> "STAMP STATE", the last device state from Asterisk
-- desk:states       hash  extension -> "STATE SINCE REASON BY" (see rules/states.py), - for no reason
-- desk:after        hash  extension -> "STATE REASON BY", the state after the conversation
-- desk:changes      stream of presence changes that are not in the database yet
-- desk:missed       hash  extension -> unanswered offers in a row
-- desk:unanswered:CALL    extension that the call was offered to last, without an answer
-- desk:browsers     set   extensions whose telephone is the workspace page
-- desk:wrap_up      zset  extension -> when wrap-up ends
-- desk:gone         zset  extension -> since when a signed-in consultant's telephone is unregistered
-- desk:pages        zset  extension -> when the consultant's page was last open
-- desk:web          exists while a web process is alive
-- desk:present:LANG set   extensions signed in that speak it, desk:working:LANG: and not paused
-- desk:idle         zset  extension -> since when idle (longest idle first)
-- desk:idle:LANG    zset  the same by language, desk:idle:LANG:SKILL:LEVEL: by language and skill
-- desk:leases       zset  extension -> when the lease (or a rest) ends unless it is renewed
-- desk:holders      hash  extension -> "CALL CONTROLLER" of its lease
-- desk:held         hash  call -> extension leased to it
-- desk:waiting      zset  call -> its score, see acd/rules/priority.py
-- desk:waiting:WANT zset  the same by requirement, see matching.lua
-- desk:wants        set   requirements of waiting calls
-- desk:asked        zset  call -> when its place expires unless renewed, as it is every two seconds
-- desk:handling     average seconds of a conversation, a moving average
-- desk:calls        hash  call -> "CONTROLLER LANGUAGE ARRIVAL WANT"
-- desk:offers:NAME  list  "CALL EXTENSION", offers for this controller; with a third word,
--                         withdrawn, it must stop ringing the consultant
-- desk:holds        hash  language or all -> "UNTIL BY REASON", a paused queue
-- desk:controllers  zset  controller -> when its heartbeat expires
-- desk:clock        when the script last ran
-- desk:run          the run of the Redis server that it ran in, see states.lua
-- desk:roster_read  when the roster began to be read that is there

local UNANSWERED_LIMIT = 300 -- seconds after which it may be offered to the same one first again
local LATE_LIMIT = 60 -- seconds that a device state may take to get here

local function release(extension)
  local holder = redis.call('HGET', 'desk:holders', extension)
  if holder then redis.call('HDEL', 'desk:held', string.match(holder, '^%S+')) end
  redis.call('HDEL', 'desk:holders', extension)
  redis.call('ZREM', 'desk:leases', extension)
end

local function lease_to(call, controller, extension) -- leases the consultant to this call
  redis.call('ZADD', 'desk:leases', now + LEASE, extension)
  redis.call('HSET', 'desk:holders', extension, call .. ' ' .. controller)
  redis.call('HSET', 'desk:held', call, extension)
end

local function start_talking(extension)
  if LEGAL[state_of(extension) .. ' talking'] then set_state(extension, 'talking', '-', 'desk') end
  mark_not_idle(extension)
end

local function renew_lease(call, controller) -- returns whether the call has a lease
  local extension = redis.call('HGET', 'desk:held', call)
  if not extension then return false end
  redis.call('ZADD', 'desk:leases', 'XX', now + LEASE, extension)
  local holder = string.match(redis.call('HGET', 'desk:holders', extension) or '', '%S+$')
  if holder and not redis.call('ZSCORE', 'desk:controllers', holder) then -- it died, we took the call over
    redis.call('HSET', 'desk:holders', extension, call .. ' ' .. controller)
  end
  return true
end

local function update_idle(extension) -- idle: ready, telephone free, not leased
  if state_of(extension) == 'talking' and not is_leased(extension)
      and not IN_USE[telephone(extension)] then
    end_offer(extension, 'talked') -- a conversation that outlived its controller
  end
  update_sign_in(extension)
  if state_of(extension) == 'ready' and telephone(extension) == 'NOT_INUSE'
      and not is_leased(extension) then
    mark_idle(extension)
  else
    mark_not_idle(extension)
  end
  update_presence_sets(extension)
end

-- The last state in the database counts when Redis has none, or came back with an older one.
local function restore_state(extension, state, reason, at, is_redis_new)
  local entry = read('states', extension)
  local since = entry and tonumber(string.match(entry, '^%S+ (%S+)')) or 0
  local is_later = state ~= '' and (not entry or is_redis_new and tonumber(at) > since)
  if is_later then
    write('states', extension, table.concat({state, at, reason, 'desk'}, ' '))
  end
  local now_in = state_of(extension)
  if (is_later or is_redis_new) and (ENGAGED[now_in] or now_in == 'wrap_up')
      and not is_leased(extension) then -- its lease or the end of wrap-up is lost
    set_state(extension, 'ready', '-', 'desk')
  end
end

local function withdraw(extension) -- a telephone that rings stops, and the caller goes to another
  local holder = redis.call('HGET', 'desk:holders', extension)
  if holder then
    local call, controller = string.match(holder, '^(%S+) (%S+)$')
    offer(call, controller, extension, true)
  end
  release(extension) -- a rest ends as well
end

local operation = {}

-- since when it was read, by `now`; extension, languages, skills, browser (or ''), last state in the
-- database, reason, time, ...
function operation.roster()
  -- Whoever was slow, or wrote to a Redis that stood still, comes late. (The one that is there may be
  -- of a time that has not come: the clock was set back.)
  local newest = tonumber(redis.call('GET', 'desk:roster_read') or 0)
  if tonumber(ARGV[2]) < newest and newest <= now then return end
  redis.call('SET', 'desk:roster_read', ARGV[2])
  local before = redis.call('HKEYS', 'desk:roster')
  for _, extension in ipairs(before) do remove_from_sets(extension) end
  redis.call('DEL', 'desk:roster', 'desk:skills', 'desk:browsers')
  entries = {}
  for i = 3, #ARGV, 7 do
    local extension = ARGV[i]
    write('roster', extension, ARGV[i + 1])
    if ARGV[i + 2] ~= '' then write('skills', extension, ARGV[i + 2]) end
    if ARGV[i + 3] ~= '' then redis.call('SADD', 'desk:browsers', extension) end
    restore_state(extension, ARGV[i + 4], ARGV[i + 5], ARGV[i + 6], #before == 0)
  end
  if #before == 0 then -- who left the roster has a state of then, too
    for _, extension in ipairs(redis.call('HKEYS', 'desk:states')) do
      if not on_roster(extension) then
        restore_state(extension, '', '-', '0', true)
        table.insert(before, extension)
      end
    end
  end
  for _, extension in ipairs(before) do
    local state = state_of(extension)
    if not on_roster(extension) and (state == 'offered' or state == 'ringing') then
      withdraw(extension)
      set_state(extension, 'signed_out', 'off_roster', 'desk')
    end
    update_idle(extension)
  end
  for i = 3, #ARGV, 7 do update_idle(ARGV[i]) end
end

function operation.devices() -- extension, state, stamp, extension, state, stamp, ...
  -- Else Redis has come back, and signs out nobody who is on the roster that it will be told.
  local has_roster = redis.call('EXISTS', 'desk:roster') == 1
  for i = 2, #ARGV, 3 do
    local entry, reported = read('devices', ARGV[i]), ARGV[i + 2] .. ' ' .. ARGV[i + 1]
    local stored = entry and tonumber(string.match(entry, '^(%S+)')) or 0
    local stamp = tonumber(ARGV[i + 2])
    -- Several controllers report the same, and the latest state wins. One that is older by minutes is
    -- not late: the clock was set back.
    if entry ~= reported and (stamp >= stored or stored - stamp > LATE_LIMIT) then
      write('devices', ARGV[i], reported)
      if has_roster then update_idle(ARGV[i]) end
    end
  end
end

function operation.ask() -- extension, state, reason, by, page (or ''); returns the state
  local extension, target = ARGV[2], ARGV[3]
  if not on_roster(extension) then return redis.error_reply('OFFROSTER') end
  local state = state_of(extension)
  if target == 'ready' then
    redis.call('HDEL', 'desk:missed', extension)
    redis.call('HDEL', 'desk:after', extension)
    redis.call('ZREM', 'desk:pages', extension)
    if ARGV[6] == 'page' then redis.call('ZADD', 'desk:pages', now, extension) end
  end
  if state == 'talking' and target ~= 'ready' then
    redis.call('HSET', 'desk:after', extension, table.concat({target, ARGV[4], ARGV[5]}, ' '))
  elseif not ENGAGED[state] or target ~= 'ready' then
    if state ~= target and not LEGAL[state .. ' ' .. target] then
      return redis.error_reply('ILLEGAL ' .. state .. ' ' .. target)
    end
    withdraw(extension)
    set_state(extension, target, ARGV[4], ARGV[5])
    update_idle(extension)
  end
  return (state_of(extension))
end

function operation.prolong() -- extension, seconds more, limit: wrap-up ends later; returns by how much
  local extension = ARGV[2]
  local ends = tonumber(redis.call('ZSCORE', 'desk:wrap_up', extension))
  if not ends then return redis.error_reply('ILLEGAL ' .. state_of(extension) .. ' wrap_up') end
  local began = tonumber(string.match(read('states', extension), '^%S+ (%S+)'))
  local later = math.max(ends, math.min(ends + ARGV[3], began + ARGV[4]))
  redis.call('ZADD', 'desk:wrap_up', string.format('%.6f', later), extension)
  return string.format('%.6f', later - ends)
end

function operation.now() -- epoch seconds by the clock of Redis, which all machines share
  return string.format('%.6f', now)
end

function operation.seen() -- extension whose page is open
  redis.call('ZADD', 'desk:pages', 'XX', now, ARGV[2])
end

function operation.web() -- a web process is alive: pages can be open
  redis.call('SET', 'desk:web', now, 'EX', LEASE)
end

-- call, controller, language, place, arrival, want, preferred consultant; returns the extension that is
-- leased to the call, if one is: in the list too it would be offered twice (to users with the rights of
-- the version before Redis refuses this, and they go on)
function operation.wait()
  local call, controller = ARGV[2], ARGV[3]
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then -- the offer is on its way, or was lost
    redis.call('ZADD', 'desk:leases', 'XX', now + LEASE, extension)
    redis.call('HSET', 'desk:holders', extension, call .. ' ' .. controller) -- it may name a dead one
  else
    enqueue(call, controller, ARGV[4], ARGV[5], ARGV[6], ARGV[7])
    match_call(call, ARGV[7], ARGV[8])
    extension = redis.call('HGET', 'desk:held', call)
  end
  if extension then
    redis.pcall('LREM', 'desk:offers:' .. controller, 0, call .. ' ' .. extension)
    return extension
  end
end

-- holder, call, ...: renew the leases of who is no controller; returns the calls that have none
function operation.renew()
  local lost = {}
  for i = 3, #ARGV do
    if not renew_lease(ARGV[i], ARGV[2]) then table.insert(lost, ARGV[i]) end
  end
  return lost
end

function operation.stage() -- call, ringing or talking: progress of the offer
  local extension = redis.call('HGET', 'desk:held', ARGV[2])
  if extension and LEGAL[state_of(extension) .. ' ' .. ARGV[3]] then
    if ARGV[3] == 'talking' then redis.call('HDEL', 'desk:missed', extension) end
    set_state(extension, ARGV[3], '-', 'desk')
  end
end

-- call, controller, extension: reserve the consultant for an outbound call
function operation.occupy()
  local call, extension = ARGV[2], ARGV[4]
  if not on_roster(extension) then return redis.error_reply('OFFROSTER') end
  local state, reason = state_of(extension)
  local held = redis.call('HEXISTS', 'desk:held', call) == 1
  if held or ENGAGED[state] or not LEGAL[state .. ' talking'] then
    return redis.error_reply('NOTFREE ' .. state)
  end
  lease_to(call, ARGV[3], extension)
  set_state(extension, 'talking', '-', 'self')
  if state ~= 'ready' then -- a pause resumes after the call
    redis.call('HSET', 'desk:after', extension, table.concat({state, reason, 'desk'}, ' '))
  end
  update_idle(extension)
end

local function record_handling_time(seconds)
  local average = tonumber(redis.call('GET', 'desk:handling')) or seconds
  redis.call('SET', 'desk:handling', average + (seconds - average) / 20)
end

-- extension, successor, call, live controllers, ...: the successor takes over the lease of a dead
-- controller's conversation; returns the call id of the lease
function operation.adopt()
  local extension, successor = ARGV[2], ARGV[3]
  local holder = redis.call('HGET', 'desk:holders', extension) or ''
  local call, controller = string.match(holder, '^(%S+) (%S+)$')
  local is_repeated = controller == successor and call == ARGV[4]
  for i = 5, #ARGV do -- a living one has it by now, the successor too: for a call of its own
    if controller == ARGV[i] and not is_repeated then return ARGV[4] end
  end
  if not call then
    call = ARGV[4]
    if not on_roster(extension) then return call end
  end
  lease_to(call, successor, extension)
  start_talking(extension)
  return call
end

-- call, controller, extension: restore the lost lease of a conversation
function operation.hold_again()
  local call, extension = ARGV[2], ARGV[4]
  local held = redis.call('HEXISTS', 'desk:held', call) == 1
  if held or is_leased(extension) or not on_roster(extension) then return end
  lease_to(call, ARGV[3], extension)
  start_talking(extension)
end

local function is_owned_by_other(call, controller) -- another controller took the call over
  local has = string.match(redis.call('HGET', 'desk:calls', call) or '', '^%S*')
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then
    has = string.match(redis.call('HGET', 'desk:holders', extension) or '', '%S+$')
  end
  return has and has ~= '' and has ~= controller
end

-- call, how its lease ended (unused, unanswered, talked), seconds of talk with a caller, controller
function operation.leave()
  local call = ARGV[2]
  if ARGV[5] and is_owned_by_other(call, ARGV[5]) then return end
  if ARGV[3] == 'talked' and ARGV[4] and ARGV[4] ~= '' then
    record_handling_time(tonumber(ARGV[4]))
  end
  dequeue(call)
  local extension = redis.call('HGET', 'desk:held', call)
  redis.call('DEL', 'desk:unanswered:' .. call)
  if extension then
    if ARGV[3] == 'unanswered' then
      redis.call('SET', 'desk:unanswered:' .. call, extension, 'EX', UNANSWERED_LIMIT)
    end
    release(extension)
    end_offer(extension, ARGV[3])
    update_idle(extension)
  end
end

function operation.hold_back() -- language or all, seconds, by, reason
  redis.call('HSET', 'desk:holds', ARGV[2],
    table.concat({string.format('%.6f', now + ARGV[3]), ARGV[4], ARGV[5]}, ' '))
end

function operation.let_on() -- language or all
  if redis.call('HDEL', 'desk:holds', ARGV[2]) == 1 then match_all_idle() end
end

-- call, extension, by: lease a waiting call to a consultant who speaks its language and is idle or in
-- wrap-up
function operation.hand_out()
  local call, extension = ARGV[2], ARGV[3]
  if not on_roster(extension) then return redis.error_reply('OFFROSTER') end
  local entry = redis.call('HGET', 'desk:calls', call)
  if not entry then return redis.error_reply('NOTWAITING') end
  if not speaks(extension, string.match(entry, '^%S* (%S*)')) then
    return redis.error_reply('NOTSPOKEN')
  end
  if state_of(extension) == 'wrap_up' and telephone(extension) == 'NOT_INUSE' then
    set_state(extension, 'ready', '-', ARGV[4])
    update_idle(extension)
  end
  if not is_idle(extension) then return redis.error_reply('NOTFREE ' .. state_of(extension)) end
  lease(call, extension)
end

local function end_lease(extension) -- it was not renewed, or a rest is over
  release(extension)
  local state = state_of(extension)
  if state == 'offered' or state == 'ringing' then end_offer(extension, 'unused') end
  update_idle(extension)
end

local function close_page(extension) -- who works by a page is offered calls only while it is open
  local state = state_of(extension)
  redis.call('ZREM', 'desk:pages', extension)
  if ENGAGED[state] then
    redis.call('HSETNX', 'desk:after', extension, 'paused page_gone desk')
  elseif state == 'ready' or state == 'wrap_up' then
    set_state(extension, 'paused', 'page_gone', 'desk')
    update_idle(extension)
  end
end

local function expired(key, before)
  return ipairs(redis.call('ZRANGE', key, '-inf', before, 'BYSCORE'))
end

-- controller, its calls with a consultant: heartbeat, renewal of their leases, expiry of all that is
-- due. Returns whether there is a roster, and the calls whose lease is lost
function operation.tick()
  redis.call('ZADD', 'desk:controllers', now + LEASE, ARGV[2])
  local lost_leases = {}
  for i = 3, #ARGV do
    if not renew_lease(ARGV[i], ARGV[2]) then table.insert(lost_leases, ARGV[i]) end
  end
  for _, call in expired('desk:asked', now) do dequeue(call) end
  for _, extension in expired('desk:leases', now) do end_lease(extension) end
  for _, extension in expired('desk:wrap_up', now) do
    set_state(extension, 'ready', '-', 'desk')
    update_idle(extension)
  end
  local queues = redis.call('HGETALL', 'desk:holds')
  for i = 1, #queues, 2 do
    if tonumber(string.match(queues[i + 1], '^%S+')) <= now then
      redis.call('HDEL', 'desk:holds', queues[i])
      match_all_idle()
    end
  end
  for _, extension in expired('desk:gone', now - RULES.away_limit) do
    if not ENGAGED[state_of(extension)] then
      redis.call('ZREM', 'desk:gone', extension)
      if state_of(extension) ~= 'signed_out' then
        local _, reason = state_of(extension)
        set_state(extension, 'signed_out', reason == 'missed' and reason or 'telephone', 'desk')
      end
      update_idle(extension)
    end
  end
  if redis.call('EXISTS', 'desk:web') == 1 then
    for _, extension in expired('desk:pages', now - RULES.page_limit) do close_page(extension) end
  else -- no page can be open, and no consultant is to blame
    for _, extension in expired('desk:pages', now) do
      redis.call('ZADD', 'desk:pages', now, extension)
    end
  end
  redis.call('ZREMRANGEBYSCORE', 'desk:controllers', '-inf', now)
  return {redis.call('EXISTS', 'desk:roster'), unpack(lost_leases)}
end

local result = operation[ARGV[1]]()
match_newly_idle()
return result or redis.call('EXISTS', 'desk:roster')
