#!lua
-- Makes sure that new entries get later ids than the one given. Having no flags it is refused where a batch would be.
--
-- KEYS: the stream of entries, the index (fingerprint -> stream id), the state.
-- ARGV: where the inbox begins if it is new, as a stream id; the stream id to advance to.
-- Gives: the id that new entries are later than: the one given, or a later one.
local entries, state = KEYS[1], KEYS[3]

local function place(id)
    local ms, count = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(count)
end

local function later(one, other)
    local ms, count = place(one)
    local other_ms, other_count = place(other)
    return (ms > other_ms or (ms == other_ms and count > other_count)) and one or other
end

redis.call('HSETNX', state, 'deleted', ARGV[1])
local reached = redis.call('HGET', state, 'reached') or '0-0'
if later(ARGV[2], reached) ~= reached then
    reached = ARGV[2]
    redis.call('HSET', state, 'reached', reached)
end
local newest = redis.call('XREVRANGE', entries, '+', '-', 'COUNT', 1)[1]
reached = later(reached, redis.call('HGET', state, 'deleted'))
return newest and later(reached, newest[1]) or reached
