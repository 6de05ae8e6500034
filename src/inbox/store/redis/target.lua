-- Reads the state of a target.
--
-- ARGV: the target.
-- Returns: nothing before its first commit; otherwise its cursor, whether it is paused and down, its last error, its replays, and
--   how many owed events are held, aside and dead.
local cursor = get('cursor')
if not cursor then
    return false
end
local counts = {}
for at, of in ipairs(STATES) do
    local prefix = name .. ':' .. of
    counts[at] = redis.call('ZLEXCOUNT', order, '[' .. prefix .. ':', '(' .. prefix .. ';')
end
return { cursor, get('paused') == '1', get('down') == '1', get('error') or '', get('replays') or '',
    counts[1], counts[2], counts[3] }
