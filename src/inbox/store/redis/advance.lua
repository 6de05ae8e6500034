-- Makes sure that new entries get later ids than the given one. Without flags, Redis refuses it whenever it would refuse a batch.
--
-- ARGV: where the inbox begins if it is new, as a stream id; the stream id to advance to.
-- Returns: new entries have later ids than this: the given id, or a later one.
local ms, count = latest(ARGV[1])
local to_ms, to_count = place(ARGV[2])
if to_ms > ms or (to_ms == ms and to_count > count) then
    redis.call('HSET', state, 'reached', ARGV[2])
    ms, count = to_ms, to_count
end
return id_at(ms, count)
