-- Reads the requests that wait for the holder of a target.
--
-- ARGV: the target.
-- Returns: each with the target and its number in 16 digits before it, in their order.
return redis.call('ZRANGE', steering, first_of, last_of, 'BYLEX')
