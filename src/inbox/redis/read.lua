-- Reads a page. It filters here, so that only what is wanted is sent, and it ends after some entries or bytes, wanted or not,
-- because it holds up everything else in the server.
--
-- ARGV: the stream id after which to read, or nothing; the entries that are wanted at most; the bytes of their bodies after which
--   no more are wanted; 1 where a room is wanted; the room; the names of the wanted events, or none.
-- Gives: the stream id of the newest entry that was deleted, if it is known; that of the last entry looked at, if there is one; 1
--   where there are no more; the entries: id, received, key, event id, event, room, body. Of one that roomkey did not write, the id.
local room = ARGV[4] == '1' and ARGV[5]
local most_entries, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local LOOKED_AT, LOOKED_AT_BYTES = 512, 1048576

local events, all_events = {}, #ARGV < 6
for at = 6, #ARGV do
    events[ARGV[at]] = true
end

local from = '-'
if ARGV[1] ~= '' then
    -- The last count of a millisecond also stands for ids that no cursor can stand for.
    local ms, count = place(ARGV[1])
    from = count + 1 < COUNTS and '(' .. ARGV[1] or id_at(ms + 1, 0)
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
        found[#found + 1] = { id }
    elseif (not room or fields.room == room) and (all_events or events[fields.event]) then
        if wanted >= most_entries or bytes >= most_bytes then
            break
        end
        wanted, bytes = wanted + 1, bytes + #fields.body
        found[#found + 1] = { id, fields.received, fields.key, fields.id, fields.event, fields.room, fields.body }
    end
    looked, from = looked + size, '(' .. id
    upto = id_at(cursor_at(id))
end
return { redis.call('HGET', state, 'deleted') or '', upto, is_last, found }
