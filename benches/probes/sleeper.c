/* A worker that sleeps before each answer, and costs next to nothing otherwise.
 *
 *     sleeper                      so many seconds as the line says
 *     sleeper SECONDS              the same for each line
 *     sleeper SECONDS TIMES PATH   the one that can make the folder PATH: TIMES longer */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

int main(int argc, char **argv) {
    static char line[64 * 1024];
    double fixed = argc > 1 ? atof(argv[1]) : -1;
    if (argc > 3 && mkdir(argv[3], 0700) == 0) fixed *= atof(argv[2]);
    while (fgets(line, sizeof line, stdin)) {
        double seconds = fixed < 0 ? atof(line) : fixed;
        struct timespec time = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
        nanosleep(&time, NULL);
        fputs(line, stdout);
        fflush(stdout);
    }
    return 0;
}
