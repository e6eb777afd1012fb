-- Matching of idle consultants with waiting calls, by sorted sets per requirement, so that no
-- operation scans everybody. Second part of the script; distributor.lua explains the keys.
--
-- A requirement is one word: a language (kk), a language with a skill at a minimal level
-- (kk:lawyer:3), one consultant (@201), or anybody (any). Between two operations no idle consultant fits a waiting
-- call, so an operation looks only at those who became idle in it, and at the call that asks.

local HIGHEST = 5 -- level of a skill, see rules/skills.py
local newly_idle = {} -- extensions that became idle in this operation

local function languages_of(extension)
  return string.gmatch(read('roster', extension) or '', '%S+')
end

local function lists_of(extension) -- sorted sets of idle consultants that it is in
  local lists = {}
  local skills = read('skills', extension) or ''
  for language in languages_of(extension) do
    table.insert(lists, 'desk:idle:' .. language)
    for skill in string.gmatch(skills, '%S+') do
      table.insert(lists, 'desk:idle:' .. language .. ':' .. skill)
    end
  end
  return lists
end

local function mark_not_idle(extension)
  if redis.call('ZREM', 'desk:idle', extension) == 1 then
    for _, list in ipairs(lists_of(extension)) do redis.call('ZREM', list, extension) end
  end
end

local function mark_idle(extension)
  redis.call('ZADD', 'desk:idle', 'NX', now, extension)
  local since = redis.call('ZSCORE', 'desk:idle', extension)
  for _, list in ipairs(lists_of(extension)) do redis.call('ZADD', list, since, extension) end
  table.insert(newly_idle, extension)
end

local function set_membership(name, extension, member)
  for language in languages_of(extension) do
    redis.call(member and 'SADD' or 'SREM', 'desk:' .. name .. ':' .. language, extension)
  end
end

local function update_presence_sets(extension) -- signed in, and signed in but not paused
  local state = state_of(extension)
  local present = state ~= 'signed_out' and not UNREGISTERED[telephone(extension)]
  set_membership('present', extension, present)
  set_membership('working', extension, present and state ~= 'paused')
end

local function remove_from_sets(extension) -- its languages and skills may change now
  for _, list in ipairs(lists_of(extension)) do redis.call('ZREM', list, extension) end
  set_membership('present', extension, false)
  set_membership('working', extension, false)
end

local function speaks(extension, language)
  local spoken = ' ' .. (read('roster', extension) or '') .. ' '
  return string.find(spoken, ' ' .. language .. ' ', 1, true) ~= nil
end

local function fits(extension, want)
  if want == 'any' then return true end
  if string.sub(want, 1, 1) == '@' then return want == '@' .. extension end
  local language, skill, level = string.match(want, '^(%w+):?([%w_]*):?(%d*)$')
  if not speaks(extension, language) then return false end
  if skill == '' then return true end
  local skills = ' ' .. (read('skills', extension) or '')
  local own = string.match(skills, ' ' .. skill .. ':(%d+)')
  return own ~= nil and tonumber(own) >= tonumber(level)
end

local function offer(call, controller, extension, withdrawn)
  local word = call .. ' ' .. extension .. (withdrawn and ' withdrawn' or '')
  redis.call('RPUSH', 'desk:offers:' .. controller, word)
  redis.call('EXPIRE', 'desk:offers:' .. controller, LEASE)
end

local function dequeue(call) -- returns its controller
  local entry = redis.call('HGET', 'desk:calls', call)
  if not entry then return end
  local controller, want = string.match(entry, '^(%S*) .*%s(%S*)$')
  redis.call('HDEL', 'desk:calls', call)
  redis.call('ZREM', 'desk:asked', call)
  redis.call('ZREM', 'desk:waiting', call)
  redis.call('ZREM', 'desk:waiting:' .. want, call)
  if redis.call('EXISTS', 'desk:waiting:' .. want) == 0 then redis.call('SREM', 'desk:wants', want) end
  return controller
end

local function enqueue(call, controller, language, place, arrival, want)
  local entry = table.concat({controller, language, arrival, want}, ' ')
  if redis.call('HGET', 'desk:calls', call) ~= entry then dequeue(call) end
  redis.call('ZADD', 'desk:waiting', place, call)
  redis.call('ZADD', 'desk:waiting:' .. want, place, call)
  redis.call('SADD', 'desk:wants', want)
  redis.call('ZADD', 'desk:asked', now + LEASE, call)
  redis.call('HSET', 'desk:calls', call, entry)
end

local function lease(call, extension)
  local controller = dequeue(call)
  mark_not_idle(extension)
  redis.call('ZADD', 'desk:leases', now + LEASE, extension)
  redis.call('HSET', 'desk:holders', extension, call .. ' ' .. controller)
  redis.call('HSET', 'desk:held', call, extension)
  set_state(extension, 'offered', '-', 'desk')
  offer(call, controller, extension)
end

local function first(list, but) -- member and score; that of `but` only when it is alone
  local found = redis.call('ZRANGE', list, 0, but and 1 or 0, 'WITHSCORES')
  local at = but and found[1] == but and found[3] and 3 or 1
  return found[at], tonumber(found[at + 1])
end

local function last_unanswered(call) -- to whom it was offered last, when they did not answer
  return redis.call('GET', 'desk:unanswered:' .. call)
end

local paused -- paused queues, read on first use

local function is_paused(language)
  if not paused then
    paused = {}
    local entries = redis.call('HGETALL', 'desk:holds')
    for i = 1, #entries, 2 do
      paused[entries[i]] = tonumber(string.match(entries[i + 1], '^%S+')) > now
    end
  end
  return paused.all or paused[language]
end

local function may_be_offered(call, want) -- urgent calls, and for one consultant, ignore pauses
  local entry = redis.call('HGET', 'desk:calls', call) or ''
  local language, arrival = string.match(entry, '^%S* (%S*) (%S*)')
  if string.sub(want, 1, 1) == '@' or not is_paused(language) then return true end
  return tonumber(redis.call('ZSCORE', 'desk:waiting', call)) < tonumber(arrival)
end

local function match_all_idle() -- a pause ended: more calls may be offered
  for _, extension in ipairs(redis.call('ZRANGE', 'desk:idle', 0, -1)) do
    table.insert(newly_idle, extension)
  end
end

local function has_expired(call) -- its controller stopped renewing it
  return tonumber(redis.call('ZSCORE', 'desk:asked', call) or 0) < now
end

local function first_waiting(want)
  local list = 'desk:waiting:' .. want
  local call, place = first(list)
  while call and has_expired(call) do
    dequeue(call)
    call, place = first(list)
  end
  if not call or may_be_offered(call, want) then return call, place end
  for _, each in ipairs(redis.call('ZRANGE', list, 0, -1)) do -- only while a queue is paused
    if may_be_offered(each, want) and not has_expired(each) then
      return each, tonumber(redis.call('ZSCORE', list, each))
    end
  end
end

local function is_idle(extension) return redis.call('ZSCORE', 'desk:idle', extension) end

local function longest_idle(want, but) -- `but` only when nobody else fits
  local chosen = string.match(want, '^@(.*)$')
  if chosen then return is_idle(chosen) and chosen end
  if want == 'any' then return (first('desk:idle', but)) end
  local base, level = string.match(want, '^(.*):(%d+)$')
  if not base then return (first('desk:idle:' .. want, but)) end
  local best, longest
  for each = tonumber(level), HIGHEST do
    local extension, since = first('desk:idle:' .. base .. ':' .. each, but)
    if extension and (not best or best == but or extension ~= but and since < longest) then
      best, longest = extension, since
    end
  end
  return best
end

-- Leases the first waiting call that fits, but leaves to others what it did not answer just now;
-- returns whether it left anything.
local function match_consultant(extension, has_left)
  local best, lowest
  local leaves = false
  for _, want in ipairs(redis.call('SMEMBERS', 'desk:wants')) do
    if fits(extension, want) then
      local call, place = first_waiting(want)
      if call and not has_left and last_unanswered(call) == extension
          and longest_idle(want, extension) ~= extension then
        leaves = true
      elseif call and (not lowest or place < lowest) then
        best, lowest = call, place
      end
    end
  end
  if leaves then return true end
  if best then lease(best, extension) end
end

local function match_call(call, want, preferred) -- leases an idle consultant to a waiting call
  if not may_be_offered(call, want) then return end
  local but = last_unanswered(call)
  local is_preferred = preferred ~= '' and preferred ~= but and is_idle(preferred)
    and fits(preferred, want)
  local extension = is_preferred and preferred or longest_idle(want, but)
  if extension then lease(call, extension) end
end

local function match_newly_idle() -- the longest idle first
  if redis.call('EXISTS', 'desk:wants') == 0 then return end
  local since, left = {}, {}
  for _, extension in ipairs(newly_idle) do since[extension] = tonumber(is_idle(extension) or now) end
  table.sort(newly_idle, function(one, other) return since[one] < since[other] end)
  for _, extension in ipairs(newly_idle) do
    if is_idle(extension) and match_consultant(extension) then table.insert(left, extension) end
  end
  for _, extension in ipairs(left) do
    if is_idle(extension) then match_consultant(extension, true) end
  end
end
