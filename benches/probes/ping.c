/* One line there and one back, again and again: what a round trip costs at least.
 *
 *     ping COMMAND [ARG...] < LINES > ANSWERS */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    int in[2], out[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (argc < 2 || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) return 2;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (posix_spawnp(&pid, argv[1], &actions, NULL, argv + 1, environ)) return 1;
    close(in[0]), close(out[1]);
    static char line[64 * 1024], answer[64 * 1024];
    while (fgets(line, sizeof line, stdin)) {
        size_t len = strlen(line);
        if (write(in[1], line, len) != (ssize_t)len) return 1;
        do {
            ssize_t n = read(out[0], answer, sizeof answer);
            if (n <= 0) return 1;
            len = n;
            fwrite(answer, 1, len, stdout);
        } while (answer[len - 1] != '\n');
    }
    close(in[1]);
    waitpid(pid, NULL, 0);
    return 0;
}
