-- Writes a little, so that the connection has a write that Redis can wait for: replicas that have it have everything before it. It
-- needs no free memory, because readers need it too.
redis.call('HSET', state, 'touched', '1')
