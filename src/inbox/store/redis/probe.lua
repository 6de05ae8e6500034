-- Begins the inbox if there is none, and otherwise only checks that the keys are an inbox. Without flags, Redis refuses it whenever it
-- would refuse a batch.
--
-- ARGV: where the inbox begins if it is new, as a stream id.
-- Returns: the stream id of the newest deleted entry; at first, where the inbox begins.
redis.call('XLEN', entries)
redis.call('HGET', index, '')
return begin(ARGV[1])
