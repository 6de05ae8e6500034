-- Reads the first owed events of a target after a cursor, in each of some states.
--
-- ARGV: the target; the cursor; how many of each state at most; the states.
-- Returns: the cursor and the row of each, in order within a state.
local found = {}
for at = 4, #ARGV do
    local prefix = name .. ':' .. ARGV[at] .. ':'
    local members = redis.call('ZRANGE', order, '(' .. prefix .. ARGV[2], '(' .. name .. ':' .. ARGV[at] .. ';',
        'BYLEX', 'LIMIT', 0, ARGV[3])
    for _, member in ipairs(members) do
        local cursor = string.sub(member, #prefix + 1)
        found[#found + 1] = { cursor, redis.call('HGET', owed, name .. ':' .. cursor) or '' }
    end
end
return found
