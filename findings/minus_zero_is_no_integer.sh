#!/bin/sh
# Redis 7.0.15 (Debian 12), Lua 5.1 in scripts: redis.call('HINCRBY', key, field, -n) with n = 0 fails with "value is not an integer or out
# of range", because the number that Lua calls -0 is handed on as the text "-0". INCRBY, ZADD and SET take the same argument as numbers
# or text, so only the integer commands fail, and only in the case where nothing would change: a script that takes a size back from a
# running total fails for empty values alone. fakeredis 2.41.0, which runs the same script in Python with a Lua of its own, lets it pass, so
# tests over it do not see it.
# Seen: an error from redis-server for n = 0, none for n = 1; none from fakeredis; "0 - n" in the place of "-n" works in both.
. "$(dirname "$0")/lib.sh"
command -v redis-server > /dev/null || { echo "needs redis-server" >&2; exit 2; }
environment fakeredis==2.41.0 redis==8.1.0 lupa==2.6
cat > show.py <<'PY'
import subprocess
import sys
import time

import fakeredis
import redis


def say(what: str, client: redis.Redis) -> None:
    for text in ("-n", "0 - n"):
        for n in (0, 1):
            try:
                client.eval(f"local n = tonumber(ARGV[1]) return redis.call('HINCRBY', 'h', 'f', {text})", 0, n)
                print(f"{what}: {text} with n = {n}: done")
            except redis.ResponseError as error:
                print(f"{what}: {text} with n = {n}: {'not an integer' if 'not an integer' in str(error) else error}")


server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", "./r.sock", "--save", ""], stdout=subprocess.DEVNULL)
try:
    client = redis.Redis(unix_socket_path="./r.sock")
    for _ in range(200):
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    print("redis-server", client.info()["redis_version"], file=sys.stderr)
    say("redis-server", client)
finally:
    server.terminate()
    server.wait()
say("fakeredis", fakeredis.FakeRedis())
PY
"$python" -W ignore show.py | tee seen
cat > expected <<'TEXT'
redis-server: -n with n = 0: not an integer
redis-server: -n with n = 1: done
redis-server: 0 - n with n = 0: done
redis-server: 0 - n with n = 1: done
fakeredis: -n with n = 0: done
fakeredis: -n with n = 1: done
fakeredis: 0 - n with n = 0: done
fakeredis: 0 - n with n = 1: done
TEXT
cmp expected seen
