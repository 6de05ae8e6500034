-- Reads a page. It filters here, so that only wanted entries are sent, and it stops after some entries or bytes, wanted or not,
-- because it blocks everything else in the server.
--
-- ARGV: the stream id after which to read, or nothing; the number of entries at most; the bytes of bodies after which no entry is
--   added; 1 if a room is wanted; the room; the names of the wanted events, or none.
-- Returns: the stream id of the newest deleted entry, if known; that of the last entry looked at, if any; 1 if there are no more;
--   the entries: the stream id; received, key, event id, event, room, body, or nothing if another program wrote the entry.
local room = ARGV[4] == '1' and ARGV[5]
local most_entries, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local LOOKED_AT, LOOKED_AT_BYTES = 512, 1048576

local events, all_events = {}, #ARGV < 6
for at = 6, #ARGV do
    events[ARGV[at]] = true
end

local from = '-'
if ARGV[1] ~= '' then
    from = after(ARGV[1])
end

local found, upto, is_last = {}, '', 0
local wanted, bytes, looked = 0, 0, 0
for _ = 1, LOOKED_AT do
    if looked > LOOKED_AT_BYTES then
        break
    end
    local entry = first(from)
    if not entry then
        is_last = 1
        break
    end
    local id, fields, size = entry[1], read(entry)
    if not fields then
        found[#found + 1] = { id, false }
    elseif (not room or fields.room == room) and (all_events or events[fields.event]) then
        -- The rule of `PageLimit::take`.
        if wanted >= most_entries or bytes >= most_bytes then
            break
        end
        wanted, bytes = wanted + 1, bytes + #fields.body
        found[#found + 1] = { id, { fields.received, fields.key, fields.id, fields.event, fields.room, fields.body } }
    end
    looked, from = looked + size, '(' .. id
    upto = id_at(cursor_at(id))
end
return { redis.call('HGET', state, 'deleted') or '', upto, is_last, found }
