-- Commits what the holder of a target's lease has done.
--
-- ARGV: the target; the holder; its epoch; the number of owed events, and of each the cursor, the state and the row; the number of
--   events that are no longer owed, and the cursor of each; then, with the last part of a commit, the target's cursor, whether it is
--   paused and down (1 or 0), its last error, its replays, and the number up to which requests are done, in 16 digits.
-- Returns: 1 if it is committed; 0 if the lease is another's.
if get('holder') ~= ARGV[2] or get('epoch') ~= ARGV[3] then
    return 0
end
local at = 5
for _ = 1, tonumber(ARGV[4]) do
    local cursor = ARGV[at]
    unplace(cursor)
    redis.call('ZADD', order, 0, name .. ':' .. ARGV[at + 1] .. ':' .. cursor)
    redis.call('HSET', owed, name .. ':' .. cursor, ARGV[at + 2])
    at = at + 3
end
local settled = tonumber(ARGV[at])
for _ = 1, settled do
    at = at + 1
    unplace(ARGV[at])
    redis.call('HDEL', owed, name .. ':' .. ARGV[at])
end
if ARGV[at + 1] then
    for offset, field in ipairs({ 'cursor', 'paused', 'down', 'error', 'replays' }) do
        set(field, ARGV[at + offset])
    end
    local done = redis.call('ZRANGE', steering, first_of, '[' .. name .. ':' .. ARGV[at + 6] .. ';', 'BYLEX')
    for _, request in ipairs(done) do
        redis.call('ZREM', steering, request)
    end
end
return 1
