-- Who waits, who is free, who is leased to whom, and what each consultant is doing. One atomic step
-- of the desk: an operation, then whoever can be matched is matched. See desk.py and duty.py for what
-- each operation means; script.py puts the rules (RULES, LEGAL), states.lua and matching.lua before
-- this text.
--
-- desk:roster       hash  extension -> languages, separated by spaces
-- desk:skills       hash  extension -> "SKILL:LEVEL ..."
-- desk:devices      hash  extension -> "STAMP STATE", the switch's last word on the telephone
-- desk:states       hash  extension -> "STATE SINCE REASON BY" (see states.py), - for no reason
-- desk:after        hash  extension -> "STATE REASON BY", what comes after the conversation
-- desk:changes      stream of changes of states, until they are in the database
-- desk:missed       hash  extension -> offers in a row that were not answered
-- desk:wrap_up      zset  extension -> when the time after a conversation ends
-- desk:gone         zset  extension -> since when a signed-in consultant's telephone is away
-- desk:pages        zset  extension -> when the page by which one works was last open
-- desk:web          there while a web process lives
-- desk:present:LANG set   extensions of those at work who speak it, desk:working:LANG: and not paused
-- desk:idle         zset  extension -> since when free (longest idle first)
-- desk:idle:LANG    zset  the same of those who speak it, desk:idle:LANG:SKILL:LEVEL: and can do it
-- desk:leases       zset  extension -> when the lease (or a rest) ends unless it is renewed
-- desk:holders      hash  extension -> "CALL CONTROLLER" that it is leased to
-- desk:held         hash  call -> extension leased to it
-- desk:waiting      zset  call -> its place, see order.py
-- desk:waiting:WANT zset  the same of those who want this, see matching.lua
-- desk:wants        set   of what is wanted by somebody who waits
-- desk:asked        zset  call -> until when it waits unless it asks again, as it does every two seconds
-- desk:handling     seconds that a conversation takes a consultant, a moving average
-- desk:calls        hash  call -> "CONTROLLER LANGUAGE ARRIVAL WANT"
-- desk:offers:NAME  list  "CALL EXTENSION", for the controller of this name to take; with a third
--                         word, withdrawn, the consultant is not to be rung any more
-- desk:holds        hash  language or all -> "UNTIL BY REASON", a queue that is held back
-- desk:controllers  zset  controller -> until when it counts as alive
-- desk:clock        when the desk was last asked for anything

local LATEST = 60 -- seconds for the word of a telephone to get here

local function release(extension)
  local holder = redis.call('HGET', 'desk:holders', extension)
  if holder then redis.call('HDEL', 'desk:held', string.match(holder, '^%S+')) end
  redis.call('HDEL', 'desk:holders', extension)
  redis.call('ZREM', 'desk:leases', extension)
end

local function hold(call, controller, extension) -- this call has the consultant
  redis.call('ZADD', 'desk:leases', now + LEASE, extension)
  redis.call('HSET', 'desk:holders', extension, call .. ' ' .. controller)
  redis.call('HSET', 'desk:held', call, extension)
end

local function talks(extension)
  if LEGAL[standing(extension) .. ' talking'] then move(extension, 'talking', '-', 'desk') end
  not_idle(extension)
end

local function renew(call, controller) -- the lease of a call of this controller; whether there is one
  local extension = redis.call('HGET', 'desk:held', call)
  if not extension then return false end
  redis.call('ZADD', 'desk:leases', 'XX', now + LEASE, extension)
  local holder = string.match(redis.call('HGET', 'desk:holders', extension) or '', '%S+$')
  if holder and not redis.call('ZSCORE', 'desk:controllers', holder) then -- it died, and we went on
    redis.call('HSET', 'desk:holders', extension, call .. ' ' .. controller)
  end
  return true
end

local function consider(extension) -- idle is: ready, telephone free, not leased
  if standing(extension) == 'talking' and not is_leased(extension)
      and not IN_USE[telephone(extension)] then
    settle(extension, 'talked') -- a conversation that outlived its controller
  end
  sign_in_or_out(extension)
  if standing(extension) == 'ready' and telephone(extension) == 'NOT_INUSE'
      and not is_leased(extension) then
    idle(extension)
  else
    not_idle(extension)
  end
  count_in(extension)
end

local operation = {}

function operation.roster() -- extension, languages, skills, last state, its reason and time, ...
  local before = redis.call('HKEYS', 'desk:roster')
  for _, extension in ipairs(before) do strike_out(extension) end
  redis.call('DEL', 'desk:roster', 'desk:skills')
  for i = 2, #ARGV, 6 do
    local extension, state = ARGV[i], ARGV[i + 3]
    redis.call('HSET', 'desk:roster', extension, ARGV[i + 1])
    if ARGV[i + 2] ~= '' then redis.call('HSET', 'desk:skills', extension, ARGV[i + 2]) end
    if state ~= '' and redis.call('HEXISTS', 'desk:states', extension) == 0 then
      local known = {state, ARGV[i + 5], ARGV[i + 4], 'desk'}
      redis.call('HSET', 'desk:states', extension, table.concat(known, ' '))
      -- No lease, no end of a wrap-up outlived the loss of our memory.
      if ENGAGED[state] or state == 'wrap_up' then move(extension, 'ready', '-', 'desk') end
    end
  end
  for _, extension in ipairs(before) do consider(extension) end
  for i = 2, #ARGV, 6 do consider(ARGV[i]) end
end

function operation.devices() -- extension, state, stamp, extension, state, stamp, ...
  for i = 2, #ARGV, 3 do
    local known = redis.call('HGET', 'desk:devices', ARGV[i])
    local stamp = known and tonumber(string.match(known, '^(%S+)')) or 0
    local told = tonumber(ARGV[i + 2])
    -- Several controllers tell, and the latest word counts. One that is older by minutes is not
    -- late: the clock was set back.
    if told >= stamp or stamp - told > LATEST then
      redis.call('HSET', 'desk:devices', ARGV[i], ARGV[i + 2] .. ' ' .. ARGV[i + 1])
      consider(ARGV[i])
    end
  end
end

function operation.ask() -- extension, state, reason, by, page (or ''); returns the state
  local extension, wanted = ARGV[2], ARGV[3]
  if not on_roster(extension) then return redis.error_reply('OFFROSTER') end
  local state = standing(extension)
  if wanted == 'ready' then
    redis.call('HDEL', 'desk:missed', extension)
    redis.call('HDEL', 'desk:after', extension)
    redis.call('ZREM', 'desk:pages', extension)
    if ARGV[6] == 'page' then redis.call('ZADD', 'desk:pages', now, extension) end
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

function operation.now() -- seconds since the epoch, by the one clock that all machines share
  return string.format('%.6f', now)
end

function operation.seen() -- extension: the page of a consultant is open
  redis.call('ZADD', 'desk:pages', 'XX', now, ARGV[2])
end

function operation.web() -- a web process lives: pages can be open
  redis.call('SET', 'desk:web', now, 'EX', LEASE)
end

function operation.wait() -- call, controller, language, place, arrival, want, preferred consultant
  local call = ARGV[2]
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then -- the word of it was lost
    redis.call('ZADD', 'desk:leases', 'XX', now + LEASE, extension)
    redis.call('HSET', 'desk:holders', extension, call .. ' ' .. ARGV[3]) -- perhaps a dead one's
    offer(call, ARGV[3], extension)
  else
    enter(call, ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
    find(call, ARGV[7], ARGV[8])
  end
end

function operation.stage() -- call, ringing or talking: how far the offer has come
  local extension = redis.call('HGET', 'desk:held', ARGV[2])
  if extension and LEGAL[standing(extension) .. ' ' .. ARGV[3]] then
    if ARGV[3] == 'talking' then redis.call('HDEL', 'desk:missed', extension) end
    move(extension, ARGV[3], '-', 'desk')
  end
end

-- call, controller, extension: the consultant calls somebody, and is offered nobody meanwhile
function operation.occupy()
  local call, extension = ARGV[2], ARGV[4]
  if not on_roster(extension) then return redis.error_reply('OFFROSTER') end
  local state, reason = standing(extension)
  local held = redis.call('HEXISTS', 'desk:held', call) == 1
  if held or ENGAGED[state] or not LEGAL[state .. ' talking'] then
    return redis.error_reply('NOTFREE ' .. state)
  end
  hold(call, ARGV[3], extension)
  move(extension, 'talking', '-', 'self')
  if state ~= 'ready' then -- who was on a pause goes on with it
    redis.call('HSET', 'desk:after', extension, table.concat({state, reason, 'desk'}, ' '))
  end
  consider(extension)
end

local function handled(seconds)
  local average = tonumber(redis.call('GET', 'desk:handling')) or seconds
  redis.call('SET', 'desk:handling', average + (seconds - average) / 20)
end

-- extension, successor, call, controllers that live, ...: the consultant talks on in this call, whose
-- controller is no more; returns the call as the lease has it
function operation.adopt()
  local extension, successor = ARGV[2], ARGV[3]
  local holder = redis.call('HGET', 'desk:holders', extension) or ''
  local call, controller = string.match(holder, '^(%S+) (%S+)$')
  for i = 5, #ARGV do
    if controller == ARGV[i] and controller ~= successor then return ARGV[4] end -- another's by now
  end
  if not call then
    call = ARGV[4]
    if not on_roster(extension) then return call end
  end
  hold(call, successor, extension)
  talks(extension)
  return call
end

-- call, controller, extension: the two talk, and nothing here says so any more
function operation.hold_again()
  local call, extension = ARGV[2], ARGV[4]
  local held = redis.call('HEXISTS', 'desk:held', call) == 1
  if held or is_leased(extension) or not on_roster(extension) then return end
  hold(call, ARGV[3], extension)
  talks(extension)
end

local function is_anothers(call, controller) -- it was taken over from this controller
  local has = string.match(redis.call('HGET', 'desk:calls', call) or '', '^%S*')
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then
    has = string.match(redis.call('HGET', 'desk:holders', extension) or '', '%S+$')
  end
  return has and has ~= '' and has ~= controller
end

-- call, what became of its lease (unused, unanswered, talked), seconds of talk with a caller,
-- controller
function operation.leave()
  local call = ARGV[2]
  if ARGV[5] and is_anothers(call, ARGV[5]) then return end
  if ARGV[3] == 'talked' and ARGV[4] and ARGV[4] ~= '' then handled(tonumber(ARGV[4])) end
  forget(call)
  local extension = redis.call('HGET', 'desk:held', call)
  if extension then
    release(extension)
    settle(extension, ARGV[3])
    consider(extension)
  end
end

function operation.hold_back() -- language or all, seconds, by, reason
  redis.call('HSET', 'desk:holds', ARGV[2],
    table.concat({string.format('%.6f', now + ARGV[3]), ARGV[4], ARGV[5]}, ' '))
end

function operation.let_on() -- language or all
  if redis.call('HDEL', 'desk:holds', ARGV[2]) == 1 then look_again() end
end

-- call, extension, by: one who waits is given to a consultant who speaks the language and is free or
-- past the conversation
function operation.hand_out()
  local call, extension = ARGV[2], ARGV[3]
  if not on_roster(extension) then return redis.error_reply('OFFROSTER') end
  local entry = redis.call('HGET', 'desk:calls', call)
  if not entry then return redis.error_reply('NOTWAITING') end
  if not speaks(extension, string.match(entry, '^%S* (%S*)')) then
    return redis.error_reply('NOTSPOKEN')
  end
  if standing(extension) == 'wrap_up' and telephone(extension) == 'NOT_INUSE' then
    move(extension, 'ready', '-', ARGV[4])
    consider(extension)
  end
  if not is_idle(extension) then return redis.error_reply('NOTFREE ' .. standing(extension)) end
  lease(call, extension)
end

local function lease_ended(extension) -- nobody renewed it, or a rest is over
  release(extension)
  local state = standing(extension)
  if state == 'offered' or state == 'ringing' then settle(extension, 'unused') end
  consider(extension)
end

local function page_gone(extension) -- who works by a page is rung only while it is open
  local state = standing(extension)
  redis.call('ZREM', 'desk:pages', extension)
  if ENGAGED[state] then
    redis.call('HSETNX', 'desk:after', extension, 'paused page_gone desk')
  elseif state == 'ready' or state == 'wrap_up' then
    move(extension, 'paused', 'page_gone', 'desk')
    consider(extension)
  end
end

local function due(key, before)
  return ipairs(redis.call('ZRANGE', key, '-inf', before, 'BYSCORE'))
end

-- controller, its calls that hold a consultant: it renews their leases. Returns whether the desk
-- knows a roster, and the calls of which it knows no lease
function operation.tick()
  redis.call('ZADD', 'desk:controllers', now + LEASE, ARGV[2])
  local unheld = {}
  for i = 3, #ARGV do
    if not renew(ARGV[i], ARGV[2]) then table.insert(unheld, ARGV[i]) end
  end
  for _, call in due('desk:asked', now) do forget(call) end
  for _, extension in due('desk:leases', now) do lease_ended(extension) end
  for _, extension in due('desk:wrap_up', now) do
    move(extension, 'ready', '-', 'desk')
    consider(extension)
  end
  local queues = redis.call('HGETALL', 'desk:holds')
  for i = 1, #queues, 2 do
    if tonumber(string.match(queues[i + 1], '^%S+')) <= now then
      redis.call('HDEL', 'desk:holds', queues[i])
      look_again()
    end
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
  if redis.call('EXISTS', 'desk:web') == 1 then
    for _, extension in due('desk:pages', now - RULES.page_limit) do page_gone(extension) end
  else -- no page can be open, and that is nobody's fault at work
    for _, extension in due('desk:pages', now) do redis.call('ZADD', 'desk:pages', now, extension) end
  end
  redis.call('ZREMRANGEBYSCORE', 'desk:controllers', '-inf', now)
  return {redis.call('EXISTS', 'desk:roster'), unpack(unheld)}
end

local said = operation[ARGV[1]]()
serve_freed()
return said or redis.call('EXISTS', 'desk:roster')
