-- Commits a batch: new arrivals become entries, in order. Without flags, Redis refuses it before it does anything if it could not
-- write: on a replica, out of memory, with a failing disk.
--
-- ARGV: where the inbox begins if it is new, as a stream id; then the fields of each arrival: fingerprint, received (milliseconds),
--   key, id, event, room, body, and for an imported one the stream id that it must get, otherwise nothing.
-- Returns: a digit for each arrival (0 new, 1 known, 2 known with another body), the newest stream id, entries, bytes.
local ms, count, newest = latest(ARGV[1])
local numbered

-- The fields of the entry that the index names, if it exists and has this fingerprint.
local function find(fingerprint)
    local id = redis.call('HGET', index, fingerprint)
    local entry = place(id) and redis.call('XRANGE', entries, id, id)[1]
    local fields = entry and read(entry)
    return fields and fields.fingerprint == fingerprint and fields
end

local function add(id, ...)
    local added = redis.pcall('XADD', entries, id, ...)
    if type(added) ~= 'table' then
        return
    end
    -- Another program may have written an id after all cursors, and Redis accepts none before it. Such entries are deleted.
    for _, beyond in ipairs(redis.call('XRANGE', entries, '(' .. LAST_ID, '+', 'COUNT', 1000)) do
        redis.call('XDEL', entries, beyond[1])
    end
    local before = redis.call('XREVRANGE', entries, '+', '-', 'COUNT', 1)[1]
    redis.call('XSETID', entries, before and before[1] or '0-0')
    redis.call('XADD', entries, id, ...)
end

local kept, bytes, answers = kept_bytes(), 0, {}
for at = 2, #ARGV, 8 do
    local fingerprint, body = ARGV[at], ARGV[at + 6]
    local known = find(fingerprint)
    if known then
        answers[#answers + 1] = known.body == body and '1' or '2'
    else
        local given_ms, given_count = place(ARGV[at + 7])
        -- This leaves room for later ids even if the clock was far ahead.
        local received = math.min(tonumber(ARGV[at + 1]), LAST_MS - COUNTS)
        if given_ms then
            -- Imported ones come in order, so this can only be the first one that is new: nothing is written yet.
            if given_ms < ms or (given_ms == ms and given_count <= count) then
                return redis.error_reply('MISPLACED an imported entry comes too late')
            end
            ms, count = given_ms, given_count
        elseif received > ms then
            ms, count = received, 0
        elseif count + 1 < COUNTS then
            count = count + 1
        elseif ms < LAST_MS then
            ms, count = ms + 1, 0
        else
            return redis.error_reply('ERR the newest entry is at the end of time')
        end
        local id = id_at(ms, count)
        numbered = (numbered or newest_number(newest)) + 1
        local number = string.format('%.0f', numbered)
        add(id, 'fingerprint', fingerprint, 'received', ARGV[at + 1], 'key', ARGV[at + 2], 'id', ARGV[at + 3],
            'event', ARGV[at + 4], 'room', ARGV[at + 5], 'body', body, 'number', number)
        redis.call('HSET', index, fingerprint, id)
        bytes = bytes + OVERHEAD + #number
        for field = at, at + 6 do
            bytes = bytes + #ARGV[field]
        end
        answers[#answers + 1] = '0'
    end
end
-- Without new entries nothing is written, so Redis has nothing to wait for.
if bytes > 0 then
    kept = kept + bytes
    redis.call('HSET', state, 'bytes', string.format('%.0f', kept))
end
return { table.concat(answers), id_at(ms, count), redis.call('XLEN', entries), kept }
