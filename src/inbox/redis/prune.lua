#!lua flags=allow-oom
-- Deletes a few of the oldest entries, where they are too old or too much is kept. Allowed where memory is short: it frees some.
--
-- KEYS: the stream of entries, the index (fingerprint -> stream id), the state.
-- ARGV: the milliseconds since 1970 before which an entry is too old; the bytes that may be kept; the bytes that an entry takes
--   beside its fields.
-- Gives: 1 where there may be more to delete, entries, bytes.
local entries, index, state = KEYS[1], KEYS[2], KEYS[3]
local oldest, most, overhead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- A step holds up everything else in the server: so many pages of so many entries, and about so many bytes.
local PAGES, PAGE, STEP_BYTES = 8, 16, 1048576

local kept = tonumber(redis.call('HGET', state, 'bytes') or '0')
local from, seen, freed, last, more = '-', 0, 0, nil, 0
for _ = 1, PAGES do
    local page = redis.call('XRANGE', entries, from, '+', 'COUNT', PAGE)
    local fingerprints, going = {}, 0
    for at, entry in ipairs(page) do
        local fields = entry[2]
        fingerprints[at] = fields[2]
        -- The clock may have been set back and forth: all up to the last one that is too old.
        local goes = tonumber(fields[4]) < oldest or kept - seen > most
        seen = seen + overhead
        for field = 2, #fields, 2 do
            seen = seen + #fields[field]
        end
        if goes then
            going, freed, last = at, seen, entry[1]
        end
    end
    if going > 0 then
        redis.call('HDEL', index, unpack(fingerprints, 1, going))
    end
    more = going == PAGE and 1 or 0
    if more == 0 or freed > STEP_BYTES then
        break
    end
    from = '(' .. last
end
if last then
    local ms, count = string.match(last, '^(%d+)-(%d+)$')
    redis.call('XTRIM', entries, 'MINID', string.format('%s-%.0f', ms, tonumber(count) + 1))
    redis.call('HSET', state, 'deleted', last)
    kept = redis.call('HINCRBY', state, 'bytes', string.format('%.0f', -freed))
end
return { more, redis.call('XLEN', entries), kept }
