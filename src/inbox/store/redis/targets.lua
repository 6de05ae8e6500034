-- What the scripts about the relay's targets have in common, after `common.lua`.
--
-- More KEYS: the targets, their owed events, the order of these, the requests that wait.
local targets, owed, order, steering = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
-- The name of a target has no colon, so what is kept of each is in one range of each key. A semicolon follows the colon.
local name = ARGV[1]
local first_of, last_of = '[' .. name .. ':', '(' .. name .. ';'

local function get(field)
    return redis.call('HGET', targets, name .. ':' .. field)
end

local function set(field, value)
    redis.call('HSET', targets, name .. ':' .. field, value)
end

local function number(field)
    return tonumber(string.match(get(field) or '', '^%d+$') or 0)
end

-- The target is in use at `now`, in milliseconds.
local function touch(now)
    set('touched', string.format('%.0f', math.max(number('touched'), tonumber(now))))
end

local STATES = { 'held', 'aside', 'dead', 'expired' }

-- Takes an owed event out of the order.
local function unplace(cursor)
    local members = {}
    for at, of in ipairs(STATES) do
        members[at] = name .. ':' .. of .. ':' .. cursor
    end
    redis.call('ZREM', order, unpack(members))
end
