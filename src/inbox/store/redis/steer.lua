-- Adds a request to those that wait for the holder of a target.
--
-- ARGV: the target; the request; how many may wait; the milliseconds of now.
-- Returns: its number; 0 if too many wait.
if redis.call('ZLEXCOUNT', steering, first_of, last_of) >= tonumber(ARGV[3]) then
    return 0
end
local asked = number('asked') + 1
set('asked', string.format('%.0f', asked))
touch(ARGV[4])
redis.call('ZADD', steering, 0, string.format('%s:%016.0f:%s', name, asked, ARGV[2]))
return asked
