#!lua
-- Commits a batch: what is new in it becomes an entry, in order. Having no flags it is refused, before it does anything, where it
-- could not write: on a replica, out of memory, with a disk that fails.
--
-- KEYS: the stream of entries, the index (fingerprint -> stream id), the state.
-- ARGV: where the inbox begins if it is new, as a stream id; the bytes that an entry takes beside its fields; then the fields of
--   each arrival: fingerprint, received (milliseconds), key, id, event, room, body.
-- Gives: a digit an arrival (0 new, 1 known, 2 known with another body), the newest stream id, entries, bytes.
local entries, index, state = KEYS[1], KEYS[2], KEYS[3]
local overhead = tonumber(ARGV[2])
-- As in a cursor: 2^20 a millisecond.
local COUNTS = 1048576

local function place(id)
    local ms, count = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(count)
end

redis.call('HSETNX', state, 'deleted', ARGV[1])
local ms, count = place(redis.call('HGET', state, 'deleted'))
local reached = redis.call('HGET', state, 'reached')
if reached then
    local reached_ms, reached_count = place(reached)
    if reached_ms > ms or (reached_ms == ms and reached_count > count) then
        ms, count = reached_ms, reached_count
    end
end
local newest = redis.call('XREVRANGE', entries, '+', '-', 'COUNT', 1)[1]
if newest then
    local newest_ms, newest_count = place(newest[1])
    if newest_ms > ms or (newest_ms == ms and newest_count > count) then
        ms, count = newest_ms, newest_count
    end
end

local answers, bytes = {}, 0
for at = 3, #ARGV, 7 do
    local fingerprint, body = ARGV[at], ARGV[at + 6]
    local known = redis.call('HGET', index, fingerprint)
    known = known and redis.call('XRANGE', entries, known, known)[1]
    if known then
        local fields = known[2]
        answers[#answers + 1] = fields[#fields] == body and '1' or '2'
    else
        local received = tonumber(ARGV[at + 1])
        if received > ms then
            ms, count = received, 0
        elseif count + 1 < COUNTS then
            count = count + 1
        else
            ms, count = ms + 1, 0
        end
        local id = string.format('%.0f-%.0f', ms, count)
        redis.call('XADD', entries, id, 'fingerprint', fingerprint, 'received', ARGV[at + 1], 'key', ARGV[at + 2],
            'id', ARGV[at + 3], 'event', ARGV[at + 4], 'room', ARGV[at + 5], 'body', body)
        redis.call('HSET', index, fingerprint, id)
        bytes = bytes + overhead
        for field = at, at + 6 do
            bytes = bytes + #ARGV[field]
        end
        answers[#answers + 1] = '0'
    end
end
-- Nothing new is nothing to write, and so nothing to wait for.
if bytes > 0 then
    bytes = redis.call('HINCRBY', state, 'bytes', bytes)
else
    bytes = tonumber(redis.call('HGET', state, 'bytes') or '0')
end
return { table.concat(answers), string.format('%.0f-%.0f', ms, count), redis.call('XLEN', entries), bytes }
