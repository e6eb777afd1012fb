-- Queue position of a call: reads only. consultants/distributor.lua explains the keys.
-- call, language, each language, ... -> { position among the calls for the language (0: not in the
--   queue), average seconds of a conversation ('' while unknown), signed-in consultants of the
--   language who are not paused, for each language: signed-in consultants, ... }

local call, language = ARGV[1], ARGV[2]

local function position()
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
  position(), redis.call('GET', 'desk:handling') or '', redis.call('SCARD', 'desk:working:' .. language)
}
for i = 3, #ARGV do table.insert(answer, redis.call('SCARD', 'desk:present:' .. ARGV[i])) end
return answer
