//! What a cancelled call leaves behind in things that are kept for the next: a connection, a
//! database, a lock. The next record gets its own answer, and never the one that was not fetched.

use crate::done::{numbers, records};
use crate::python::python;

use super::interpreters;

/// Runs this class with a record 3 that hangs: all others are to give what `expected` says.
#[track_caller]
fn check(source: &str, expected: impl Fn(usize) -> String) {
    let Some(env) = python(source) else { return };
    for interpreter in interpreters() {
        let done = env
            .mtask()
            .words("-j1 --concurrency 1 --timeout 3s --python work.py:Kept --")
            .args([&interpreter])
            .run_on(numbers(8));
        done.assert_status(123);
        done.assert_one_error(3, "timeout");
        done.assert_results_but(3, &records((0..8).map(&expected)));
        done.check(
            !done.stderr.contains("replaced"),
            "the process was replaced",
        );
    }
}

#[test]
fn a_connection_that_is_dropped_with_its_call_gives_no_answer_to_the_next() {
    let source = r#"
import asyncio

async def serve(reader, writer):
    # One answer for each request, in turn, as HTTP/1.1 has it.
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        name = head.split()[1].decode().lstrip("/")
        if name == "3":
            await asyncio.sleep(3600)
        body = f"answer {name}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()

class Kept:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.server = self.kept = None

    async def __call__(self, name):
        async with self.lock:  # one request at a time on the connection
            if self.server is None:
                self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
            if self.kept is None:
                self.kept = await asyncio.open_connection(*self.server.sockets[0].getsockname())
            reader, writer = self.kept
            try:
                writer.write(f"GET /{name} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split()[0])
                return (await reader.readexactly(length)).decode()
            except BaseException:
                writer.close()  # its answer would be taken for that to the next request
                self.kept = None
                raise
"#;
    check(source, |x| format!("\"answer {x}\""));
}

#[test]
fn a_query_that_is_interrupted_with_its_call_gives_no_row_to_the_next() {
    let source = r#"
import asyncio, sqlite3
from concurrent.futures import ThreadPoolExecutor

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

class Kept:
    def __init__(self):
        self.thread = ThreadPoolExecutor(1)  # a connection is used by one thread at a time
        self.connection = sqlite3.connect(":memory:", check_same_thread=False)
        self.lock = asyncio.Lock()

    async def __call__(self, x):
        query = ENDLESS if x == 3 else f"SELECT {x} * 10"
        async with self.lock:
            run = lambda: self.connection.execute(query).fetchone()[0]
            rows = asyncio.get_running_loop().run_in_executor(self.thread, run)
            try:
                return await asyncio.shield(rows)
            except asyncio.CancelledError:
                self.connection.interrupt()  # what runs in a thread is not cancelled by itself
                await asyncio.wait([rows])
                rows.exception()
                raise
"#;
    check(source, |x| (x * 10).to_string());
}

#[test]
fn a_lock_is_free_again_once_the_call_that_held_it_is_cancelled() {
    let source = r#"
import asyncio

class Kept:
    def __init__(self):
        self.lock = asyncio.Lock()

    async def __call__(self, x):
        async with self.lock:
            if x == 3:
                await asyncio.sleep(3600)
            return x
"#;
    check(source, |x| x.to_string());
}
