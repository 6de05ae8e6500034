-- Gives the lease of a target back, so that another roomkey can take it at once.
--
-- ARGV: the target; who gives it back.
if get('holder') == ARGV[2] then
    redis.call('HDEL', targets, name .. ':holder', name .. ':until')
end
