-- Sets where the inbox begins if it is unused: it has no entries, and no server has told readers how far it is.
--
-- ARGV: where it begins, as a stream id.
-- Returns: 1 if it is unused.
if redis.call('XLEN', entries) > 0 or redis.call('HGET', state, 'reached') then
    return 0
end
redis.call('HSET', state, 'schema', SCHEMA, 'deleted', ARGV[1])
return 1
