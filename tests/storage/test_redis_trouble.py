"""Redis that stops responding, is behind a socket file, or does not permit what is needed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from redis.exceptions import ClusterCrossSlotError, ClusterDownError, MovedError

from bot.errors import SettingsError, StorageError
from bot.network.certificates import tls_context
from bot.timing import Timing
from storage.coordination import Coordination, TopicEvent, open_coordination
from storage.coordination.failures import loss_of
from tests.conftest import or_skip
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.handlers.tcp_proxy import Mute, TcpProxy
from tests.network.authority import Authority
from tests.redis_service import RedisServer
from tests.services import program
from tests.slow import slow, slow_after
from tests.tcp_server import tcp_server

pytestmark = pytest.mark.redis

SHORT = Timing(redis_timeout=3.0)
"""Short, because it is waited for in full; long enough for a server that waits for a processor."""


@dataclass(frozen=True)
class Muted:
    """A coordination behind a proxy, and another replica that is not."""

    coordination: Coordination
    proxy: TcpProxy
    other: Coordination


@pytest.fixture
async def muted(redis_url: str) -> AsyncIterator[Muted]:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(TcpProxy(redis_url))
        opened = [await open_coordination(url, SHORT) for url in (proxy.url, redis_url)]
        for each in opened:
            stack.push_async_callback(each.close)
            await _until_well(each)
        yield Muted(opened[0], proxy, opened[1])


async def _until_well(coordination: Coordination) -> None:
    async with asyncio.timeout(WAIT_TIMEOUT):
        while await fault(coordination) is not None:
            await asyncio.sleep(0.05)


async def fault(coordination: Coordination) -> str | None:
    try:
        await coordination.ping()
    except StorageError as error:
        return str(error)
    return None


async def receives(from_: Coordination, to: Coordination) -> None:
    """Until an event arrives; what is sent while a connection is being replaced may be lost."""
    async with asyncio.timeout(WAIT_TIMEOUT), to.subscribe("t") as events:
        arrived = asyncio.ensure_future(anext(events))
        while not arrived.done():
            await from_.publish("t", {"n": 1})
            await asyncio.sleep(0.05)
        assert await arrived == TopicEvent("t", {"n": 1})


@pytest.mark.parametrize("held", slow_after(1, [Mute.BOTH, Mute.REQUESTS, Mute.RESPONSES]))
async def test_unresponsive_connections_are_replaced(muted: Muted, held: Mute) -> None:
    """All that are open, the listener's too; new ones work."""
    await asyncio.gather(*(muted.coordination.acquire("k", 100, 100) for _ in range(5)))
    muted.proxy.mute(held, new=False)
    await receives(muted.other, muted.coordination)
    await _until_well(muted.coordination)
    await receives(muted.coordination, muted.other)
    assert (await muted.coordination.acquire("k", 1000, 100)).granted


@pytest.mark.parametrize("held", slow_after(1, [Mute.BOTH, Mute.REQUESTS, Mute.RESPONSES]))
async def test_an_unresponsive_redis_is_noticed_delays_nobody_and_recovers(
    muted: Muted, held: Mute, caplog: pytest.LogCaptureFixture
) -> None:
    muted.proxy.mute(held)
    assert await fault(muted.coordination) == "Redis cannot be reached: it does not answer"
    for _ in range(500):  # each immediately: all together take less than the time limit
        with pytest.raises(StorageError, match="it does not answer"):
            await muted.coordination.acquire("k", 1, 1)
    muted.proxy.mute(Mute.NOTHING)
    await _until_well(muted.coordination)
    await receives(muted.other, muted.coordination)
    logged = [each for each in caplog.records if each.name == "storage.coordination.redis"]
    assert [each.message for each in logged] == ["redis_lost", "redis_back"]
    assert logged[0].__dict__["reason"] == "Redis cannot be reached: it does not answer"
    assert logged[0].__dict__["redis"].startswith("127.0.0.1:")


async def test_a_listener_that_subscribes_late_is_waited_for(redis_url: str) -> None:
    """Also at the start: a probe that is published before would wait in vain, and a working Redis count as lost."""
    address = urlsplit(redis_url)
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection(address.hostname, address.port)
        back = asyncio.ensure_future(_forward(redis_reader, writer))
        while data := await reader.read(65536):
            if b"SUBSCRIBE" in data:
                await asked.wait()
                await asyncio.sleep(0.3)
            redis_writer.write(data)
            if b"EVAL" in data:
                asked.set()
        redis_writer.close()
        await back

    async with tcp_server(serve) as port:
        url = f"redis://127.0.0.1:{port}{address.path}"
        coordination = await open_coordination(url, Timing(redis_timeout=WAIT_TIMEOUT))
        try:
            await coordination.ping()
        finally:
            await coordination.close()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_redis_behind_a_socket_file(redis_server_file: Path) -> None:
    url = f"unix://{redis_server_file}?db=1"
    one, two = [await open_coordination(url, patient_timing()) for _ in range(2)]
    try:
        for each in (one, two):
            await _until_well(each)
        await receives(one, two)
        assert (await two.acquire("k", 1, 1)).granted
    finally:
        await one.close()
        await two.close()


@pytest.fixture
def redis_server_file(own_redis: RedisServer, tmp_path: Path) -> Path:
    """The socket file of a Redis server."""
    file = tmp_path / "redis.sock"
    or_skip(lambda: own_redis.restart("--unixsocket", str(file)))
    return file


RIGHTS = {
    "no scripts": ("-eval", "its user may not"),
    "no events": ("-publish", "its user may not"),
    "no subscriptions": ("-subscribe", "its user may not"),
    "other keys": ("resetkeys ~else:*", "its user may not"),
    "other channels": ("resetchannels &else:*", "its user may not"),
    "all it needs": ("resetkeys ~bobbin:* resetchannels &bobbin:*", None),
}


@pytest.mark.parametrize("case", [slow(c) if c == "no subscriptions" else c for c in RIGHTS])
async def test_a_user_without_the_needed_permissions_is_reported(
    own_redis: RedisServer, case: str
) -> None:
    or_skip(lambda: program("redis-server"))  # fakeredis has no users
    rules, expected = RIGHTS[case]
    with redis.Redis.from_url(own_redis.url) as client:
        client.execute_command(
            "ACL", "SETUSER", "bob", "on", ">pw", "+@all", "~*", "&*", *rules.split()
        )
    found = await _fault_at(own_redis.url.replace("redis://", "redis://bob:pw@"), patient_timing())
    assert found is None if expected is None else expected in str(found)


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_redis_with_a_private_certificate_authority_is_trusted(
    own_redis: RedisServer, tmp_path: Path, trusted: bool
) -> None:
    """It is trusted by the certificates by which all other servers are."""
    authority = Authority.create(tmp_path)
    files = {
        "cert": authority.server_certificate,
        "key": authority.server_key,
        "ca-cert": authority.certificate,
    }
    options = [word for name, file in files.items() for word in (f"--tls-{name}-file", str(file))]
    or_skip(lambda: own_redis.restart("--tls-auth-clients", "no", *options, tls=True))
    tls = tls_context([authority.certificate] if trusted else [])
    url = f"rediss://127.0.0.1:{own_redis.tls_port}"
    coordination = await open_coordination(url, patient_timing(), tls)
    try:
        if trusted:
            await _until_well(coordination)
        else:
            assert "its certificate is not trusted" in str(await fault(coordination))
    finally:
        await coordination.close()


UNUSABLE = {
    "redis://h?tls=true": "the option tls",
    "redis://h?family=0": "the option family",
    "rediss://h?ssl_cert_reqs=CERT_NONE": "cannot be used",
    "redis://:p#ss/w?rd@h:6379/0": "percent-encoded",
    "redis://h:port": "percent-encoded",
    "redis://h:6379/cache": "redis://user:password@host:6379/0",
    "unix://redis.sock": "unix:///path/to/redis.sock",
}


@pytest.mark.parametrize(("url", "expected"), UNUSABLE.items())
async def test_a_url_that_cannot_be_used_is_refused_at_once(url: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL ") as refused:
        await open_coordination(url)
    assert expected in str(refused.value)
    assert "p#ss" not in str(refused.value)


@pytest.mark.parametrize(
    "error",
    [
        MovedError("3999 127.0.0.1:6381"),
        ClusterDownError("Hash slot not served"),
        ClusterCrossSlotError("Keys in request don't hash to the same slot"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_node_of_a_cluster_is_recognised(error: redis.RedisError) -> None:
    loss = loss_of(error)
    assert "Redis Cluster" in loss.reason
    assert "REDIS_URL" in loss.cure


async def _fault_at(url: str, timing: Timing) -> str | None:
    coordination = await open_coordination(url, timing)
    try:
        return await fault(coordination)
    finally:
        await coordination.close()


NO_ANSWER = "it does not answer"
WRONG = {
    "redis://127.0.0.1:1": "nothing listens there",
    "redis://no.such.host.invalid:6379": "its host's name cannot be resolved",
    "unix:///nowhere/redis.sock": "a file that REDIS_URL names does not exist",
    "redis://:wrong@HOST": "refuses the user or the password",
    "rediss://HOST": NO_ANSWER,
    "redis://HOST/99": "DB index is out of range",
    "redis://MUTE": NO_ANSWER,
}


async def test_a_path_is_only_a_name_where_the_query_names_the_database(
    own_redis: RedisServer,
) -> None:
    place = own_redis.url.removeprefix("redis://").partition("/")[0]
    coordination = await open_coordination(f"redis://{place}/cache?db=0", patient_timing())
    try:
        await _until_well(coordination)
    finally:
        await coordination.close()


@pytest.mark.parametrize(("url", "expected"), WRONG.items())
async def test_the_cause_is_reported(own_redis: RedisServer, url: str, expected: str) -> None:
    if ":wrong@" in url or "rediss://" in url:  # fakeredis has neither passwords nor TLS
        or_skip(lambda: program("redis-server"))
    with redis.Redis.from_url(own_redis.url) as client:
        if ":wrong@" in url:
            client.config_set("requirepass", "right")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        place = own_redis.url.removeprefix("redis://").partition("/")[0]
        url = url.replace("HOST", place).replace("MUTE", f"127.0.0.1:{mute.getsockname()[1]}")
        timing = Timing() if expected == NO_ANSWER else patient_timing()
        found = str(await _fault_at(url, timing))
    assert found.startswith("Redis cannot be reached: ")
    assert expected in found
    assert "wrong" not in found
