-- Finds the newest entry up to an id.
--
-- ARGV: the stream id.
-- Returns: nothing if there is no such entry; otherwise its stream id, and when it was received, if roomkey wrote it.
local entry = redis.call('XREVRANGE', entries, ARGV[1], '-', 'COUNT', 1)[1]
local fields = entry and read(entry)
return entry and { entry[1], fields and fields.received or '' }
