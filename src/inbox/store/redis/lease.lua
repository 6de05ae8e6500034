-- Takes or renews the lease of a target. Allowed without free memory, because settled events need none.
--
-- ARGV: the target; who takes it; the milliseconds of now at the roomkey.
-- Returns: the epoch, which grows with each holder; 0 while somebody else holds it.
local LEASE = 15000
-- The time of the server is the same for all holders.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local holder = get('holder')
if holder and holder ~= ARGV[2] and number('until') > now then
    -- If the server's clock was set back, it expires no later than if it was taken now.
    if number('until') > now + LEASE then
        set('until', string.format('%.0f', now + LEASE))
    end
    return 0
end
if holder ~= ARGV[2] then
    set('epoch', string.format('%.0f', number('epoch') + 1))
    set('holder', ARGV[2])
end
set('until', string.format('%.0f', now + LEASE))
touch(ARGV[3])
return number('epoch')
