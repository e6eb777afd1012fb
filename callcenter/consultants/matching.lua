-- Who may be matched with whom: the lists by which that is found without looking at everybody. The
-- second part of the desk's script; the keys are explained in desk.lua.
--
-- What a caller wants is one word: a language (kk), a language with a skill of a level at least
-- (kk:lawyer:3), or one consultant (@201). Between two operations nobody who is idle fits anybody who
-- waits, so an operation looks only at those who became idle in it, and at the call that asks.

local HIGHEST = 5 -- level of a skill, see skills.py
local freed = {} -- extensions that are idle, by what this operation did

local function languages_of(extension)
  return string.gmatch(redis.call('HGET', 'desk:roster', extension) or '', '%S+')
end

local function lists_of(extension) -- what an idle consultant is found by
  local lists = {}
  local skills = redis.call('HGET', 'desk:skills', extension) or ''
  for language in languages_of(extension) do
    table.insert(lists, 'desk:idle:' .. language)
    for skill in string.gmatch(skills, '%S+') do
      table.insert(lists, 'desk:idle:' .. language .. ':' .. skill)
    end
  end
  return lists
end

local function not_idle(extension)
  if redis.call('ZREM', 'desk:idle', extension) == 1 then
    for _, list in ipairs(lists_of(extension)) do redis.call('ZREM', list, extension) end
  end
end

local function idle(extension)
  redis.call('ZADD', 'desk:idle', 'NX', now, extension)
  local since = redis.call('ZSCORE', 'desk:idle', extension)
  for _, list in ipairs(lists_of(extension)) do redis.call('ZADD', list, since, extension) end
  table.insert(freed, extension)
end

local function listed(name, extension, member)
  for language in languages_of(extension) do
    redis.call(member and 'SADD' or 'SREM', 'desk:' .. name .. ':' .. language, extension)
  end
end

local function count_in(extension) -- among those at work, and those of them who are not on a pause
  local state = standing(extension)
  local present = state ~= 'signed_out' and not UNREGISTERED[telephone(extension)]
  listed('present', extension, present)
  listed('working', extension, present and state ~= 'paused')
end

local function strike_out(extension) -- from all lists by languages and skills, which may change now
  for _, list in ipairs(lists_of(extension)) do redis.call('ZREM', list, extension) end
  listed('present', extension, false)
  listed('working', extension, false)
end

local function speaks(extension, language)
  local spoken = ' ' .. (redis.call('HGET', 'desk:roster', extension) or '') .. ' '
  return string.find(spoken, ' ' .. language .. ' ', 1, true) ~= nil
end

local function fits(extension, want)
  if string.sub(want, 1, 1) == '@' then return want == '@' .. extension end
  local language, skill, level = string.match(want, '^(%w+):?([%w_]*):?(%d*)$')
  if not speaks(extension, language) then return false end
  if skill == '' then return true end
  local skills = ' ' .. (redis.call('HGET', 'desk:skills', extension) or '')
  local own = string.match(skills, ' ' .. skill .. ':(%d+)')
  return own ~= nil and tonumber(own) >= tonumber(level)
end

local function offer(call, controller, extension, withdrawn)
  local word = call .. ' ' .. extension .. (withdrawn and ' withdrawn' or '')
  redis.call('RPUSH', 'desk:offers:' .. controller, word)
  redis.call('EXPIRE', 'desk:offers:' .. controller, LEASE)
end

local function forget(call) -- it does not wait any more; returns its controller
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

local function enter(call, controller, language, place, arrival, want)
  local entry = table.concat({controller, language, arrival, want}, ' ')
  if redis.call('HGET', 'desk:calls', call) ~= entry then forget(call) end
  redis.call('ZADD', 'desk:waiting', place, call)
  redis.call('ZADD', 'desk:waiting:' .. want, place, call)
  redis.call('SADD', 'desk:wants', want)
  redis.call('ZADD', 'desk:asked', now + LEASE, call)
  redis.call('HSET', 'desk:calls', call, entry)
end

local function lease(call, extension)
  local controller = forget(call)
  not_idle(extension)
  redis.call('ZADD', 'desk:leases', now + LEASE, extension)
  redis.call('HSET', 'desk:holders', extension, call .. ' ' .. controller)
  redis.call('HSET', 'desk:held', call, extension)
  move(extension, 'offered', '-', 'desk')
  offer(call, controller, extension)
end

local function first(list) -- member and score
  local found = redis.call('ZRANGE', list, 0, 0, 'WITHSCORES')
  return found[1], tonumber(found[2])
end

local holds -- queues that are held back now, once it has been asked

local function held_back(language)
  if not holds then
    holds = {}
    local entries = redis.call('HGETALL', 'desk:holds')
    for i = 1, #entries, 2 do
      holds[entries[i]] = tonumber(string.match(entries[i + 1], '^%S+')) > now
    end
  end
  return holds.all or holds[language]
end

local function may_go(call, want) -- who was chosen by name, and urgent calls, are never held back
  local entry = redis.call('HGET', 'desk:calls', call) or ''
  local language, arrival = string.match(entry, '^%S* (%S*) (%S*)')
  if string.sub(want, 1, 1) == '@' or not held_back(language) then return true end
  return tonumber(redis.call('ZSCORE', 'desk:waiting', call)) < tonumber(arrival)
end

local function look_again() -- at everybody who is idle, for more callers may go now
  for _, extension in ipairs(redis.call('ZRANGE', 'desk:idle', 0, -1)) do
    table.insert(freed, extension)
  end
end

local function is_dead(call) -- as its controller is
  return tonumber(redis.call('ZSCORE', 'desk:asked', call) or 0) < now
end

local function first_waiting(want)
  local list = 'desk:waiting:' .. want
  local call, place = first(list)
  while call and is_dead(call) do
    forget(call)
    call, place = first(list)
  end
  if not call or may_go(call, want) then return call, place end
  for _, each in ipairs(redis.call('ZRANGE', list, 0, -1)) do -- only while a queue is held back
    if may_go(each, want) and not is_dead(each) then
      return each, tonumber(redis.call('ZSCORE', list, each))
    end
  end
end

local function serve(extension) -- somebody who is idle takes the first of those who wait, if any fits
  local best, lowest
  for _, want in ipairs(redis.call('SMEMBERS', 'desk:wants')) do
    if fits(extension, want) then
      local call, place = first_waiting(want)
      if call and (not lowest or place < lowest) then best, lowest = call, place end
    end
  end
  if best then lease(best, extension) end
end

local function is_idle(extension) return redis.call('ZSCORE', 'desk:idle', extension) end

local function longest_idle(want)
  local chosen = string.match(want, '^@(.*)$')
  if chosen then return is_idle(chosen) and chosen end
  local base, level = string.match(want, '^(.*):(%d+)$')
  if not base then return (first('desk:idle:' .. want)) end
  local best, longest
  for each = tonumber(level), HIGHEST do
    local extension, since = first('desk:idle:' .. base .. ':' .. each)
    if extension and (not longest or since < longest) then best, longest = extension, since end
  end
  return best
end

local function find(call, want, preferred) -- a consultant for a call that waits, if any is idle
  if not may_go(call, want) then return end
  local known = preferred ~= '' and is_idle(preferred) and fits(preferred, want)
  local extension = known and preferred or longest_idle(want)
  if extension then lease(call, extension) end
end

local function serve_freed() -- the longest idle first
  if redis.call('EXISTS', 'desk:wants') == 0 then return end
  local since = {}
  for _, extension in ipairs(freed) do since[extension] = tonumber(is_idle(extension) or now) end
  table.sort(freed, function(one, other) return since[one] < since[other] end)
  for _, extension in ipairs(freed) do
    if is_idle(extension) then serve(extension) end
  end
end
