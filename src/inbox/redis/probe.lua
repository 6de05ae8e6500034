#!lua
-- Begins the inbox where there is none, and else does nothing. Having no flags it is refused where a batch would be.
--
-- KEYS: the state.
-- ARGV: where the inbox begins if it is new, as a stream id.
-- Gives: the stream id of the newest entry that was deleted; at first, where the inbox begins.
redis.call('HSETNX', KEYS[1], 'deleted', ARGV[1])
return redis.call('HGET', KEYS[1], 'deleted')
