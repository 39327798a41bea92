"""What Redis does in one step for the workers: takes, begins, finishes, returns and rescues jobs.

Each script moves a job's id from one list or set to another, never out of all of them, so that a worker
may die between any two steps, and two rescuers may meet, without a job being lost or answered twice.
They write what RQ's own methods write for one job after the other (`Execution.create`,
`Job.prepare_for_execution`, `Job._handle_success`, `Result.create`, …, RQ 2.12), for a whole batch, at a
tenth of the cost. Time is that of Redis, since the clocks of many hosts differ. The names of jobs' keys
are made inside: like RQ itself, this is for one Redis and not for Redis Cluster.
"""

from ._uploads import LUA_DROP

TAKE = """
-- KEYS queue, intermediate; ARGV most. Answers {id, data, status, stage, enqueued_at, priority} of each.
local taken = {}
for index = 1, tonumber(ARGV[1]) do
  local id = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
  if not id then break end
  local fields = redis.call('HMGET', 'rq:job:' .. id, 'data', 'status', 'stage', 'enqueued_at',
    'priority')
  taken[index] = {id, unpack(fields, 1, 5)}
end
return taken
"""

NEXT = """
-- KEYS queue. Answers the priority of the job that is next.
local id = redis.call('LINDEX', KEYS[1], 0)
return id and redis.call('HGET', 'rq:job:' .. id, 'priority')
"""

GIVE_BACK = """
-- KEYS intermediate, queue; ARGV 'LPUSH' or 'RPUSH', ids. Jobs that were taken and not begun.
for index = 2, #ARGV do
  if redis.call('LREM', KEYS[1], 1, ARGV[index]) == 1
      and redis.call('EXISTS', 'rq:job:' .. ARGV[index]) == 1 then
    redis.call(ARGV[1], KEYS[2], ARGV[index])
  end
end
"""

BEGIN = """
-- KEYS begun, intermediate, worker; ARGV worker's name, moment in RQ's form, in seconds, lease, life of
-- an execution, then id and run of each job. Answers 1 for each that is ours now, also where it was
-- already: the answer to the first try may have been lost.
local name, moment, seconds, lease, life = unpack(ARGV, 1, 5)
local time = redis.call('TIME')
local ends = time[1] + time[2] / 1e6 + lease
local ours = {}
for index = 6, #ARGV, 2 do
  local id, run = ARGV[index], ARGV[index + 1]
  local entry, job = id .. ':' .. run, 'rq:job:' .. id
  if redis.call('ZSCORE', KEYS[1], entry) then
    ours[#ours + 1] = 1
  elseif redis.call('LREM', KEYS[2], 1, id) == 1 then
    redis.call('HSET', 'rq:execution:' .. entry, 'id', run, 'created_at', seconds,
      'last_heartbeat', seconds, 'worker_name', name)
    redis.call('EXPIRE', 'rq:execution:' .. entry, life)
    redis.call('ZADD', 'rq:executions:' .. id, ends + 60, run)
    redis.call('EXPIRE', 'rq:executions:' .. id, life + 60)
    redis.call('ZADD', KEYS[1], ends, entry)
    redis.call('HSET', job, 'status', 'started', 'stage', 'fetching', 'worker_name', name,
      'started_at', moment, 'last_heartbeat', moment)
    redis.call('PERSIST', job)
    ours[#ours + 1] = 1
  else
    ours[#ours + 1] = 0
  end
end
redis.call('HSET', KEYS[3], 'state', 'busy', 'current_job', ARGV[6])
return ours
"""

RENEW = """
-- KEYS begun; ARGV lease, life of an execution, entries. Those that were taken away stay away.
local time = redis.call('TIME')
local ends = time[1] + time[2] / 1e6 + ARGV[1]
for index = 3, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', ends, ARGV[index])
  redis.call('EXPIRE', 'rq:execution:' .. ARGV[index], ARGV[2])
end
"""

FINISH = (
    LUA_DROP
    + """
-- KEYS begun, RQ's registry of finished jobs, worker; ARGV worker's name, moment in RQ's form, in
-- seconds, life of an answer, of RQ's record, seconds worked, then id, run, start in seconds, answer,
-- flight and upload of each job. Answers 0 for each that is not ours any more, 2 for each that others
-- depend on.
local name, moment, seconds, kept, recorded, worked = unpack(ARGV, 1, 6)
local states, count = {}, 0
for index = 7, #ARGV, 6 do
  local id, run, start, answer, flight, upload = unpack(ARGV, index, index + 5)
  local entry, job, result = id .. ':' .. run, 'rq:job:' .. id, 'rq:results:' .. id
  local dependents, dependencies = job .. ':dependents', 'rq:job::' .. id .. ':dependencies'
  if redis.call('ZREM', KEYS[1], entry) == 0 then
    states[#states + 1] = 0
  else
    count = count + 1
    states[#states + 1] = 1 + redis.call('EXISTS', dependents)
    redis.call('DEL', 'rq:execution:' .. entry)
    redis.call('ZREM', 'rq:executions:' .. id, run)
    local life = tonumber(redis.call('HGET', job, 'result_ttl') or recorded) or tonumber(recorded)
    if life == 0 then
      redis.call('DEL', job, dependencies)
    else
      redis.call('HSET', job, 'status', 'finished', 'ended_at', moment)
      redis.call('XADD', result, 'MAXLEN', 10, '*', 'type', 1, 'worker_name', name,
        'return_value', 'MQ==', 'execution_id', run, 'execution_started_at', start,
        'execution_ended_at', seconds, 'answer', answer)
      redis.call('ZADD', KEYS[2], life > 0 and seconds + life or '+inf', id)
      if life > 0 then
        for _, key in ipairs({job, result, dependents, dependencies}) do
          redis.call('EXPIRE', key, life)
        end
      end
    end
    redis.call('SET', 'aidetect:answer:' .. id, answer, 'EX', kept)
    redis.call('DEL', flight, 'aidetect:askers:' .. id)
    if upload ~= '' then drop_upload(upload) end
  end
end
redis.call('HINCRBY', KEYS[3], 'successful_job_count', count)
redis.call('HINCRBYFLOAT', KEYS[3], 'total_working_time', worked)
redis.call('HDEL', KEYS[3], 'current_job')
return states
"""
)

RELEASE = """
-- KEYS begun, queue; ARGV id and run of each job. Jobs that were begun and are given up unharmed.
for index = 1, #ARGV, 2 do
  local entry, job = ARGV[index] .. ':' .. ARGV[index + 1], 'rq:job:' .. ARGV[index]
  if redis.call('ZREM', KEYS[1], entry) == 1 then
    redis.call('DEL', 'rq:execution:' .. entry)
    if redis.call('EXISTS', job) == 1 then
      redis.call('HDEL', job, 'stage')
      redis.call('HSET', job, 'status', 'queued')
      redis.call('LPUSH', KEYS[2], ARGV[index])
    end
  end
end
"""

RESCUE = """
-- KEYS begun, queue, intermediate, job; ARGV entry, id, deaths that are forgiven.
-- A job whose lease has run out: its worker is dead. Who only waited for its bytes is innocent and
-- loses no life; who was being analysed may have been the cause. Answers 'queued', 'failed' or false.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) > tonumber(redis.call('TIME')[1]) then return false end
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[4]) == 0 then return false end
local deaths = redis.call('HINCRBY', KEYS[4], 'deaths', 1)
if redis.call('HGET', KEYS[4], 'stage') == 'analysing' or deaths > tonumber(ARGV[3]) then
  local left = tonumber(redis.call('HGET', KEYS[4], 'retries_left') or '0') or 0
  if left < 1 then
    redis.call('RPUSH', KEYS[3], ARGV[2])
    return 'failed'
  end
  redis.call('HSET', KEYS[4], 'retries_left', left - 1, 'stage', 'analysing')
end
redis.call('HSET', KEYS[4], 'status', 'queued')
redis.call('LPUSH', KEYS[2], ARGV[2])
return 'queued'
"""
