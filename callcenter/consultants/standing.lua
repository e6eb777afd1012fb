-- How a waiting call stands: reads only. The keys are explained in desk.lua.
-- call, language, each language of the line, ... -> { place among those who wait for the language
--   (0: it does not wait), average seconds of a conversation ('' while unknown), consultants at work
--   and not on a pause who speak the language, for each language of the line: at work at all, ... }

local call, language = ARGV[1], ARGV[2]

local function place()
  local own = redis.call('ZSCORE', 'desk:waiting', call)
  if not own then return 0 end
  local before = 0
  for _, want in ipairs(redis.call('SMEMBERS', 'desk:wants')) do
    if string.match(want, '^%w+') == language then
      before = before + redis.call('ZCOUNT', 'desk:waiting:' .. want, '-inf', '(' .. own)
    end
  end
  return before + 1
end

local answer = {
  place(), redis.call('GET', 'desk:handling') or '', redis.call('SCARD', 'desk:working:' .. language)
}
for i = 3, #ARGV do table.insert(answer, redis.call('SCARD', 'desk:present:' .. ARGV[i])) end
return answer
