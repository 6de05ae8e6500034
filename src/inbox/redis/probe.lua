-- Begins the inbox where there is none, and otherwise only looks whether the keys are an inbox. Having no flags it is refused where a batch would be.
--
-- ARGV: where the inbox begins if it is new, as a stream id.
-- Gives: the stream id of the newest entry that was deleted; at first, where the inbox begins.
redis.call('XLEN', entries)
redis.call('HGET', index, '')
return begin(ARGV[1])
