/* The least that a runner of lines must do, as a measure of what is possible: one thread, poll, blocks
 * of whole lines that go to the worker with the fewest, and come out in their order or as they come.
 * It handles no fault at all.
 *
 *     relay JOBS LINES IN_FLIGHT ordered|any COMMAND [ARG...]
 *
 * LINES is how many lines make a block, 0 for as many as fit into 64 KiB; IN_FLIGHT how many blocks a
 * worker is given at a time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024 };

struct bytes {
    char *at;
    size_t len, capacity;
};

struct block {
    char in[BLOCK];
    size_t len, sent, owed;
    struct bytes answers; /* while others are in turn */
};

struct worker {
    pid_t pid;
    int to, from;
    struct block **blocks; /* a ring of those it owes, oldest first */
    size_t oldest, count, sent;
    struct bytes part; /* any order: a line that is not whole yet */
};

extern char **environ;
static struct worker *workers;
static size_t jobs, in_flight, max_lines, is_ordered;
static struct block **spare, **turn; /* blocks not in use; those in use, in order */
static size_t spares, slots, turn_first, turn_end;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void put(const char *at, size_t len) {
    while (len > 0) {
        ssize_t n = write(1, at, len);
        if (n < 0) fail("write");
        at += n, len -= n;
    }
}

static void keep(struct bytes *bytes, const char *at, size_t len) {
    if (bytes->len + len > bytes->capacity) {
        bytes->capacity = 2 * (bytes->len + len);
        bytes->at = realloc(bytes->at, bytes->capacity);
        if (!bytes->at) fail("realloc");
    }
    memcpy(bytes->at + bytes->len, at, len);
    bytes->len += len;
}

static void release(struct bytes *bytes) {
    put(bytes->at, bytes->len);
    bytes->len = 0;
}

/* In strides whose sums fit into bytes, which makes vectors of it. */
static size_t count_lines(const char *at, size_t len) {
    size_t lines = 0;
    while (len > 0) {
        size_t stride = len < 4096 ? len : 4096, n = 0;
        for (size_t i = 0; i < stride; i++) n += at[i] == '\n';
        lines += n, at += stride, len -= stride;
    }
    return lines;
}

static const char *after_lines(const char *at, const char *end, size_t lines) {
    while (lines-- > 0) at = (const char *)memchr(at, '\n', end - at) + 1;
    return at;
}

static void start(struct worker *worker, char **command) {
    int in[2], out[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) fail("pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (posix_spawnp(&worker->pid, command[0], &actions, NULL, command, environ)) fail(command[0]);
    close(in[0]), close(out[1]);
    worker->to = in[1], worker->from = out[0];
    fcntl(worker->to, F_SETFL, O_NONBLOCK), fcntl(worker->from, F_SETFL, O_NONBLOCK);
    worker->blocks = calloc(in_flight, sizeof *worker->blocks);
}

static struct block *owed_by(struct worker *worker, size_t number) {
    return worker->blocks[(worker->oldest + number) % in_flight];
}

static void send_on(struct worker *worker) {
    while (worker->sent < worker->count) {
        struct block *block = owed_by(worker, worker->sent);
        ssize_t n = write(worker->to, block->in + block->sent, block->len - block->sent);
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) fail("write to a worker");
        if ((block->sent += n) == block->len) worker->sent++;
    }
}

static struct worker *with_room(void) {
    struct worker *best = NULL;
    for (struct worker *w = workers; spares > 0 && w < workers + jobs; w++)
        if (w->count < in_flight && (!best || w->count < best->count)) best = w;
    return best;
}

static void give(struct worker *worker, const char *at, size_t len, size_t lines) {
    struct block *block = spare[--spares];
    memcpy(block->in, at, len);
    block->len = len, block->sent = 0, block->owed = lines;
    worker->blocks[(worker->oldest + worker->count++) % in_flight] = block;
    if (is_ordered) turn[turn_end++ % slots] = block;
    send_on(worker);
}

/* Cuts a block off what was read, if there is a whole one. */
static size_t cut(const char *at, size_t len, int is_end, size_t *lines) {
    size_t most = len < BLOCK ? len : BLOCK;
    if (max_lines == 0) {
        const char *last = len >= BLOCK || is_end ? memrchr(at, '\n', most) : NULL;
        if (!last) return 0;
        *lines = count_lines(at, last + 1 - at);
        return last + 1 - at;
    }
    const char *end = at, *newline;
    for (*lines = 0; *lines < max_lines; ++*lines) {
        if (!(newline = memchr(end, '\n', at + most - end))) break;
        end = newline + 1;
    }
    return *lines == max_lines || is_end || len >= BLOCK ? end - at : 0;
}

static void write_turn(void) {
    for (; turn_first < turn_end; turn_first++) {
        struct block *block = turn[turn_first % slots];
        release(&block->answers);
        if (block->owed > 0) return;
        spare[spares++] = block;
    }
}

static void take(struct worker *worker, const char *at, const char *end) {
    const char *whole = memrchr(at, '\n', end - at);
    if (!is_ordered && whole) {
        release(&worker->part);
        put(at, whole + 1 - at);
        keep(&worker->part, whole + 1, end - whole - 1);
    } else if (!is_ordered) {
        keep(&worker->part, at, end - at);
    }
    size_t lines = count_lines(at, end - at);
    while (at < end) {
        if (worker->count == 0) fail("a worker wrote more than it was asked");
        struct block *block = owed_by(worker, 0);
        const char *until = end;
        int is_done = lines >= block->owed;
        if (is_done) {
            until = lines == block->owed ? whole + 1 : after_lines(at, end, block->owed);
            lines -= block->owed, block->owed = 0;
        } else {
            block->owed -= lines, lines = 0;
        }
        if (is_ordered && block == turn[turn_first % slots]) {
            release(&block->answers);
            put(at, until - at);
        } else if (is_ordered) {
            keep(&block->answers, at, until - at);
        }
        at = until;
        if (!is_done) return;
        worker->oldest++, worker->count--, worker->sent--;
        if (is_ordered) write_turn();
        else spare[spares++] = block;
    }
}

int main(int argc, char **argv) {
    if (argc < 6) return 2;
    jobs = atoi(argv[1]), max_lines = atoi(argv[2]), in_flight = atoi(argv[3]);
    is_ordered = !strcmp(argv[4], "ordered");
    signal(SIGPIPE, SIG_IGN);
    slots = 4 * jobs * in_flight;
    spare = calloc(slots, sizeof *spare), turn = calloc(slots, sizeof *turn);
    struct block *blocks = calloc(slots, sizeof *blocks);  /* no page of it is touched before it is used */
    for (; spares < slots; spares++) spare[spares] = &blocks[spares];
    workers = calloc(jobs, sizeof *workers);
    for (size_t i = 0; i < jobs; i++) start(&workers[i], argv + 5);

    static char input[2 * BLOCK + 1], answers[256 * 1024];
    size_t first = 0, len = 0, open = jobs;
    int is_end = 0;
    struct pollfd *waits = calloc(1 + 2 * jobs, sizeof *waits);
    while (open > 0) {
        struct worker *worker;
        int wants_input = 0;
        while ((worker = with_room()) && !(is_end && first == len)) {
            size_t lines, n = cut(input + first, len - first, is_end, &lines);
            if (n == 0 && len - first > BLOCK) fail("a line is too long");
            if ((wants_input = n == 0)) break;
            give(worker, input + first, n, lines);
            first += n;
        }
        if (wants_input) {
            memmove(input, input + first, len - first);
            len -= first, first = 0;
        }
        waits[0] = (struct pollfd){wants_input && !is_end ? 0 : -1, POLLIN, 0};
        for (size_t i = 0; i < jobs; i++) {
            worker = &workers[i];
            int is_sent = worker->sent == worker->count;
            if (is_end && first == len && is_sent && worker->to >= 0) close(worker->to), worker->to = -1;
            waits[1 + 2 * i] = (struct pollfd){is_sent ? -1 : worker->to, POLLOUT, 0};
            waits[2 + 2 * i] = (struct pollfd){worker->from, POLLIN, 0};
        }
        if (poll(waits, 1 + 2 * jobs, -1) < 0) fail("poll");
        if (waits[0].revents) {
            ssize_t n = read(0, input + len, sizeof input - 1 - len);
            if (n < 0) fail("read");
            if (n == 0) is_end = 1;
            len += n;
            if (is_end && len > 0 && input[len - 1] != '\n') input[len++] = '\n';
        }
        for (size_t i = 0; i < jobs; i++) {
            worker = &workers[i];
            if (waits[1 + 2 * i].revents) send_on(worker);
            if (!waits[2 + 2 * i].revents) continue;
            ssize_t n = read(worker->from, answers, sizeof answers);
            if (n < 0 && errno != EAGAIN) fail("read from a worker");
            if (n == 0) close(worker->from), worker->from = -1, open--;
            if (n > 0) take(worker, answers, answers + n);
        }
    }
    for (size_t i = 0; i < jobs; i++) waitpid(workers[i].pid, NULL, 0);
    return 0;
}
