-- The beginning of every script: the keys, the schema, and how entries and the state are read. Other programs may have damaged the
-- keys, so fields are read by name, and numbers are checked before they are used.
--
-- KEYS: the stream of entries, the index (fingerprint -> stream id), the state.
local entries, index, state = KEYS[1], KEYS[2], KEYS[3]
-- The version of what the keys hold. A roomkey that changes the format raises it, and older ones stop.
local SCHEMA = '1'
-- The bytes of an entry in the stream and in the index, besides its fields. Measured over 100,000 entries with Redis 7.0: 141 for
-- bodies of 300 bytes, 276 for LiveKit's usual 1.3 kB. For large ones the allocator adds up to a fifth.
local OVERHEAD = 288
-- As in a cursor: 2^20 a millisecond, up to this millisecond (2^43 - 1).
local COUNTS, LAST_MS = 1048576, 8796093022207
local LAST_ID = '8796093022207-18446744073709551615'

-- Without a version, the inbox has the first one or does not exist yet.
local schema = redis.call('HGET', state, 'schema')
if schema and schema ~= SCHEMA then
    return redis.error_reply('NEWER the schema of the inbox is not ' .. SCHEMA)
end

-- The milliseconds and the count of an id; nothing if no cursor has this id.
local function place(id)
    local ms, count = string.match(id or '', '^(%d+)-(%d+)$')
    ms, count = tonumber(ms), tonumber(count)
    if ms and ms <= LAST_MS and count < COUNTS then
        return ms, count
    end
end

local function id_at(ms, count)
    return string.format('%.0f-%.0f', ms, count)
end

-- The id of the last cursor that is not after `id`, which is not beyond the last millisecond.
local function cursor_at(id)
    local ms, count = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), math.min(tonumber(count), COUNTS - 1)
end

-- The first entry from `from` on. One at a time, because each may be large.
local function first(from)
    return redis.call('XRANGE', entries, from, LAST_ID, 'COUNT', 1)[1]
end

-- The fields of an entry by name, including any that a later roomkey added, and their size; no fields if another program wrote the
-- entry.
local function read(entry)
    local fields, size = {}, OVERHEAD
    for at = 1, #entry[2], 2 do
        fields[entry[2][at]] = entry[2][at + 1]
        size = size + #entry[2][at + 1]
    end
    local is_ours = fields.fingerprint and fields.key and fields.id and fields.event and fields.room and fields.body
        and string.match(fields.received or '', '^%d+$')
    return is_ours and fields, size
end

-- The bytes that are stored. If the count is lost or damaged, it continues from Redis's estimate.
local function kept_bytes()
    local kept = string.match(redis.call('HGET', state, 'bytes') or '', '^%d+$')
    if kept then
        return tonumber(kept)
    end
    local count = redis.call('XLEN', entries)
    local usage = count > 0 and redis.pcall('MEMORY', 'USAGE', entries)
    return type(usage) == 'number' and usage or count * OVERHEAD
end

-- The id of the newest deleted entry; at first where the inbox begins, which is `new`. If it is lost or damaged, the
-- inbox begins at its oldest entry.
local function begin(new)
    if not schema then
        redis.call('HSET', state, 'schema', SCHEMA)
    end
    local deleted = redis.call('HGET', state, 'deleted')
    if not place(deleted) then
        local oldest = first('-')
        deleted = new
        if oldest then
            local ms, count = cursor_at(oldest[1])
            deleted = count > 0 and id_at(ms, count - 1) or id_at(math.max(ms - 1, 0), COUNTS - 1)
        end
        redis.call('HSET', state, 'deleted', deleted)
    end
    return deleted
end

-- How many entries were before an entry and with it, since the inbox began; nothing if another program wrote it, or an older roomkey.
local function number_of(entry)
    local fields = entry and read(entry)
    return fields and tonumber(string.match(fields.number or '', '^%d+$') or nil)
end

-- The number of the newest entry, which is `newest`, if there is one.
local function newest_number(newest)
    local number = number_of(newest)
    if number then
        return number
    end
    -- Redis counts too, but answers with the whole first and last entry, if it is permitted to.
    local stream = redis.pcall('XINFO', 'STREAM', entries)
    for at = 1, #stream, 2 do
        if stream[at] == 'entries-added' then
            return stream[at + 1]
        end
    end
    return redis.call('XLEN', entries)
end

-- The lowest id after the cursor `id`. The last cursor of a millisecond also stands for ids with larger counts, which no cursor has.
local function after(id)
    local ms, count = place(id)
    return count + 1 < COUNTS and '(' .. id or id_at(ms + 1, 0)
end

-- New entries come after this: the newest entry, even if deleted, and what readers were told. Returns the newest entry as well.
local function latest(new)
    local ms, count = place(begin(new))
    local newest = redis.call('XREVRANGE', entries, LAST_ID, '-', 'COUNT', 1)[1]
    for _, id in ipairs({ newest and id_at(cursor_at(newest[1])) or '', redis.call('HGET', state, 'reached') or '' }) do
        local other_ms, other_count = place(id)
        if other_ms and (other_ms > ms or (other_ms == ms and other_count > count)) then
            ms, count = other_ms, other_count
        end
    end
    return ms, count, newest
end
