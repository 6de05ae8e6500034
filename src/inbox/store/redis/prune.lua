-- Deletes some of the oldest entries if they are too old or too much is stored. Allowed without free memory, because it frees some.
--
-- ARGV: the milliseconds since 1970 before which an entry is too old; the bytes that may be stored; the milliseconds of now.
-- Returns: 1 if there may be more to delete, entries, bytes.
local oldest, most, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- A step blocks everything else in the server. It may delete more than one append adds (512 arrivals, 4 MiB and one body of
-- 8 MiB), so that a step after each append keeps pace.
local STEP_ENTRIES, STEP_BYTES = 600, 16777216
-- How many entries after the last one to delete are searched for another, because the clock may have been set back and forth.
local AHEAD_ENTRIES, AHEAD_BYTES = 16, 1048576

local kept = kept_bytes()
local deleted = redis.call('HGET', state, 'deleted') or ''

-- All entries after `after` are newer than `since`, so they need not be searched before `since` is too old.
local after, since = string.match(redis.call('HGET', state, 'oldest') or '', '^(%S+) (%d+)$')
if after == deleted and tonumber(since) >= oldest and kept <= most then
    return { 0, redis.call('XLEN', entries), kept }
end

-- The oldest entries may be dated later than now, because the clock was ahead. They count as received when they were first seen
-- here, which is `ahead`.
local ahead = tonumber(redis.call('HGET', state, 'ahead') or '')
local in_front = true
local function came(fields, id)
    local received = fields and tonumber(fields.received) or cursor_at(id)
    in_front = in_front and received > now
    if not in_front then
        return received
    end
    if not ahead then
        ahead = now
        redis.call('HSET', state, 'ahead', string.format('%.0f', now))
    end
    return ahead
end

local from, seen, looked, freed, last, more = '-', 0, 0, 0, nil, 0
-- Entries that are deleted only if a later one is, and when the oldest of them was received.
local waiting, waiting_from, waiting_since = {}, 0, math.huge
for _ = 1, STEP_ENTRIES do
    more = 0
    -- If none can be too old, nothing after the excess is searched.
    local entry = (oldest > 0 or kept - seen > most) and first(from)
    if not entry then
        break
    end
    local id, fields, size = entry[1], read(entry)
    local received = came(fields, id)
    local goes = received < oldest or kept - seen > most
    waiting[#waiting + 1] = { id, fields and fields.fingerprint }
    looked = looked + size
    -- Entries of other programs are not counted.
    seen = fields and seen + size or seen
    if goes then
        for _, each in ipairs(waiting) do
            if each[2] and redis.call('HGET', index, each[2]) == each[1] then
                redis.call('HDEL', index, each[2])
            end
        end
        waiting, waiting_from, waiting_since = {}, looked, math.huge
        freed, last, more = seen, id, 1
    else
        waiting_since = math.min(waiting_since, received)
        if #waiting >= AHEAD_ENTRIES or looked - waiting_from > AHEAD_BYTES then
            break
        end
    end
    if looked > STEP_BYTES then
        break
    end
    from = '(' .. id
end

if last then
    local ms, count = cursor_at(last)
    redis.call('XTRIM', entries, 'MINID', count + 1 < COUNTS and id_at(ms, count + 1) or id_at(ms + 1, 0))
    kept = redis.call('XLEN', entries) > 0 and math.max(kept - freed, 0) or 0
    deleted = id_at(ms, count)
    redis.call('HSET', state, 'deleted', deleted, 'bytes', string.format('%.0f', kept))
    redis.call('HDEL', state, 'ahead')
end
if #waiting > 0 then
    redis.call('HSET', state, 'oldest', string.format('%s %.0f', deleted, waiting_since))
end
return { more, redis.call('XLEN', entries), kept }
