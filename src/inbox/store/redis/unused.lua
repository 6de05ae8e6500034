-- Deletes a part of what is kept of targets that nobody uses any more. Allowed without free memory, because it frees some.
--
-- ARGV: nothing; a holder; the milliseconds since 1970 before which a target was used for the last time; the milliseconds of now.
-- Returns: 1 if there may be more.
local STEP = 1000
for _, field in ipairs(redis.call('HKEYS', targets)) do
    local found = string.match(field, '^([^:]*):touched$')
    if found then
        name = found
        first_of, last_of = '[' .. name .. ':', '(' .. name .. ';'
        if get('holder') == ARGV[2] then
            touch(ARGV[4])
        elseif number('touched') < tonumber(ARGV[3]) then
            local some = redis.call('ZRANGE', order, first_of, last_of, 'BYLEX', 'LIMIT', 0, STEP)
            for _, member in ipairs(some) do
                redis.call('HDEL', owed, name .. ':' .. string.match(member, '[^:]*$'))
                redis.call('ZREM', order, member)
            end
            if #some < STEP then
                for _, request in ipairs(redis.call('ZRANGE', steering, first_of, last_of, 'BYLEX')) do
                    redis.call('ZREM', steering, request)
                end
                for _, each in ipairs({ 'cursor', 'paused', 'down', 'error', 'replays', 'epoch', 'holder', 'until', 'asked', 'touched' }) do
                    redis.call('HDEL', targets, name .. ':' .. each)
                end
            end
            return 1
        end
    end
end
return 0
