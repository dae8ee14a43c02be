/*
 * lines RATE COUNT WIDTH LINES [FOLDER]: writes COUNT numbered lines (0: no end) of WIDTH bytes to stdout, LINES per
 * write(2), RATE bytes a second (0: as fast as possible). A line contains its number and the duration in microseconds
 * of the longest write so far. With a FOLDER it begins when FOLDER/go exists, and writes FOLDER/$NAME at its end:
 * bytes, total microseconds, microseconds of the longest write.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NUMBER = 12, LONGEST = 10, HEAD = NUMBER + 1 + LONGEST + 1 };

static long long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void digits(char *to, int width, unsigned long long value) {
  for (int at = width - 1; at >= 0; at--, value /= 10) to[at] = '0' + value % 10;
}

static void sleep_us(long long us) {
  struct timespec time = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&time, NULL);
}

static void write_all(const char *from, size_t left) {
  while (left > 0) {
    ssize_t wrote = write(STDOUT_FILENO, from, left);
    if (wrote < 0 && errno != EINTR) {
      perror("write");
      exit(1);
    }
    if (wrote > 0) {
      from += wrote;
      left -= wrote;
    }
  }
}

static void tell(const char *folder, long long bytes, long long elapsed, long long longest) {
  char path[4096], made[4096];
  const char *name = getenv("NAME");
  snprintf(path, sizeof path, "%s/%s.tmp", folder, name ? name : "lines");
  snprintf(made, sizeof made, "%s/%s", folder, name ? name : "lines");
  FILE *file = fopen(path, "w");
  if (!file) exit(1);
  fprintf(file, "%lld %lld %lld\n", bytes, elapsed, longest);
  if (fclose(file) != 0 || rename(path, made) != 0) exit(1);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  long long rate = atoll(argv[1]), count = atoll(argv[2]), width = atoll(argv[3]), lines = atoll(argv[4]);
  const char *folder = argc > 5 ? argv[5] : NULL;
  if (width <= HEAD || lines < 1) return 2;
  char *text = malloc(width * lines);
  if (!text) return 1;
  memset(text, 'x', width * lines);
  if (folder) {
    char go[4096];
    snprintf(go, sizeof go, "%s/go", folder);
    while (access(go, F_OK) != 0) sleep_us(5000);
  }
  long long number = 0, longest = 0, bytes = 0, start = now_us();
  while (count == 0 || number < count) {
    int many = 0;
    for (; many < lines && (count == 0 || number < count); many++) {
      char *line = text + many * width;
      digits(line, NUMBER, ++number);
      digits(line + NUMBER + 1, LONGEST, longest);
      line[NUMBER] = line[HEAD - 1] = ' ';
      line[width - 1] = '\n';
    }
    long long before = now_us();
    if (rate > 0 && before < start + bytes * 1000000 / rate) {
      sleep_us(start + bytes * 1000000 / rate - before);
      before = now_us();
    }
    write_all(text, many * width);
    long long took = now_us() - before;
    if (took > longest) longest = took;
    bytes += many * width;
  }
  if (folder) tell(folder, bytes, now_us() - start, longest);
  return 0;
}
