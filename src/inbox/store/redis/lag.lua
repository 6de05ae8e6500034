-- Counts the entries after a cursor, by their numbers.
--
-- ARGV: the stream id.
-- Returns: how many there are, and when the first of them was received, if there are any.
local entry, newest = first(after(ARGV[1])), redis.call('XREVRANGE', entries, LAST_ID, '-', 'COUNT', 1)[1]
local received, passed, looked = '', 0, 0
-- Entries of older roomkeys have no number. Some of them are counted one by one. If there are more, these are all that is known.
while entry and passed < 512 and looked < 1048576 do
    local fields, size = read(entry)
    if passed == 0 then
        received = fields and fields.received or string.format('%.0f', (cursor_at(entry[1])))
    end
    local number = number_of(entry)
    if number then
        return { math.max(newest_number(newest) - number, 0) + 1 + passed, received }
    end
    passed, looked = passed + 1, looked + size
    entry = first('(' .. entry[1])
end
return { passed, received }
